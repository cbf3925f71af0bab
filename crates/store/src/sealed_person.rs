//! The person behind a delivery or mail, still sealed.

use domain::{BoxId, EventId, Language, NewsletterNumber, RowMac, SealedAddress, SubscriptionId};

use crate::{StoreError, columns};

const SUBSCRIPTION: &str = "subscription";

/// What the sender needs to know of a subscription. Every field goes into the row MAC, so that a
/// row somebody edited is found out.
#[derive(Debug, Clone)]
pub struct SealedPerson {
    /// Whose consent this is.
    pub subscription_id: SubscriptionId,
    /// The newsletter that the consent is for.
    pub newsletter: NewsletterNumber,
    /// The request that brought the address.
    pub box_id: BoxId,
    /// The address, sealed.
    pub sealed: SealedAddress,
    /// Binds all of these to each other.
    pub row_mac: RowMac,
    /// The state that the MAC covers.
    pub state: u8,
    /// The consent that the MAC covers; none while pending.
    pub consent_event_id: Option<EventId>,
    /// The language for mails.
    pub language: Language,
}

/// The columns of a [`SealedPerson`], as they come.
pub(crate) struct PersonColumns {
    pub(crate) subscription_id: Option<Vec<u8>>,
    pub(crate) newsletter: Option<i64>,
    pub(crate) box_id: Option<Vec<u8>>,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) row_mac: Option<Vec<u8>>,
    pub(crate) state: Option<i16>,
    pub(crate) consent_event_id: Option<Vec<u8>>,
    pub(crate) language: Option<i16>,
}

impl PersonColumns {
    pub(crate) fn read(self) -> Result<SealedPerson, StoreError> {
        const MISSING: StoreError = StoreError::Inconsistent(SUBSCRIPTION);
        let consent = self.consent_event_id.ok_or(MISSING)?;
        // 16 zero bytes stand for "none yet" in the row MAC, and so in the column
        let consent_event_id = match consent.as_slice() {
            zeros if zeros == [0; 16] => None,
            id => Some(columns::id(id, SUBSCRIPTION)?),
        };
        Ok(SealedPerson {
            subscription_id: columns::id(&self.subscription_id.ok_or(MISSING)?, SUBSCRIPTION)?,
            newsletter: NewsletterNumber(columns::number(
                self.newsletter.ok_or(MISSING)?,
                SUBSCRIPTION,
            )?),
            box_id: columns::id(&self.box_id.ok_or(MISSING)?, SUBSCRIPTION)?,
            sealed: SealedAddress::from_bytes(self.sealed.ok_or(MISSING)?).map_err(|_| MISSING)?,
            row_mac: RowMac::new(columns::bytes(&self.row_mac.ok_or(MISSING)?, SUBSCRIPTION)?),
            state: columns::number(self.state.ok_or(MISSING)?, SUBSCRIPTION)?,
            consent_event_id,
            language: crate::columns::language(self.language.ok_or(MISSING)?, SUBSCRIPTION)?,
        })
    }
}

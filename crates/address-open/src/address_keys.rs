//! Codes, row MACs and Message-IDs: everything the registrar and the sender compute with keys from
//! the address masters.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use domain::{
    AddressIndex, BodyId, BoxId, EmailAddress, EventId, IssueNumber, MailboxCode, NewsletterNumber,
    RowMac, SealedAddress, SubscriptionId, SuppressionCode, comparison_form, mailbox_form,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::derived_key::DerivedKey;
use crate::derived_keys::{AddressMaster, DerivedKeys, NoAddressMaster};

const INDEX_PREFIX: u8 = 0x01;
const SUPPRESSION_PREFIX: u8 = 0x02;
const MAILBOX_PREFIX: u8 = 0x03;
const ROW_LABEL: &[u8] = b"letterbox/row/v1\0";

/// The codes of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressCodes {
    /// Unique for a subscriber; of the newest generation.
    pub index: AddressIndex,
    /// Recognises the address after erasure; nested through all generations.
    pub suppression: SuppressionCode,
    /// The same for its mailbox, without a `+tag`.
    pub mailbox: MailboxCode,
    /// The newest generation, which all three belong to.
    pub generation: u16,
}

/// What a row MAC binds together.
#[derive(Debug, Clone, Copy)]
pub struct RowFields<'a> {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// The box's id.
    pub box_id: BoxId,
    /// The newsletter.
    pub newsletter: NewsletterNumber,
    /// The box.
    pub sealed: &'a SealedAddress,
    /// [`SubscriptionState::number`](domain::SubscriptionState::number): 0 pending, 1 active, 2 stopped.
    pub state: u8,
    /// The consent; none while pending.
    pub consent_event_id: Option<EventId>,
}

/// The derived keys of all generations; no master.
pub struct AddressKeys {
    generation: u16,
    pub(crate) index: DerivedKey,
    pub(crate) suppression: Vec<DerivedKey>,
    pub(crate) row: DerivedKey,
    message_id: DerivedKey,
}

impl AddressKeys {
    /// Derives the keys. Index, row and Message-ID keys are of the newest generation.
    ///
    /// # Errors
    /// [`NoAddressMaster`] if the list is empty.
    pub fn derive(body: BodyId, masters: &[AddressMaster]) -> Result<Self, NoAddressMaster> {
        Self::from_derived(DerivedKeys::derive(body, masters)?)
    }

    /// Keys that were derived before, as they stand in a role's folder.
    ///
    /// # Errors
    /// [`NoAddressMaster`] if there is no suppression key.
    pub fn from_derived(keys: DerivedKeys) -> Result<Self, NoAddressMaster> {
        let generation = u16::try_from(keys.suppression.len()).unwrap_or(0);
        if generation == 0 {
            return Err(NoAddressMaster(keys.suppression.len()));
        }
        Ok(Self {
            generation,
            index: DerivedKey::from_bytes(keys.index),
            suppression: keys
                .suppression
                .into_iter()
                .map(DerivedKey::from_bytes)
                .collect(),
            row: DerivedKey::from_bytes(keys.row),
            message_id: DerivedKey::from_bytes(keys.message_id),
        })
    }

    /// The codes of an address.
    #[must_use]
    pub fn codes(&self, address: &EmailAddress) -> AddressCodes {
        self.codes_of_forms(&comparison_form(address), &mailbox_form(address))
    }

    pub(crate) fn codes_of_forms(&self, norm: &str, mailbox: &str) -> AddressCodes {
        let index = self.index.mac(&[&[INDEX_PREFIX], norm.as_bytes()]);
        AddressCodes {
            index: AddressIndex::new(index),
            suppression: SuppressionCode::new(self.nested(SUPPRESSION_PREFIX, norm)),
            mailbox: MailboxCode::new(self.nested(MAILBOX_PREFIX, mailbox)),
            generation: self.generation,
        }
    }

    /// code(1) = HMAC(k[1], prefix ‖ form); code(g) = HMAC(k[g], code(g-1)).
    fn nested(&self, prefix: u8, form: &str) -> [u8; 32] {
        let mut keys = self.suppression.iter();
        let first = keys.next().expect("from_derived refuses an empty list");
        keys.fold(first.mac(&[&[prefix], form.as_bytes()]), |code, key| {
            key.mac(&[&code])
        })
    }

    /// The MAC of a row.
    #[must_use]
    pub fn row_mac(&self, row: &RowFields<'_>) -> RowMac {
        let consent = row.consent_event_id.map_or([0; 16], |id| *id.as_bytes());
        RowMac::new(self.row.mac(&[
            ROW_LABEL,
            row.subscription_id.as_bytes(),
            row.box_id.as_bytes(),
            &row.newsletter.0.to_be_bytes(),
            &Sha256::digest(row.sealed.as_bytes()),
            &[row.state],
            &consent,
        ]))
    }

    /// Whether a row's MAC is right, compared in constant time. A row that fails is never mailed.
    #[must_use]
    pub fn row_mac_holds(&self, row: &RowFields<'_>, mac: &RowMac) -> bool {
        self.row_mac(row).as_bytes().ct_eq(mac.as_bytes()).into()
    }

    /// The local part of a Message-ID, 26 characters: the same mail gets the same one, so that a
    /// second copy can be recognised. `subject` is the subscription id, or the box or request id
    /// where there is no subscription.
    #[must_use]
    pub fn message_id_local_part(&self, issue: IssueNumber, subject: &[u8; 16]) -> String {
        let mac = self.message_id.mac(&[&issue.0.to_be_bytes(), subject]);
        BASE32_NOPAD.encode(&mac[..16]).to_ascii_lowercase()
    }
}

impl fmt::Debug for AddressKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressKeys")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

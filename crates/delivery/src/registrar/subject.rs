//! One subscription in memory: the set of its facts, and what follows from it.

use std::collections::BTreeMap;

use address_open::{AddressKeys, RowFields};
use domain::{
    BoxId, EventId, NewsletterNumber, SignUpFact, SubscriptionId, SubscriptionState, Timestamp,
    UnsubscribeFact, state_of,
};
use store::{Codes, Confirmation, ConsentFact, SubscriptionRow, UnsubscribeRow, Withdrawal};

/// A subscription that a batch touches.
#[derive(Debug)]
pub(super) struct Subject {
    id: SubscriptionId,
    /// Known from its consents or its row; an unsubscribe alone does not tell.
    newsletter: Option<NewsletterNumber>,
    owner: Option<Codes>,
    row: Option<SubscriptionRow>,
    consents: BTreeMap<BoxId, ConsentFact>,
    unsubscribes: BTreeMap<EventId, UnsubscribeRow>,
    /// The consents as the table has them.
    stored: BTreeMap<BoxId, ConsentFact>,
}

impl Subject {
    pub(super) const fn new(id: SubscriptionId) -> Self {
        Self {
            id,
            newsletter: None,
            owner: None,
            row: None,
            consents: BTreeMap::new(),
            unsubscribes: BTreeMap::new(),
            stored: BTreeMap::new(),
        }
    }

    pub(super) const fn newsletter(&self) -> Option<NewsletterNumber> {
        self.newsletter
    }

    pub(super) const fn owner(&self) -> Option<&Codes> {
        self.owner.as_ref()
    }

    /// Takes its row as loaded; before its consents.
    pub(super) fn load_row(&mut self, row: SubscriptionRow) {
        self.newsletter = Some(row.newsletter);
        self.owner = Some(row.owner);
        self.row = Some(row);
    }

    /// Takes a consent, loaded or just written.
    pub(super) fn load_consent(&mut self, consent: ConsentFact) {
        self.newsletter = Some(consent.newsletter);
        let row = self.row.as_ref();
        self.stored
            .insert(consent.box_id, as_stored(consent.clone(), row));
        self.consents.insert(consent.box_id, consent);
    }

    /// Takes an unsubscribe, in whatever state it and its undo are by now.
    pub(super) fn put_unsubscribe(&mut self, row: UnsubscribeRow) {
        self.unsubscribes.insert(row.event_id, row);
    }

    /// The press of a confirm button. `owner` and `sealed` come from the waiting sign-up; where that
    /// is gone, the sign-up was confirmed before, or disowned. Of two presses the first counts.
    pub(super) fn confirm(
        &mut self,
        box_id: BoxId,
        by: Confirmation,
        waiting: Option<(&Codes, &domain::SealedAddress)>,
    ) {
        let Some(consent) = self.consents.get_mut(&box_id) else {
            return;
        };
        consent.confirmed = Some(consent.confirmed.map_or(by, |earlier| earlier.min(by)));
        if let Some((owner, sealed)) = waiting {
            consent.sealed = Some(sealed.clone());
            self.owner.get_or_insert(*owner);
        }
    }

    /// "This wasn't me": the sign-up never counts again and its address is dropped. Whether this was
    /// news.
    pub(super) fn disown(&mut self, box_id: BoxId, at: Timestamp, seq: Option<u64>) -> bool {
        let Some(consent) = self.consents.get_mut(&box_id) else {
            return false;
        };
        let news = consent.disowned_at.is_none();
        if consent.disowned_at.is_none_or(|earlier| at < earlier) {
            consent.disowned_at = Some(at);
            consent.withdrawn = Some(Withdrawal { at, seq });
        }
        consent.sealed = None;
        news
    }

    /// The state that follows from the facts. A confirmed sign-up whose address was deleted, as the
    /// notice promised, is no longer one of them.
    pub(super) fn state(&self) -> SubscriptionState {
        let sign_ups: Vec<SignUpFact> = self
            .consents
            .values()
            .filter(|consent| {
                consent.confirmed.is_none()
                    || consent.disowned_at.is_some()
                    || consent.sealed.is_some()
            })
            .map(|consent| SignUpFact {
                box_id: consent.box_id,
                accepted_at: consent.requested_at,
                confirmed: consent.confirmed.is_some(),
                disowned: consent.disowned_at.is_some(),
            })
            .collect();
        let unsubscribes: Vec<UnsubscribeFact> = self
            .unsubscribes
            .values()
            .filter_map(|row| {
                Some(UnsubscribeFact {
                    event_id: row.event_id,
                    accepted_at: row.left?.accepted_at,
                    undone: row.undone.is_some(),
                })
            })
            .collect();
        state_of(&sign_ups, &unsubscribes, false)
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.state(), SubscriptionState::Active(_))
    }

    /// Whether there is, or was, anything to stop.
    pub(super) fn exists(&self) -> bool {
        self.row.is_some() || self.counting().is_some()
    }

    /// The sign-up that counts: the latest confirmed one that is not disowned, with its address.
    fn counting(&self) -> Option<&ConsentFact> {
        self.consents
            .values()
            .filter(|consent| {
                consent.confirmed.is_some()
                    && consent.disowned_at.is_none()
                    && consent.sealed.is_some()
            })
            .max_by_key(|consent| (consent.requested_at, consent.box_id))
    }

    /// The unsubscribe that ended this consent: the first that was not undone.
    fn ended_by(&self, consent: &ConsentFact) -> Option<Withdrawal> {
        self.unsubscribes
            .values()
            .filter(|row| row.undone.is_none())
            .filter_map(|row| row.left.map(|left| (left, row.event_id)))
            .filter(|(left, _)| left.accepted_at >= consent.requested_at)
            .min_by_key(|(left, event_id)| (left.accepted_at, *event_id))
            .map(|(left, _)| Withdrawal {
                at: left.accepted_at,
                seq: left.ledger_seq,
            })
    }

    fn stopped_at(&self) -> Option<Timestamp> {
        if self.is_active() {
            return None;
        }
        match self.counting() {
            Some(consent) => self.ended_by(consent).map(|by| by.at),
            None => self
                .consents
                .values()
                .filter(|consent| consent.confirmed.is_some())
                .filter_map(|consent| consent.disowned_at)
                .max()
                .or_else(|| self.row.as_ref().and_then(|row| row.stopped_at)),
        }
    }

    /// Its row as the facts have it; none where nothing was ever confirmed.
    pub(super) fn row(&self, keys: &AddressKeys) -> Option<SubscriptionRow> {
        let state = self.state().number();
        let counting = self.counting().and_then(|consent| {
            Some((
                consent,
                consent.sealed.as_ref()?,
                consent.confirmed?.event_id,
            ))
        });
        let Some((consent, sealed, confirmed_by)) = counting else {
            // Nothing that could ever be sent to: the address goes. No MAC without an address.
            return self.row.clone().map(|row| SubscriptionRow {
                state,
                sealed: None,
                stopped_at: self.stopped_at(),
                ..row
            });
        };
        let row_mac = keys.row_mac(&RowFields {
            subscription_id: self.id,
            box_id: consent.box_id,
            newsletter: consent.newsletter,
            sealed,
            state,
            consent_event_id: Some(confirmed_by),
        });
        Some(SubscriptionRow {
            subscription_id: self.id,
            newsletter: consent.newsletter,
            owner: self.owner?,
            state,
            language: consent.language,
            box_id: consent.box_id,
            box_accepted_at: consent.requested_at,
            sealed: Some(sealed.clone()),
            consent_event_id: confirmed_by,
            row_mac,
            stopped_at: self.stopped_at(),
        })
    }

    /// Its row, if that is not what the table has.
    pub(super) fn changed_row(&self, keys: &AddressKeys) -> Option<SubscriptionRow> {
        self.row(keys).filter(|row| Some(row) != self.row.as_ref())
    }

    /// Those of its consents that are not as the table has them, once `row` is.
    pub(super) fn changed_consents(
        &self,
        row: Option<&SubscriptionRow>,
    ) -> impl Iterator<Item = ConsentFact> {
        self.consents.values().filter_map(move |consent| {
            let withdrawn = match consent.disowned_at {
                _ if consent.confirmed.is_none() => None,
                Some(at) => Some(consent.withdrawn.unwrap_or(Withdrawal { at, seq: None })),
                None => self.ended_by(consent),
            };
            let now = as_stored(
                ConsentFact {
                    withdrawn,
                    ..consent.clone()
                },
                row,
            );
            (self.stored.get(&consent.box_id) != Some(&now)).then_some(now)
        })
    }
}

/// The table keeps an address once: not here while the subscription uses it.
fn as_stored(mut consent: ConsentFact, row: Option<&SubscriptionRow>) -> ConsentFact {
    if row.is_some_and(|row| row.box_id == consent.box_id) {
        consent.sealed = None;
    }
    consent
}

//! The end of a subscription whose mail comes back, with its ledger entry.

use domain::{Actor, Bounce, Effect, LedgerEntry, Method};

use super::{Readable, WorkingSet};

impl WorkingSet<'_> {
    /// Like an unsubscribe: who signs up again later, and confirms from the same mailbox, gets mail
    /// again. Nobody is given a link that undoes it.
    pub(super) fn bounce(&mut self, event: &Readable, bounce: Bounce) {
        let entry = LedgerEntry {
            event_id: event.event_id,
            occurred_at: event.accepted_at,
            recorded_at: self.now,
            newsletter: None,
            subscription_id: None,
            issue: bounce.issue,
            method: Method::Bounce,
            // set once the change is made
            effect: Effect::None,
            token: None,
            actor: Actor::Provider,
            staff_reference: None,
            decision_id: Some(bounce.decision_id),
            spool_id: Some(event.spool_id),
            restored: None,
        };
        self.end(event, bounce.subscription_id, entry);
    }
}

//! Leaving everything at once: all newsletters, or all mail for good. It is one fact about a person, which
//! ends each of their subscriptions as an unsubscribe would, whichever of them is known first.

use domain::{
    AddressIndex, Effect, EventId, LedgerEntry, Method, NotMe, SubscriptionId, Timestamp,
    Unsubscribe,
};
use store::{
    Codes, EarlyEvent, EarlyKind, Left, SuppressedCode, Suppression, SuppressionLevel,
    UnsubscribeRow,
};

use super::{Readable, WorkingSet};

impl WorkingSet<'_> {
    /// Ends all that the owner of this subscription gets, with one ledger entry, which names the
    /// subscription whose link was used.
    pub(super) fn unsubscribe_all(&mut self, event: &Readable, leave: Unsubscribe) {
        let known = self.unsubscribes.get(&event.event_id).copied();
        if known.is_some_and(|row| row.left.is_some()) {
            return;
        }
        let id = leave.subscription_id;
        let subject = self.subject(id);
        let exists = subject.exists();
        let owner = subject.owner().map(|codes| codes.index);
        let left = Left {
            subscription_id: id,
            accepted_at: event.accepted_at,
            ledger_seq: None,
            everything_of: owner,
        };
        let ended = self.ended_by(&left);
        let before = self.active(&ended);
        let ledger_seq = self.record(LedgerEntry {
            subscription_id: Some(id),
            issue: leave.issue,
            ..self.entry(event, leave.method, leave.token)
        });
        self.change_unsubscribe(UnsubscribeRow {
            event_id: event.event_id,
            left: Some(Left { ledger_seq, ..left }),
            undone: known.and_then(|row| row.undone),
        });
        let effect = match (exists, before, self.active(&ended)) {
            (false, ..) => Effect::Absent,
            (true, 0, _) => Effect::Already,
            (true, before, after) if after < before => Effect::Stopped,
            _ => Effect::None,
        };
        self.set_effect(event.event_id, effect);
    }

    /// "Never email me at all", on a mail that somebody else caused: the sign-up is disowned, whatever the
    /// person gets ends, and their mailbox gets no mail of any kind any more.
    pub(super) fn never_email(&mut self, event: &Readable, not_me: NotMe) {
        let box_id = not_me.box_id;
        let seq = self.record(self.entry(event, Method::NotMe, not_me.token));
        if self.subjects_of(box_id).is_empty() {
            self.wait_for_sign_up(EarlyEvent {
                event_id: event.event_id,
                box_id,
                kind: EarlyKind::NeverEmail,
                accepted_at: event.accepted_at,
                token: not_me.token,
                spool_id: event.spool_id,
            });
            self.set_effect(event.event_id, Effect::Absent);
            return;
        }
        let everybody: Vec<SubscriptionId> = self.subjects.keys().copied().collect();
        let before = self.active(&everybody);
        let (news, owner) = self.disown(box_id, event.accepted_at, None, seq);
        if let Some(owner) = owner {
            self.silence(&owner, event.event_id, event.accepted_at, seq);
        }
        let effect = if self.active(&everybody) < before {
            Effect::Stopped
        } else if news {
            Effect::None
        } else {
            Effect::Already
        };
        self.set_effect(event.event_id, effect);
    }

    /// Ends all that this person gets, and keeps every mail from their mailbox for good.
    pub(super) fn silence(
        &mut self,
        owner: &Codes,
        event_id: EventId,
        at: Timestamp,
        ledger_seq: Option<u64>,
    ) {
        for codes in [&mut self.suppressed, &mut self.silenced] {
            codes.insert(*owner.mailbox.as_bytes());
        }
        self.changes.suppressions.push(Suppression {
            code: SuppressedCode::Mailbox(owner.mailbox),
            level: SuppressionLevel::NoMail,
            generation: owner.generation,
            reason: Method::NotMe,
            event_id,
            set_at: at,
            expires_at: None,
        });
        let is_known = self.unsubscribes.contains_key(&event_id);
        let first = self.subjects_owned_by(owner.index).first().copied();
        if let (false, Some(subscription_id)) = (is_known, first) {
            self.change_unsubscribe(UnsubscribeRow {
                event_id,
                left: Some(Left {
                    subscription_id,
                    accepted_at: at,
                    ledger_seq,
                    everything_of: Some(owner.index),
                }),
                undone: None,
            });
        }
    }

    /// The subscriptions that this ends.
    pub(super) fn ended_by(&self, left: &Left) -> Vec<SubscriptionId> {
        left.everything_of.map_or_else(
            || vec![left.subscription_id],
            |owner| self.subjects_owned_by(owner),
        )
    }

    fn subjects_owned_by(&self, owner: AddressIndex) -> Vec<SubscriptionId> {
        self.subjects
            .iter()
            .filter(|(_, subject)| subject.owner().is_some_and(|codes| codes.index == owner))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Gives the fact to every subscription of the person that is known by now.
    pub(super) fn put_everything(&mut self, row: UnsubscribeRow, left: Left) {
        let Some(owner) = left.everything_of else {
            return;
        };
        self.everything
            .entry(owner)
            .or_default()
            .insert(row.event_id);
        for id in self.subjects_owned_by(owner) {
            self.subject(id).put_unsubscribe(row);
        }
    }

    /// The owner of this subscription is known now, and with them by what they left everything.
    pub(super) fn meet_everything(&mut self, id: SubscriptionId) {
        let owner = self.subject(id).owner().map(|codes| codes.index);
        let events = owner.and_then(|owner| self.everything.get(&owner));
        let rows: Vec<UnsubscribeRow> = events
            .into_iter()
            .flatten()
            .map(|event_id| self.unsubscribes[event_id])
            .collect();
        for row in rows {
            self.subject(id).put_unsubscribe(row);
        }
    }
}

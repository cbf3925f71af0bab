//! Unsubscribe, undo and "not me", each with its ledger entry.

use std::time::Duration;

use domain::{
    Actor, BoxId, Effect, EventId, IssueNumber, LedgerEntry, Method, NotMe, SubscriptionId,
    Timestamp, TokenKey, Undo, Unsubscribe,
};
use store::{
    Codes, EarlyEvent, EarlyKind, Left, SuppressedCode, Suppression, SuppressionLevel, Undone,
    UnsubscribeRow,
};

use super::{Readable, WorkingSet};

/// For how long a mailbox gets no confirmations after "this wasn't me": 12 months.
const QUIET: Duration = Duration::from_hours(365 * 24);

impl WorkingSet<'_> {
    pub(super) fn unsubscribe(&mut self, event: &Readable, leave: Unsubscribe) {
        let entry = LedgerEntry {
            issue: leave.issue,
            ..self.entry(event, leave.method, leave.token)
        };
        self.end(event, leave.subscription_id, entry);
    }

    /// Ends one subscription: whatever signed it up before this event does not count any more.
    pub(super) fn end(&mut self, event: &Readable, id: SubscriptionId, mut entry: LedgerEntry) {
        let known = self.unsubscribes.get(&event.event_id).copied();
        if known.is_some_and(|row| row.left.is_some()) {
            return;
        }
        let subject = self.subject(id);
        let (exists, before) = (subject.exists(), subject.is_active());
        entry.newsletter = subject.newsletter();
        entry.subscription_id = Some(id);
        let ledger_seq = self.record(entry);
        self.change_unsubscribe(UnsubscribeRow {
            event_id: event.event_id,
            left: Some(Left {
                subscription_id: id,
                accepted_at: event.accepted_at,
                ledger_seq,
                everything_of: None,
            }),
            undone: known.and_then(|row| row.undone),
        });
        let after = self.subject(id).is_active();
        self.set_effect(
            event.event_id,
            match (exists, before, after) {
                (false, ..) => Effect::Absent,
                (true, false, _) => Effect::Already,
                (true, true, false) => Effect::Stopped,
                // undone before it came, or older than the sign-up that counts
                (true, true, true) => Effect::None,
            },
        );
    }

    pub(super) fn undo(&mut self, event: &Readable, undo: Undo) {
        self.may_come_back();
        let known = self.unsubscribes.get(&undo.unsubscribe).copied();
        let left = known.and_then(|row| row.left);
        let ended = left.map(|left| self.ended_by(&left)).unwrap_or_default();
        let exists = ended.iter().any(|id| self.subject(*id).exists());
        let before = self.active(&ended);
        let entry = LedgerEntry {
            newsletter: left
                .filter(|left| left.everything_of.is_none())
                .and_then(|left| self.subject(left.subscription_id).newsletter()),
            subscription_id: left.map(|left| left.subscription_id),
            ..self.entry(event, Method::Undo, undo.token)
        };
        self.record(entry);
        if known.is_none_or(|row| row.undone.is_none()) {
            self.change_unsubscribe(UnsubscribeRow {
                event_id: undo.unsubscribe,
                left,
                undone: Some(Undone {
                    event_id: event.event_id,
                    accepted_at: event.accepted_at,
                }),
            });
        }
        let effect = if left.is_some() && !exists {
            Effect::Absent
        } else if self.active(&ended) > before {
            Effect::Resumed
        } else {
            Effect::None
        };
        self.set_effect(event.event_id, effect);
    }

    pub(super) fn not_me(&mut self, event: &Readable, not_me: NotMe) {
        let box_id = not_me.box_id;
        let subjects = self.subjects_of(box_id);
        let only = match subjects.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let entry = LedgerEntry {
            newsletter: only.and_then(|id| self.subject(id).newsletter()),
            subscription_id: only,
            ..self.entry(event, Method::NotMe, not_me.token)
        };
        let seq = self.record(entry);
        if subjects.is_empty() {
            self.wait_for_sign_up(EarlyEvent {
                event_id: event.event_id,
                box_id,
                kind: EarlyKind::NotMe,
                accepted_at: event.accepted_at,
                token: not_me.token,
                spool_id: event.spool_id,
            });
            self.set_effect(event.event_id, Effect::Absent);
            return;
        }
        let before = self.active(&subjects);
        let (news, owner) = self.disown(box_id, event.accepted_at, None, seq);
        if let Some(owner) = owner {
            self.ask_no_more(&owner, event.event_id, event.accepted_at);
        }
        let effect = if self.active(&subjects) < before {
            Effect::Stopped
        } else if news {
            Effect::None
        } else {
            Effect::Already
        };
        self.set_effect(event.event_id, effect);
    }

    /// Ends a sign-up for good. Whether this was news, and whose it was.
    pub(super) fn disown(
        &mut self,
        box_id: BoxId,
        at: Timestamp,
        codes: Option<Codes>,
        seq: Option<u64>,
    ) -> (bool, Option<Codes>) {
        let mut owner = codes;
        if let Some(waiting) = self.end_waiting(box_id) {
            owner.get_or_insert(waiting.codes);
        }
        let mut news = false;
        for id in self.subjects_of(box_id) {
            let subject = self.subject(id);
            news |= subject.disown(box_id, at, seq);
            if owner.is_none() {
                owner = subject.owner().copied();
            }
        }
        (news, owner)
    }

    /// Keeps a mailbox from being asked again, for 12 months.
    pub(super) fn ask_no_more(&mut self, owner: &Codes, event_id: EventId, at: Timestamp) {
        self.suppressed.insert(*owner.mailbox.as_bytes());
        self.changes.suppressions.push(Suppression {
            code: SuppressedCode::Mailbox(owner.mailbox),
            level: SuppressionLevel::NoConfirmations,
            generation: owner.generation,
            reason: Method::NotMe,
            event_id,
            set_at: at,
            expires_at: Some(at.plus(QUIET)),
        });
    }

    /// How many of these get their newsletter.
    pub(super) fn active(&self, ids: &[SubscriptionId]) -> usize {
        let subjects = ids.iter().filter_map(|id| self.subjects.get(id));
        subjects.filter(|subject| subject.is_active()).count()
    }

    /// Tells the web roles that somebody who had left may come back: what they remember of unsubscribes
    /// counts no more.
    pub(super) fn may_come_back(&mut self) {
        let entropy = self.entropy;
        self.changes
            .resumption
            .get_or_insert_with(|| entropy.sixteen());
    }

    pub(super) fn entry(&self, event: &Readable, method: Method, token: TokenKey) -> LedgerEntry {
        LedgerEntry {
            event_id: event.event_id,
            occurred_at: event.accepted_at,
            recorded_at: self.now,
            newsletter: None,
            subscription_id: None,
            issue: IssueNumber::NONE,
            method,
            // set once the change is made
            effect: Effect::None,
            token: Some(token),
            actor: Actor::Subscriber,
            staff_reference: None,
            decision_id: None,
            spool_id: Some(event.spool_id),
            restored: None,
        }
    }
}

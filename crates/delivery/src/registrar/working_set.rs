//! A batch in memory: everything it touches as the database has it, the requests applied one after
//! the other, and what has changed at the end.

mod bounce;
mod everything;
mod look_ups;
mod mails;
mod sign_ups;
mod stops;

use std::collections::{BTreeMap, BTreeSet};

use address_open::AddressKeys;
use domain::{
    AddressIndex, BoxId, Effect, Entropy, EventId, LedgerEntry, MailboxCode, NewsletterNumber,
    NoticeHash, Request, SubscriptionId, Timestamp,
};
use store::{
    Answered, Changes, EarlyEvent, Known, NoticeRef, PendingSignUp, UnsubscribeRow, Wanted,
};

use self::look_ups::Question;
use self::mails::MailWish;
use super::reading::Readable;
use super::subject::Subject;

/// What events may touch.
pub(super) fn wanted<'a>(events: impl IntoIterator<Item = &'a Readable>) -> Wanted {
    let mut wanted = Wanted::default();
    for event in events {
        match &event.request {
            Request::SignUp(sign_up) => {
                wanted.boxes.insert(event.event_id.into());
                wanted.notices.extend(
                    sign_up
                        .choices
                        .iter()
                        .map(|choice| (choice.newsletter, choice.notice)),
                );
                if let Some(codes) = &event.codes {
                    wanted.addresses.insert(codes.index);
                    wanted.codes.insert(*codes.suppression.as_bytes());
                    wanted.codes.insert(*codes.mailbox.as_bytes());
                }
            }
            Request::Confirm(confirm) => {
                wanted.boxes.insert(confirm.box_id);
            }
            Request::NotMe(not_me) => {
                wanted.boxes.insert(not_me.box_id);
                wanted.recorded.insert(event.event_id);
            }
            Request::NeverEmail(not_me) => {
                wanted.boxes.insert(not_me.box_id);
                wanted.box_owners.insert(not_me.box_id);
                wanted.unsubscribes.insert(event.event_id);
                wanted.recorded.insert(event.event_id);
            }
            Request::Unsubscribe(leave) => {
                wanted.unsubscribes.insert(event.event_id);
                wanted.subscriptions.insert(leave.subscription_id);
                wanted.recorded.insert(event.event_id);
            }
            Request::UnsubscribeAll(leave) => {
                wanted.unsubscribes.insert(event.event_id);
                wanted.subscriptions.insert(leave.subscription_id);
                wanted.owners.insert(leave.subscription_id);
                wanted.recorded.insert(event.event_id);
            }
            Request::Bounce(bounce) => {
                wanted.unsubscribes.insert(event.event_id);
                wanted.subscriptions.insert(bounce.subscription_id);
                wanted.recorded.insert(event.event_id);
            }
            Request::Undo(undo) => {
                wanted.unsubscribes.insert(undo.unsubscribe);
                wanted.recorded.insert(event.event_id);
            }
            Request::LookUp(_) => {
                if let Some(codes) = &event.codes {
                    wanted.addresses.insert(codes.index);
                    wanted.codes.insert(*codes.suppression.as_bytes());
                    wanted.codes.insert(*codes.mailbox.as_bytes());
                    wanted.asking.insert(codes.mailbox);
                }
            }
            // It has a turn of its own.
            Request::Erasure(_) => {}
        }
    }
    wanted
}

/// Why a request has no effect and never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inapplicable(pub(super) &'static str);

/// The batch.
pub(super) struct WorkingSet<'a> {
    keys: &'a AddressKeys,
    entropy: &'a dyn Entropy,
    now: Timestamp,
    ledger_head: u64,
    subjects: BTreeMap<SubscriptionId, Subject>,
    /// The subscriptions of each sign-up that was ever seen.
    boxes: BTreeMap<BoxId, BTreeSet<SubscriptionId>>,
    /// Sign-ups that wait.
    waiting: BTreeMap<BoxId, PendingSignUp>,
    unsubscribes: BTreeMap<EventId, UnsubscribeRow>,
    changed_unsubscribes: BTreeSet<EventId>,
    /// By which of them each person left everything.
    everything: BTreeMap<AddressIndex, BTreeSet<EventId>>,
    early: BTreeMap<BoxId, Vec<EarlyEvent>>,
    identities: BTreeMap<(AddressIndex, NewsletterNumber), SubscriptionId>,
    suppressed: BTreeSet<[u8; 32]>,
    silenced: BTreeSet<[u8; 32]>,
    answered: BTreeMap<MailboxCode, Answered>,
    first_newsletter: Option<NewsletterNumber>,
    /// Addresses that were erased, and when that was accepted.
    erased: BTreeMap<[u8; 32], Timestamp>,
    told: BTreeSet<AddressIndex>,
    recorded: BTreeSet<EventId>,
    notices: BTreeMap<(NewsletterNumber, NoticeHash), NoticeRef>,
    wishes: Vec<MailWish>,
    questions: Vec<Question>,
    changes: Changes,
}

impl<'a> WorkingSet<'a> {
    /// Starts from what the database has; ledger entries will follow `ledger_head`.
    pub(super) fn new(
        known: Known,
        ledger_head: u64,
        keys: &'a AddressKeys,
        entropy: &'a dyn Entropy,
        now: Timestamp,
    ) -> Self {
        let mut set = Self {
            keys,
            entropy,
            now,
            ledger_head,
            subjects: BTreeMap::new(),
            boxes: BTreeMap::new(),
            waiting: known
                .sign_ups
                .into_iter()
                .map(|sign_up| (sign_up.box_id, sign_up))
                .collect(),
            unsubscribes: BTreeMap::new(),
            changed_unsubscribes: BTreeSet::new(),
            everything: BTreeMap::new(),
            early: BTreeMap::new(),
            identities: known.identities,
            suppressed: known.suppressed,
            silenced: known.silenced,
            answered: known.answered,
            first_newsletter: known.first_newsletter,
            erased: known.erased,
            told: known.told,
            recorded: known.recorded,
            notices: known.notices,
            wishes: Vec::new(),
            questions: Vec::new(),
            changes: Changes::default(),
        };
        for row in known.subscriptions {
            set.subject(row.subscription_id).load_row(row);
        }
        for consent in known.consents {
            set.boxes
                .entry(consent.box_id)
                .or_default()
                .insert(consent.subscription_id);
            set.subject(consent.subscription_id).load_consent(consent);
        }
        for row in known.unsubscribes {
            set.put_unsubscribe(row);
        }
        for event in known.early {
            set.early.entry(event.box_id).or_default().push(event);
        }
        set
    }

    /// Applies one request.
    pub(super) fn apply(&mut self, event: &Readable) -> Result<(), Inapplicable> {
        match &event.request {
            Request::SignUp(sign_up) => return self.sign_up(event, sign_up),
            Request::Confirm(confirm) => self.confirm(event, *confirm),
            Request::Unsubscribe(leave) => self.unsubscribe(event, *leave),
            Request::UnsubscribeAll(leave) => self.unsubscribe_all(event, *leave),
            Request::Undo(undo) => self.undo(event, *undo),
            Request::NotMe(not_me) => self.not_me(event, *not_me),
            Request::NeverEmail(not_me) => self.never_email(event, *not_me),
            Request::LookUp(look_up) => return self.look_up(event, look_up),
            Request::Bounce(bounce) => self.bounce(event, *bounce),
            Request::Erasure(_) => return Err(Inapplicable("it needs a turn of its own")),
        }
        Ok(())
    }

    /// What has changed. The caller adds what became of each request.
    pub(super) fn finish(mut self) -> Changes {
        self.write_mails();
        self.answer();
        for subject in self.subjects.values() {
            let row = subject.row(self.keys);
            self.changes
                .consents
                .extend(subject.changed_consents(row.as_ref()));
            self.changes
                .subscriptions
                .extend(subject.changed_row(self.keys));
        }
        self.changes.unsubscribes = self
            .changed_unsubscribes
            .iter()
            .map(|id| self.unsubscribes[id])
            .collect();
        self.changes
    }

    fn subject(&mut self, id: SubscriptionId) -> &mut Subject {
        self.subjects.entry(id).or_insert_with(|| Subject::new(id))
    }

    fn subjects_of(&self, box_id: BoxId) -> Vec<SubscriptionId> {
        self.boxes
            .get(&box_id)
            .map(|ids| ids.iter().copied().collect())
            .unwrap_or_default()
    }

    fn put_unsubscribe(&mut self, row: UnsubscribeRow) {
        self.unsubscribes.insert(row.event_id, row);
        if let Some(left) = row.left {
            self.subject(left.subscription_id).put_unsubscribe(row);
            self.put_everything(row, left);
        }
    }

    fn change_unsubscribe(&mut self, row: UnsubscribeRow) {
        self.changed_unsubscribes.insert(row.event_id);
        self.put_unsubscribe(row);
    }

    /// The seq that the next ledger entry gets.
    fn next_seq(&self) -> u64 {
        self.ledger_head + self.changes.ledger.len() as u64 + 1
    }

    /// Appends a ledger entry, once for each event in all time. Its seq, where it was appended.
    fn record(&mut self, entry: LedgerEntry) -> Option<u64> {
        let seq = self.next_seq();
        if self.recorded.insert(entry.event_id) {
            self.changes.ledger.push(entry);
            Some(seq)
        } else {
            None
        }
    }

    fn set_effect(&mut self, event_id: EventId, effect: Effect) {
        let entry = self.changes.ledger.last_mut();
        if let Some(entry) = entry.filter(|entry| entry.event_id == event_id) {
            entry.effect = effect;
        }
    }
}

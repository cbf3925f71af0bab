//! After a crash: what the journal proves is written down before anything is claimed
//! (`reliability.md` 1.5, 1.6).
//!
//! | the journal has | the database says attempting | it becomes |
//! | --- | --- | --- |
//! | a result | | that result |
//! | a dot, no result | yes | what the transport can tell, else in doubt |
//! | nothing | yes | queued, as if never tried: the dot cannot have gone out |
//!
//! A worker that others took for dead finds its attempts in doubt. Its journal speaks for them as for what it was
//! attempting; where it tells nothing they stay in doubt.

use std::collections::HashMap;

use domain::{DeliveryState, IssueNumber, Timestamp, WorkerId};
use mail::Transport;
use store::{
    AttemptResult, ChunkTable, DeliveryAttempt, DeliveryStore, MailAttempt, MailResult, MailStore,
    StoreError,
};

use crate::Keys;
use crate::journal::{Attempt, Event, Record, Recovered};
use crate::sender::sending_domain;

/// Results in one transaction, at most.
const BATCH: usize = 500;

/// What a replay works on.
pub(crate) struct Replay<'a> {
    pub(crate) worker: WorkerId,
    pub(crate) keys: &'a Keys,
    pub(crate) transport: &'a Transport,
    pub(crate) deliveries: &'a DeliveryStore,
    pub(crate) mails: &'a MailStore,
    pub(crate) chunks: &'a ChunkTable,
    /// Whether the absence of a record proves anything: not after the machine lost its power, nor
    /// where a place of the journal is damaged, or the whole of it gone.
    pub(crate) complete: bool,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Replayed {
    /// Results that the database had not.
    pub(crate) applied: u64,
    /// Queued again: provably not sent.
    pub(crate) released: u64,
    /// In doubt.
    pub(crate) in_doubt: u64,
}

const IN_DOUBT: AttemptResult = AttemptResult {
    state: DeliveryState::InDoubt,
    code: None,
    enhanced: None,
    not_before: None,
    counts: true,
};
const ACCEPTED: AttemptResult = AttemptResult {
    state: DeliveryState::Accepted,
    ..IN_DOUBT
};

/// What is to be done with a row that was being attempted.
enum Fate {
    Settle(AttemptResult),
    Release,
}

impl Replay<'_> {
    /// Applies a journal. Doing it twice is harmless: every step is guarded by the attempt.
    pub(crate) async fn run(
        &self,
        journal: &Recovered,
        now: Timestamp,
    ) -> Result<Replayed, StoreError> {
        let mut replayed = Replayed::default();
        let mut results = Vec::new();
        let mut mail_results = Vec::new();
        let mut dots = HashMap::new();
        for record in &journal.records {
            match (record.event, record.attempt) {
                (Event::Dot, attempt) => {
                    dots.insert(attempt, *record);
                }
                (Event::Result(result), Attempt::Delivery(key)) => results.push((key, result)),
                (Event::Result(result), Attempt::Mail(key)) => mail_results.push(MailResult {
                    key,
                    result,
                    sent_at: record.at,
                    message_id: self.mail_message_id(key).await?,
                }),
            }
        }
        replayed.applied += self.flush(&results, &mail_results, now).await?;
        self.deliveries_left(&dots, now, &mut replayed).await?;
        self.mails_left(&dots, now, &mut replayed).await?;
        self.chunks.close_all_of(self.worker).await?;
        Ok(replayed)
    }

    async fn flush(
        &self,
        results: &[(DeliveryAttempt, AttemptResult)],
        mails: &[MailResult],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut taken = 0;
        for batch in results.chunks(BATCH) {
            taken += self.deliveries.flush(self.worker, batch, now).await?;
        }
        for batch in mails.chunks(BATCH) {
            taken += self.mails.flush(self.worker, batch, now).await?;
        }
        Ok(taken)
    }

    async fn deliveries_left(
        &self,
        dots: &HashMap<Attempt, Record>,
        now: Timestamp,
        replayed: &mut Replayed,
    ) -> Result<(), StoreError> {
        let (mut results, mut released) = (Vec::new(), Vec::new());
        let attempting = self.deliveries.attempting(self.worker).await?;
        let in_doubt = self.deliveries.taken_for_dead(self.worker).await?;
        let attempting = attempting.into_iter().map(|key| (key, false));
        for (key, is_doubted) in attempting.chain(in_doubt.into_iter().map(|key| (key, true))) {
            let message_id = match dots.get(&Attempt::Delivery(key)) {
                Some(dot) => {
                    let sender = self.deliveries.sender_address(key.issue).await?;
                    sender.map(|sender| self.message_id(key.issue, &dot.subject, &sender))
                }
                None => None,
            };
            let dotted = dots.contains_key(&Attempt::Delivery(key));
            match self.fate(dotted, message_id.as_deref()) {
                Fate::Settle(result) if is_doubted && result == IN_DOUBT => {}
                Fate::Settle(result) => {
                    replayed.in_doubt += u64::from(result == IN_DOUBT);
                    replayed.applied += u64::from(result == ACCEPTED);
                    results.push((key, result));
                }
                Fate::Release => released.push(key),
            }
        }
        self.flush(&results, &[], now).await?;
        for batch in released.chunks(BATCH) {
            replayed.released += self.deliveries.release(self.worker, batch, now).await?;
        }
        self.deliveries.keep_doubts(self.worker).await
    }

    async fn mails_left(
        &self,
        dots: &HashMap<Attempt, Record>,
        now: Timestamp,
        replayed: &mut Replayed,
    ) -> Result<(), StoreError> {
        let (mut results, mut released) = (Vec::new(), Vec::new());
        for key in self.mails.attempting(self.worker).await? {
            let dot = dots.get(&Attempt::Mail(key));
            let message_id = self.mail_message_id(key).await?;
            match self.fate(dot.is_some(), message_id.as_deref()) {
                Fate::Settle(result) => {
                    replayed.in_doubt += u64::from(result == IN_DOUBT);
                    replayed.applied += u64::from(result == ACCEPTED);
                    results.push(MailResult {
                        key,
                        result,
                        sent_at: dot.map_or(now, |dot| dot.at),
                        message_id,
                    });
                }
                Fate::Release => released.push(key),
            }
        }
        self.flush(&[], &results, now).await?;
        for batch in released.chunks(BATCH) {
            replayed.released += self.mails.release(self.worker, batch, now).await?;
        }
        Ok(())
    }

    fn fate(&self, dotted: bool, message_id: Option<&str>) -> Fate {
        if !dotted && self.complete {
            return Fate::Release;
        }
        match message_id.and_then(|id| self.transport.evidence(id)) {
            Some(true) => Fate::Settle(ACCEPTED),
            Some(false) => Fate::Release,
            None => Fate::Settle(IN_DOUBT),
        }
    }

    async fn mail_message_id(&self, key: MailAttempt) -> Result<Option<String>, StoreError> {
        mail_message_id(self.keys, self.mails, key).await
    }

    fn message_id(&self, issue: IssueNumber, subject: &[u8; 16], sender_address: &str) -> String {
        message_id(self.keys, issue, subject, sender_address)
    }
}

/// The Message-ID of a one-to-one mail; none where the mail is gone.
pub(crate) async fn mail_message_id(
    keys: &Keys,
    mails: &MailStore,
    key: MailAttempt,
) -> Result<Option<String>, StoreError> {
    let sender = mails.sender(key.mail).await?;
    Ok(sender.map(|sender| {
        let subject = sender.box_id.as_bytes();
        message_id(keys, IssueNumber::NONE, subject, &sender.sender_address)
    }))
}

fn message_id(keys: &Keys, issue: IssueNumber, subject: &[u8; 16], sender_address: &str) -> String {
    let local = keys.address.message_id_local_part(issue, subject);
    format!("{local}@{}", sending_domain(sender_address))
}

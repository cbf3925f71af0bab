//! The journal said again to a database that forgot what it had committed (`reliability.md` 1.12).
//!
//! All of the ring is read, twice and a block at a time: first the results, then the dots that have none.
//! Of those that are on the wire now the result comes in a moment; of the others nobody knows what became,
//! so a row that has forgotten them is in doubt.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;

use domain::{BoxId, DeliveryState, SubscriptionId, Timestamp};
use store::{AttemptResult, MailResult, PastDelivery, PastMail, Reasserted, StoreError};

use crate::journal::{Attempt, Event, Record};
use crate::replay::mail_message_id;
use crate::sender::Sender;

/// Attempts in one statement.
const BATCH: usize = 500;

const IN_DOUBT: AttemptResult = AttemptResult {
    state: DeliveryState::InDoubt,
    code: None,
    enhanced: None,
    not_before: None,
    counts: true,
};

/// Why a journal could not be said again; nothing may be sent then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReassertError {
    /// The disk failed.
    #[error("the journal cannot be read")]
    Journal(#[from] io::Error),
    /// The database did.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Says the worker's journal again. Twice is as good as once.
pub(crate) async fn reassert(sender: &Sender, now: Timestamp) -> Result<Reasserted, ReassertError> {
    let mut done = Reasserted::default();
    // short of the attempts themselves, of which half a million fit into a journal
    let (hasher, mut known) = (RandomState::new(), HashSet::new());
    let mut kept = sender.journal.kept()?;
    while let Some(records) = kept.next_block()? {
        let results: Vec<(Record, AttemptResult)> = records
            .into_iter()
            .filter_map(|record| match record.event {
                Event::Result(result) => Some((record, result)),
                Event::Dot => None,
            })
            .collect();
        known.extend(results.iter().map(|(it, _)| hasher.hash_one(it.attempt)));
        say(sender, &results, now, &mut done).await?;
    }
    let mut kept = sender.journal.kept()?;
    while let Some(records) = kept.next_block()? {
        let dots: Vec<(Record, AttemptResult)> = records
            .into_iter()
            .filter(|record| record.event == Event::Dot)
            .filter(|record| !known.contains(&hasher.hash_one(record.attempt)))
            .map(|record| (record, IN_DOUBT))
            .collect();
        say(sender, &dots, now, &mut done).await?;
    }
    Ok(done)
}

async fn say(
    sender: &Sender,
    records: &[(Record, AttemptResult)],
    now: Timestamp,
    done: &mut Reasserted,
) -> Result<(), StoreError> {
    for batch in records.chunks(BATCH) {
        let (mut deliveries, mut mails) = (Vec::new(), Vec::new());
        for (record, result) in batch {
            match record.attempt {
                Attempt::Delivery(key) => deliveries.push(PastDelivery {
                    key,
                    subscription: SubscriptionId::new(record.subject),
                    at: record.at,
                    result: *result,
                    open: sender.journal.is_open(record.attempt),
                }),
                Attempt::Mail(key) => mails.push((
                    PastMail {
                        key,
                        box_id: BoxId::new(record.subject),
                        at: record.at,
                        state: result.state,
                        open: sender.journal.is_open(record.attempt),
                    },
                    *result,
                )),
            }
        }
        let worker = sender.worker;
        done.add(
            sender
                .reassertion
                .deliveries(worker, &deliveries, now)
                .await?,
        );
        say_mails(sender, &mails, now, done).await?;
    }
    Ok(())
}

/// One-to-one mails, whose results have consequences: a confirmation that went can be confirmed.
async fn say_mails(
    sender: &Sender,
    past: &[(PastMail, AttemptResult)],
    now: Timestamp,
    done: &mut Reasserted,
) -> Result<(), StoreError> {
    if past.is_empty() {
        return Ok(());
    }
    let rows: Vec<PastMail> = past.iter().map(|(mail, _)| *mail).collect();
    let behind = sender.reassertion.mails(sender.worker, &rows, now).await?;
    let mut results = Vec::with_capacity(behind.len());
    for (mail, key) in behind {
        let result = past.iter().find(|(known, _)| known.key == mail);
        let Some((mail, result)) = result else {
            continue;
        };
        results.push(MailResult {
            key,
            result: *result,
            sent_at: mail.at,
            message_id: mail_message_id(&sender.keys, &sender.mails, key).await?,
        });
    }
    let in_doubt = results
        .iter()
        .filter(|entry| entry.result.state == DeliveryState::InDoubt)
        .count() as u64;
    done.in_doubt += in_doubt;
    done.settled += results.len() as u64 - in_doubt;
    sender.mails.flush(sender.worker, &results, now).await?;
    Ok(())
}

//! A worker's journal said again to a database that forgot what it had committed: after a failover to a
//! standby that lagged, or a restore (`reliability.md` 1.12).
//!
//! The journal is the better witness of what went out: whoever got a copy has it, whatever a row says that
//! came out of a backup. What it does not know is left to the row. Doing it again changes nothing.

use std::collections::HashMap;

use domain::{BoxId, DeliveryState, IssueNumber, SubscriptionId, Timestamp, WorkerId};

use sqlx::PgConnection;

use crate::deliveries::dotted;
use crate::issue_upkeep::recount;
use crate::registrar::BEGIN;
use crate::{AttemptResult, Database, DeliveryAttempt, MailAttempt, StoreError, columns};

/// An attempt at a delivery that a journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastDelivery {
    /// Which.
    pub key: DeliveryAttempt,
    /// Whose: a row's number may be another's after a restore, this is not.
    pub subscription: SubscriptionId,
    /// When: an issue that was approved later, by an hour for clocks that differ, is another one with the
    /// same number.
    pub at: Timestamp,
    /// How it ended; [`DeliveryState::InDoubt`] where only its dot is known.
    pub result: AttemptResult,
    /// It is on the wire, or its result on its way: a row that stands at it is as it should be.
    pub open: bool,
}

/// An attempt at a one-to-one mail that a journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastMail {
    /// Which.
    pub key: MailAttempt,
    /// What it answers.
    pub box_id: BoxId,
    /// When.
    pub at: Timestamp,
    /// How it ended; [`DeliveryState::InDoubt`] where only its dot is known.
    pub state: DeliveryState,
    /// It is on the wire, or its result on its way: a row that stands at it is as it should be.
    pub open: bool,
}

/// What was said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasserted {
    /// Rows that had forgotten a result.
    pub settled: u64,
    /// Rows that are in doubt now, since nobody knows what became of a dot.
    pub in_doubt: u64,
    /// Recipients whose issue has forgotten a part of its audience: they can be told once it is written
    /// down again.
    pub awaited: u64,
}

/// Says journals again.
#[derive(Debug, Clone)]
pub struct Reassertion {
    database: Database,
}

impl Database {
    /// For a worker that sees another history of the database.
    #[must_use]
    pub fn reassertion(&self) -> Reassertion {
        Reassertion {
            database: self.clone(),
        }
    }
}

impl Reassertion {
    /// Says attempts at deliveries again, one transaction an issue. Accepted is final. Any other result,
    /// and a dot alone, count only where the row knows of no later attempt.
    ///
    /// # Errors
    /// As [`StoreError`] says; doing it again is harmless.
    pub async fn deliveries(
        &self,
        worker: WorkerId,
        past: &[PastDelivery],
        now: Timestamp,
    ) -> Result<Reasserted, StoreError> {
        let mut issues: HashMap<IssueNumber, HashMap<i64, &PastDelivery>> = HashMap::new();
        for attempt in past {
            let of_issue = issues.entry(attempt.key.issue).or_default();
            let known = of_issue.entry(attempt.key.subscriber).or_insert(attempt);
            // one statement changes a row once
            if weight(attempt) > weight(known) {
                *known = attempt;
            }
        }
        let mut done = Reasserted::default();
        for (issue, past) in issues {
            let past: Vec<&PastDelivery> = past.into_values().collect();
            done.add(self.of_issue(worker, issue, &past, now).await?);
        }
        Ok(done)
    }

    async fn of_issue(
        &self,
        worker: WorkerId,
        issue: IssueNumber,
        past: &[&PastDelivery],
        now: Timestamp,
    ) -> Result<Reasserted, StoreError> {
        let number = i64::from(issue.0);
        let subscribers: Vec<i64> = past.iter().map(|p| p.key.subscriber).collect();
        let subjects: Vec<&[u8]> = past
            .iter()
            .map(|p| &p.subscription.as_bytes()[..])
            .collect();
        let at: Vec<_> = past.iter().map(|p| columns::moment(p.at)).collect();
        let epochs: Vec<i32> = past.iter().map(|p| p.key.epoch).collect();
        let attempts: Vec<i16> = past.iter().map(|p| p.key.attempt).collect();
        let states: Vec<i16> = past.iter().map(|p| p.result.state.number()).collect();
        let codes: Vec<Option<i16>> = past
            .iter()
            .map(|p| p.result.code.and_then(|code| i16::try_from(code).ok()))
            .collect();
        let enhanced: Vec<Option<String>> =
            past.iter().map(|p| p.result.enhanced.map(dotted)).collect();
        let not_before: Vec<_> = past
            .iter()
            .map(|p| p.result.not_before.map(columns::moment))
            .collect();
        let open: Vec<bool> = past.iter().map(|p| p.open).collect();
        let mut tx = self.database.pool.begin_with(BEGIN).await?;
        let chunks = hold_chunks(&mut tx, number, &subscribers).await?;
        let said = sqlx::query!(
            "WITH r AS (
                 SELECT t.* FROM unnest($2::bigint[], $3::bytea[], $4::timestamptz[], $5::integer[],
                     $6::smallint[], $7::smallint[], $8::smallint[], $9::text[], $10::timestamptz[],
                     $13::boolean[])
                     AS t(subscriber, subject, at, epoch, attempt, state, code, enhanced, not_before, open)
                 WHERE EXISTS (SELECT FROM issue i WHERE i.id = $1
                                 AND i.approved_at <= t.at + interval '1 hour')
             ), taken AS (
                 UPDATE delivery d
                 SET state = r.state, code = r.code, enhanced = r.enhanced, not_before = r.not_before,
                     attempt = greatest(d.attempt, r.attempt), epoch = r.epoch, worker = $11,
                     updated_at = $12
                 FROM r, subscription s
                 WHERE d.issue_id = $1 AND d.subscriber_id = r.subscriber
                   AND s.id = d.subscription AND s.subscription_id = r.subject
                   AND CASE r.state
                       WHEN 2 THEN d.state NOT IN (2, 4, 10)
                       WHEN 6 THEN
                           (d.attempt < r.attempt AND d.state IN (0, 1, 3))
                           OR (d.attempt = r.attempt
                               AND (d.state = 0
                                    OR (d.state = 1 AND d.epoch = r.epoch AND d.worker = $11
                                        AND NOT r.open)))
                       ELSE
                           (d.attempt < r.attempt AND d.state IN (0, 1, 3, 6))
                           OR (d.attempt = r.attempt AND d.state = 1 AND d.epoch = r.epoch
                               AND d.worker = $11)
                       END
                 RETURNING r.state
             )
             SELECT (SELECT count(*) FROM taken WHERE state <> 6) AS \"settled!\",
                    (SELECT count(*) FROM taken WHERE state = 6) AS \"in_doubt!\",
                    (SELECT count(*) FROM r
                     WHERE EXISTS (SELECT FROM issue i WHERE i.id = $1 AND i.deadline > $12
                                     AND i.fanned_out_at IS NULL AND i.state NOT IN (5, 6))
                       AND NOT EXISTS (SELECT FROM delivery d
                                       WHERE d.issue_id = $1 AND d.subscriber_id = r.subscriber))
                        AS \"awaited!\"",
            number,
            &subscribers,
            &subjects as &[&[u8]],
            &at,
            &epochs,
            &attempts,
            &states,
            &codes as &[Option<i16>],
            &enhanced as &[Option<String>],
            &not_before as &[Option<time::OffsetDateTime>],
            worker.as_bytes(),
            columns::moment(now),
            &open,
        )
        .fetch_one(&mut *tx)
        .await?;
        if said.settled + said.in_doubt > 0 {
            count_anew(&mut tx, number, &chunks).await?;
        }
        tx.commit().await?;
        Ok(Reasserted {
            settled: columns::number(said.settled, "delivery")?,
            in_doubt: columns::number(said.in_doubt, "delivery")?,
            awaited: columns::number(said.awaited, "delivery")?,
        })
    }

    /// Puts one-to-one mails back to the attempt that the journal has, as far as the rows are behind it:
    /// [`MailStore::flush`](crate::MailStore::flush) takes its result then. Returns which, each with the attempt that its row
    /// stands at now.
    ///
    /// # Errors
    /// As [`StoreError`] says; doing it again is harmless.
    pub async fn mails(
        &self,
        worker: WorkerId,
        past: &[PastMail],
        now: Timestamp,
    ) -> Result<Vec<(MailAttempt, MailAttempt)>, StoreError> {
        let mut newest: HashMap<i64, &PastMail> = HashMap::new();
        for attempt in past {
            let known = newest.entry(attempt.key.mail).or_insert(attempt);
            let weigh = |mail: &PastMail| (mail.state == DeliveryState::Accepted, mail.key.epoch);
            if weigh(attempt) > weigh(known) {
                *known = attempt;
            }
        }
        let past: Vec<&PastMail> = newest.into_values().collect();
        let ids: Vec<i64> = past.iter().map(|p| p.key.mail).collect();
        let subjects: Vec<&[u8]> = past.iter().map(|p| &p.box_id.as_bytes()[..]).collect();
        let at: Vec<_> = past.iter().map(|p| columns::moment(p.at)).collect();
        let epochs: Vec<i32> = past.iter().map(|p| p.key.epoch).collect();
        let attempts: Vec<i16> = past.iter().map(|p| p.key.attempt).collect();
        let states: Vec<i16> = past.iter().map(|p| p.state.number()).collect();
        let open: Vec<bool> = past.iter().map(|p| p.open).collect();
        Ok(sqlx::query!(
            "UPDATE mail m
             SET state = 1, epoch = greatest(m.epoch, r.epoch), attempt = r.attempt, worker = $7,
                 not_before = NULL, updated_at = $8
             FROM unnest($1::bigint[], $2::bytea[], $3::timestamptz[], $4::integer[], $5::smallint[],
                         $6::smallint[], $9::boolean[])
                  AS r(mail, subject, at, epoch, attempt, state, open)
             WHERE m.id = r.mail AND m.box_id = r.subject AND m.created_at <= r.at
               AND CASE r.state
                   WHEN 2 THEN m.state NOT IN (2, 4, 10)
                   WHEN 6 THEN
                       (m.epoch < r.epoch AND m.state IN (0, 1, 3))
                       OR (m.epoch = r.epoch
                           AND (m.state = 0 OR (m.state = 1 AND m.worker = $7 AND NOT r.open)))
                   ELSE
                       (m.epoch < r.epoch AND m.state IN (0, 1, 3, 6))
                       OR (m.epoch = r.epoch AND m.state = 1 AND m.worker = $7)
                   END
             RETURNING m.id, m.epoch, m.attempt, r.epoch AS \"past_epoch!\"",
            &ids,
            &subjects as &[&[u8]],
            &at,
            &epochs,
            &attempts,
            &states,
            worker.as_bytes(),
            columns::moment(now),
            &open,
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            let at = |epoch| MailAttempt {
                mail: row.id,
                epoch,
                attempt: row.attempt,
            };
            (at(row.past_epoch), at(row.epoch))
        })
        .collect())
    }
}

/// Locks the chunks of these people, as everybody who counts a chunk does.
async fn hold_chunks(
    tx: &mut PgConnection,
    issue: i64,
    subscribers: &[i64],
) -> Result<Vec<i32>, StoreError> {
    let chunks = sqlx::query_scalar!(
        "SELECT chunk_no FROM chunk
             WHERE issue_id = $1 AND chunk_no IN (
                 SELECT d.chunk_no FROM delivery d
                 WHERE d.issue_id = $1 AND d.subscriber_id = ANY($2))
             ORDER BY chunk_no FOR UPDATE",
        issue,
        subscribers,
    )
    .fetch_all(tx)
    .await?;
    Ok(chunks)
}

/// A chunk that was counted before the database had forgotten is counted anew.
async fn count_anew(tx: &mut PgConnection, issue: i64, chunks: &[i32]) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE chunk SET accepted = NULL, suppressed = NULL, failed = NULL
                 WHERE issue_id = $1 AND chunk_no = ANY($2) AND accepted IS NOT NULL",
        issue,
        chunks,
    )
    .execute(&mut *tx)
    .await?;
    recount(tx, &vec![issue; chunks.len()], chunks).await
}

/// Which of several attempts at one recipient counts.
fn weight(past: &PastDelivery) -> (bool, i16, bool) {
    let accepted = past.result.state == DeliveryState::Accepted;
    let is_known = past.result.state != DeliveryState::InDoubt;
    (accepted, past.key.attempt, is_known)
}

impl Reasserted {
    /// Adds another batch.
    pub const fn add(&mut self, other: Self) {
        self.settled += other.settled;
        self.in_doubt += other.in_doubt;
        self.awaited += other.awaited;
    }
}

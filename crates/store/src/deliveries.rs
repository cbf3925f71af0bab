//! Deliveries of issues: claimed before any SMTP, written down after it, guarded by worker, epoch
//! and attempt (`reliability.md` 1.4, T5 and T6).

use domain::{BounceKind, DeliveryState, IssueNumber, Timestamp, WorkerId};

use crate::bounces;
use crate::chunks::OwnedChunk;
use crate::issue_upkeep::recount;
use crate::sealed_person::{PersonColumns, SealedPerson};
use crate::{Database, StoreError, columns};

/// One attempt at one delivery. A result that names another attempt than the row does is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryAttempt {
    /// The issue.
    pub issue: IssueNumber,
    /// `subscriber.id`, for this database and the journal only.
    pub subscriber: i64,
    /// The chunk's epoch when it was claimed.
    pub epoch: i32,
    /// 1 for the first attempt.
    pub attempt: i16,
}

impl DeliveryAttempt {
    /// The one that a row stands at, by its columns.
    pub(crate) fn of_row(
        issue_id: i64,
        subscriber: i64,
        epoch: i32,
        attempt: i16,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            issue: IssueNumber(columns::number(issue_id, DELIVERY)?),
            subscriber,
            epoch,
            attempt,
        })
    }
}

/// A delivery that was claimed: the person behind it, still sealed.
#[derive(Debug, Clone)]
pub struct ClaimedDelivery {
    /// Which attempt.
    pub key: DeliveryAttempt,
    /// Attempts before this one that count.
    pub attempts_before: u16,
    /// The person, unless a column of the row has a length that no code of ours writes.
    pub person: Option<SealedPerson>,
}

/// What one claim brought.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// To be attempted now.
    pub deliveries: Vec<ClaimedDelivery>,
    /// How many were suppressed by the same statement: they left, or must not be mailed.
    pub suppressed: u64,
}

/// How an attempt ended, for the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptResult {
    /// The new state.
    pub state: DeliveryState,
    /// The relay's code.
    pub code: Option<u16>,
    /// The enhanced code of RFC 3463.
    pub enhanced: Option<[u8; 3]>,
    /// When to try again, for a deferred one.
    pub not_before: Option<Timestamp>,
    /// Whether the attempt counts; one that did not reach the relay does not.
    pub counts: bool,
}

/// What the resolver and the sweeper did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Closed by the policy not to send twice.
    pub assumed_sent: u64,
    /// Queued again by the policy to send twice rather than never.
    pub queued_again: u64,
}

const DELIVERY: &str = "delivery";

/// The table of deliveries.
#[derive(Debug, Clone)]
pub struct DeliveryStore {
    pub(crate) database: Database,
}

impl Database {
    /// Claiming deliveries and writing down their results.
    #[must_use]
    pub fn deliveries(&self) -> DeliveryStore {
        DeliveryStore {
            database: self.clone(),
        }
    }
}

impl DeliveryStore {
    /// Claims at most `limit` recipients of a chunk (T5): in one statement a row becomes attempted
    /// or, where the person left or must not be mailed, suppressed. Commits before any SMTP.
    ///
    /// # Errors
    /// As [`StoreError`] says. Where the commit is lost on the wire, rows may be claimed:
    /// [`Self::release_chunk`] gives them back.
    pub async fn claim(
        &self,
        chunk: &OwnedChunk,
        limit: u16,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        // Issue and chunk are looked at once and not for each row; no order, so that no row is read that
        // is not taken; OFFSET 0, so that the reasons are weighed once and not for each column.
        // The chunk is held until the commit: the server may go on with a claim whose process has died,
        // and whoever takes the chunk from the dead waits for it, or the claim finds it gone.
        let rows = sqlx::query!(
            "WITH held AS MATERIALIZED (
                 SELECT c.chunk_no FROM chunk c
                 WHERE c.issue_id = $1 AND c.chunk_no = $2
                   AND c.state = 1 AND c.owner = $4 AND c.epoch = $3
                 FOR SHARE
             ), pick AS (
                 SELECT d.subscriber_id, d.subscription FROM delivery d
                 WHERE d.issue_id = $1 AND d.chunk_no = $2
                   AND (d.state = 0 OR (d.state = 3 AND d.not_before <= $6))
                   AND EXISTS (SELECT FROM issue i
                               WHERE i.id = $1 AND i.state = 3 AND i.deadline > $6)
                   AND EXISTS (SELECT FROM held)
                   AND NOT EXISTS (SELECT FROM installation WHERE tick < $7)
                 LIMIT $5 FOR UPDATE OF d SKIP LOCKED
             ), person AS (
                 SELECT p.subscriber_id, s.subscription_id, s.newsletter_id, s.box_id, s.sealed,
                        s.row_mac, s.state, s.consent_event_id, s.language,
                        coalesce(s.state = 1 AND s.sealed IS NOT NULL AND NOT EXISTS (
                            SELECT 1 FROM suppression x
                            WHERE x.code IN (b.suppression_code, b.mailbox_code)
                              AND (x.expires_at IS NULL OR x.expires_at > $6)
                              AND (x.level IN (2, 3)
                                   OR (x.level = 1 AND x.newsletter_id = s.newsletter_id))
                        ), false) AS wanted
                 FROM pick p
                 LEFT JOIN subscription s ON s.id = p.subscription
                 LEFT JOIN subscriber b ON b.id = s.subscriber_id
                 OFFSET 0
             )
             UPDATE delivery d
             SET attempt = d.attempt + p.wanted::integer, epoch = $3, worker = $4, updated_at = $6,
                 not_before = NULL, state = CASE WHEN p.wanted THEN 1 ELSE 5 END
             FROM person p
             WHERE d.issue_id = $1 AND d.subscriber_id = p.subscriber_id
             RETURNING d.subscriber_id, d.attempt, d.uncounted, p.wanted AS \"wanted!\", p.subscription_id AS \"subscription_id?\",
                       p.newsletter_id AS \"newsletter_id?\", p.box_id AS \"box_id?\", p.sealed, p.row_mac AS \"row_mac?\",
                       p.state AS \"person_state?\", p.consent_event_id AS \"consent_event_id?\", p.language AS \"language?\"",
            i64::from(chunk.issue.0),
            chunk.chunk,
            chunk.epoch,
            chunk.worker.as_bytes(),
            i64::from(limit),
            columns::moment(now),
            columns::bigint(self.database.seen.get()),
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut claim = Claim::default();
        for row in rows {
            if !row.wanted {
                claim.suppressed += 1;
                continue;
            }
            claim.deliveries.push(ClaimedDelivery {
                key: DeliveryAttempt {
                    issue: chunk.issue,
                    subscriber: row.subscriber_id,
                    epoch: chunk.epoch,
                    attempt: row.attempt,
                },
                attempts_before: counted_before(row.attempt, row.uncounted),
                person: PersonColumns {
                    subscription_id: row.subscription_id,
                    newsletter: row.newsletter_id,
                    box_id: row.box_id,
                    sealed: row.sealed,
                    row_mac: row.row_mac,
                    state: row.person_state,
                    consent_event_id: row.consent_event_id,
                    language: row.language,
                }
                .read()
                .ok(),
            });
        }
        // UPDATE … RETURNING has no order; a stable one makes tests and logs readable
        claim
            .deliveries
            .sort_by_key(|delivery| delivery.key.subscriber);
        Ok(claim)
    }

    /// Writes down results (T6), one transaction for all. A result counts only for the attempt that
    /// it names, also where that is in doubt already: a worker that others took for dead comes back with
    /// its evidence. "Accepted" is taken where it was only assumed, too. Returns how many were taken.
    ///
    /// # Errors
    /// As [`StoreError`] says; doing it again is harmless.
    pub async fn flush(
        &self,
        worker: WorkerId,
        results: &[(DeliveryAttempt, AttemptResult)],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut taken = 0;
        let mut rest: Vec<&(DeliveryAttempt, AttemptResult)> = results.iter().collect();
        while let Some((first, _)) = rest.first() {
            let issue = first.issue;
            let (of_it, others) = rest.into_iter().partition(|(key, _)| key.issue == issue);
            taken += self.flush_issue(worker, issue, of_it, now).await?;
            rest = others;
        }
        Ok(taken)
    }

    /// The same for one issue: the plan of a statement that names it looks into one partition.
    async fn flush_issue(
        &self,
        worker: WorkerId,
        issue: IssueNumber,
        results: Vec<&(DeliveryAttempt, AttemptResult)>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let keys = Keys::of(results.iter().map(|(key, _)| key));
        let bounced: Vec<(DeliveryAttempt, BounceKind)> = results
            .iter()
            .filter_map(|(key, r)| Some((*key, BounceKind::of(r.state, r.code, r.enhanced)?)))
            .collect();
        let results = results.iter().map(|(_, result)| result);
        let states: Vec<i16> = results.clone().map(|r| r.state.number()).collect();
        let codes: Vec<Option<i16>> = results
            .clone()
            .map(|r| r.code.and_then(|code| i16::try_from(code).ok()))
            .collect();
        let enhanced: Vec<Option<String>> =
            results.clone().map(|r| r.enhanced.map(dotted)).collect();
        let not_before: Vec<Option<time::OffsetDateTime>> = results
            .clone()
            .map(|r| r.not_before.map(columns::moment))
            .collect();
        let counts: Vec<bool> = results.clone().map(|r| r.counts).collect();
        let has_doubt = results
            .into_iter()
            .any(|result| result.state == DeliveryState::InDoubt);
        let mut tx = self.database.begin().await?;
        let taken = sqlx::query!(
            "WITH taken AS (
                 UPDATE delivery d
                 SET state = r.state, code = r.code, enhanced = r.enhanced, not_before = r.not_before,
                     uncounted = d.uncounted + (NOT r.counts)::integer, updated_at = $11
                 FROM unnest($2::bigint[], $3::integer[], $4::smallint[], $5::smallint[],
                             $6::smallint[], $7::text[], $8::timestamptz[], $9::boolean[])
                      AS r(subscriber, epoch, attempt, state, code, enhanced, not_before, counts)
                 WHERE d.issue_id = $1 AND d.subscriber_id = r.subscriber AND d.epoch = r.epoch
                   AND d.attempt = r.attempt AND d.worker = $10
                   AND (d.state = 1 OR (d.state = 6 AND r.state <> 6)
                        OR (d.state = 9 AND r.state = 2))
                 RETURNING d.chunk_no
             ), chunks AS (SELECT DISTINCT chunk_no FROM taken)
             SELECT (SELECT count(*) FROM taken) AS \"number!\",
                    array(SELECT chunk_no FROM chunks) AS \"chunks!\",
                    EXISTS (SELECT FROM chunks t
                            JOIN chunk c ON c.issue_id = $1 AND c.chunk_no = t.chunk_no
                            WHERE c.in_doubt > 0) AS \"had_doubt!\"",
            i64::from(issue.0),
            &keys.subscribers,
            &keys.epochs,
            &keys.attempts,
            &states,
            &codes as &[Option<i16>],
            &enhanced as &[Option<String>],
            &not_before as &[Option<time::OffsetDateTime>],
            &counts,
            worker.as_bytes(),
            columns::moment(now),
        )
        .fetch_one(&mut *tx)
        .await?;
        if has_doubt || taken.had_doubt {
            let issues = vec![i64::from(issue.0); taken.chunks.len()];
            recount(&mut tx, &issues, &taken.chunks).await?;
        }
        bounces::note(&mut tx, issue, &bounced, now).await?;
        tx.commit().await?;
        columns::number(taken.number, DELIVERY)
    }

    /// Gives back attempts that provably sent nothing, in doubt or not: queued again, and not counted. Their numbers are
    /// not used again, so that doing it twice takes back no later attempt.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn release(
        &self,
        worker: WorkerId,
        attempts: &[DeliveryAttempt],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let keys = Keys::of(attempts.iter());
        let mut tx = self.database.begin().await?;
        let released = sqlx::query!(
            "WITH before AS (
                 SELECT d.issue_id, d.subscriber_id, d.state
                 FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::smallint[])
                      AS r(issue, subscriber, epoch, attempt)
                 JOIN delivery d ON d.issue_id = r.issue AND d.subscriber_id = r.subscriber
                                AND d.epoch = r.epoch AND d.attempt = r.attempt AND d.worker = $5
                                AND d.state IN (1, 6)
                 FOR UPDATE OF d
             )
             UPDATE delivery d SET state = 0, uncounted = d.uncounted + 1, updated_at = $6
             FROM before b
             WHERE d.issue_id = b.issue_id AND d.subscriber_id = b.subscriber_id
             RETURNING d.issue_id, d.chunk_no, b.state = 6 AS \"in_doubt!\"",
            &keys.issues,
            &keys.subscribers,
            &keys.epochs,
            &keys.attempts,
            worker.as_bytes(),
            columns::moment(now),
        )
        .fetch_all(&mut *tx)
        .await?;
        let number = u64::try_from(released.len()).unwrap_or(u64::MAX);
        let (issues, chunks): (Vec<i64>, Vec<i32>) = released
            .into_iter()
            .filter(|row| row.in_doubt)
            .map(|row| (row.issue_id, row.chunk_no))
            .unzip();
        if !issues.is_empty() {
            recount(&mut tx, &issues, &chunks).await?;
        }
        tx.commit().await?;
        Ok(number)
    }
}

/// How many attempts before this one count: what was given back, or did not reach the relay, does not.
fn counted_before(attempt: i16, uncounted: i16) -> u16 {
    let before = i32::from(attempt) - 1 - i32::from(uncounted);
    u16::try_from(before).unwrap_or(0)
}

/// Columns for `unnest`.
pub(crate) struct Keys {
    pub(crate) issues: Vec<i64>,
    pub(crate) subscribers: Vec<i64>,
    pub(crate) epochs: Vec<i32>,
    pub(crate) attempts: Vec<i16>,
}

impl Keys {
    fn of<'a>(attempts: impl Iterator<Item = &'a DeliveryAttempt>) -> Self {
        let mut keys = Self {
            issues: Vec::new(),
            subscribers: Vec::new(),
            epochs: Vec::new(),
            attempts: Vec::new(),
        };
        for attempt in attempts {
            keys.issues.push(i64::from(attempt.issue.0));
            keys.subscribers.push(attempt.subscriber);
            keys.epochs.push(attempt.epoch);
            keys.attempts.push(attempt.attempt);
        }
        keys
    }
}

/// An enhanced code as it was written by [`dotted`].
pub(crate) fn undotted(text: &str) -> Option<[u8; 3]> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// An enhanced code as it is written: `5.1.1`.
pub(crate) fn dotted([class, subject, detail]: [u8; 3]) -> String {
    format!("{class}.{subject}.{detail}")
}

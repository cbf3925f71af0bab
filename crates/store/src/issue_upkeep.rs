//! What follows from an operator's word, step by step, by whichever worker comes first: cancelled
//! recipients, what failed queued again, doubts decided; and hints for whoever sends.
//!
//! Each step is one transaction that can be repeated, and rows that another worker has in hand are
//! passed over.

use std::time::Duration;

use domain::{IssueNumber, SubscriptionId, Timestamp};
use sqlx::PgConnection;

use crate::{Database, StoreError, columns};

/// Chunks in one step: about 5,000 recipients.
const STEP: i64 = 25;
/// Hints that are worth giving at once: a lane that was woken looks until there is nothing more.
const HINTS: i64 = 256;
/// A hint of a chunk that is still to be done is lost after this, or will do no harm twice.
const HINT_LIFE: Duration = Duration::from_mins(10);

/// A delivery in doubt that nobody can look up yet.
#[derive(Debug, Clone)]
pub struct NewDoubt {
    /// The issue.
    pub issue: IssueNumber,
    /// `subscriber.id`, for this database only.
    pub subscriber: i64,
    /// What its Message-ID is made of; none where the subscription is gone.
    pub subscription_id: Option<SubscriptionId>,
    /// The mailbox that the issue is sent from.
    pub sender_address: String,
    /// Since when.
    pub since: Timestamp,
}

/// The upkeep of issues.
#[derive(Debug, Clone)]
pub struct IssueUpkeep {
    pub(crate) database: Database,
}

impl Database {
    /// For the sweeper.
    #[must_use]
    pub fn issue_upkeep(&self) -> IssueUpkeep {
        IssueUpkeep {
            database: self.clone(),
        }
    }
}

impl IssueUpkeep {
    /// Ends recipients of cancelled issues, about 5,000 at a time. Returns how many; none left when 0.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn cancel_step(&self, now: Timestamp) -> Result<u64, StoreError> {
        let cancelled = sqlx::query_scalar!(
            "WITH picked AS (
                 SELECT c.issue_id, c.chunk_no FROM issue i JOIN chunk c ON c.issue_id = i.id
                 WHERE i.finished_at IS NULL AND i.state = 5 AND c.state IN (0, 2, 4, 5)
                 ORDER BY c.issue_id, c.chunk_no LIMIT $2 FOR UPDATE OF c SKIP LOCKED
             ), cancelled AS (
                 UPDATE delivery d SET state = 8, not_before = NULL, updated_at = $1
                 FROM picked p
                 WHERE d.issue_id = p.issue_id AND d.chunk_no = p.chunk_no AND d.state IN (0, 3)
                 RETURNING 1
             ), ended AS (
                 UPDATE chunk c SET state = 3, next_due = NULL FROM picked p
                 WHERE c.issue_id = p.issue_id AND c.chunk_no = p.chunk_no
             )
             SELECT count(*) AS \"n!\" FROM cancelled",
            columns::moment(now),
            STEP,
        )
        .fetch_one(&self.database.pool)
        .await?;
        columns::number(cancelled, "delivery")
    }

    /// Queues failed recipients again where an operator asked for it, about 5,000 at a time and each
    /// chunk once. A chunk that a worker has in hand is waited for. Returns whether there may be more
    /// to do now.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn retry_step(&self, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        let wanted = sqlx::query!(
            "SELECT id, retry_from AS \"from!\" FROM issue
             WHERE retry_from IS NOT NULL AND state IN (3, 4, 7)
             ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(wanted) = wanted else {
            return Ok(false);
        };
        let mut chunks = sqlx::query!(
            "SELECT chunk_no, state FROM chunk WHERE issue_id = $1 AND chunk_no >= $2
             ORDER BY chunk_no LIMIT $3 FOR UPDATE",
            wanted.id,
            wanted.from,
            STEP,
        )
        .fetch_all(&mut *tx)
        .await?;
        let is_end = chunks.is_empty();
        if let Some(running) = chunks.iter().position(|chunk| chunk.state == 1) {
            chunks.truncate(running);
        }
        let numbers: Vec<i32> = chunks.iter().map(|chunk| chunk.chunk_no).collect();
        let next = numbers.last().map(|last| last + 1);
        if next.is_none() && !is_end {
            return Ok(false);
        }
        sqlx::query!(
            "WITH again AS (
                 UPDATE delivery SET state = 0, not_before = NULL, updated_at = $3
                 WHERE issue_id = $1 AND chunk_no = ANY($2) AND state IN (4, 7, 10)
                 RETURNING chunk_no
             )
             UPDATE chunk SET state = 0, next_due = NULL, crashes = 0, left_over = NULL,
                    accepted = NULL, suppressed = NULL, failed = NULL
             WHERE issue_id = $1 AND chunk_no = ANY($2)
               AND (state = 4 OR chunk_no IN (SELECT chunk_no FROM again))",
            wanted.id,
            &numbers,
            columns::moment(now),
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE issue SET retry_from = $2, hints_wanted = true WHERE id = $1",
            wanted.id,
            next,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(next.is_some())
    }

    /// Carries out what operators decided on doubts. Returns how many deliveries changed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn carry_out(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.database.begin().await?;
        let decided = sqlx::query!(
            "WITH decided AS (
                 DELETE FROM doubt WHERE (issue_id, subscriber_id) IN (
                     SELECT issue_id, subscriber_id FROM doubt WHERE decided IS NOT NULL
                     LIMIT 5000 FOR UPDATE SKIP LOCKED)
                 RETURNING issue_id, subscriber_id, decided
             )
             UPDATE delivery d SET state = q.decided, updated_at = $1
             FROM decided q
             WHERE d.issue_id = q.issue_id AND d.subscriber_id = q.subscriber_id AND d.state = 6
             RETURNING d.issue_id, d.chunk_no",
            columns::moment(now),
        )
        .fetch_all(&mut *tx)
        .await?;
        let number = u64::try_from(decided.len()).unwrap_or(u64::MAX);
        let (issues, chunks): (Vec<_>, Vec<_>) = decided
            .into_iter()
            .map(|row| (row.issue_id, row.chunk_no))
            .unzip();
        recount(&mut tx, &issues, &chunks).await?;
        tx.commit().await?;
        Ok(number)
    }

    /// Deliveries in doubt that [`Self::note`] has not been told yet.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn new_doubts(&self) -> Result<Vec<NewDoubt>, StoreError> {
        const TABLE: &str = "delivery";
        sqlx::query!(
            "SELECT d.issue_id, d.subscriber_id, d.updated_at,
                    coalesce((SELECT convert_from(t.frozen, 'UTF8')::json->>'sender'
                              FROM issue_content t WHERE t.issue_id = i.id
                                AND t.frozen IS NOT NULL LIMIT 1), n.sender_address)
                        AS \"sender_address!\",
                    s.subscription_id AS \"subscription_id?\"
             FROM chunk c JOIN delivery d ON d.issue_id = c.issue_id AND d.chunk_no = c.chunk_no
             JOIN issue i ON i.id = c.issue_id JOIN newsletter n ON n.id = i.newsletter_id
             LEFT JOIN subscription s ON s.id = d.subscription
             WHERE c.in_doubt > 0 AND d.state = 6
               AND NOT EXISTS (SELECT FROM doubt q WHERE q.issue_id = d.issue_id
                                 AND q.subscriber_id = d.subscriber_id)
             LIMIT 1000"
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            let id = row.subscription_id.map(|id| columns::id(&id, TABLE));
            Ok(NewDoubt {
                issue: IssueNumber(columns::number(row.issue_id, TABLE)?),
                subscriber: row.subscriber_id,
                subscription_id: id.transpose()?,
                sender_address: row.sender_address,
                since: Timestamp::from_date_time(row.updated_at),
            })
        })
        .collect()
    }

    /// Writes down doubts with their Message-IDs, for operators.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn note(&self, doubts: &[(NewDoubt, Option<String>)]) -> Result<(), StoreError> {
        let issues: Vec<i64> = doubts.iter().map(|(d, _)| i64::from(d.issue.0)).collect();
        let subscribers: Vec<i64> = doubts.iter().map(|(d, _)| d.subscriber).collect();
        let ids: Vec<Option<String>> = doubts.iter().map(|(_, id)| id.clone()).collect();
        let since: Vec<_> = doubts
            .iter()
            .map(|(doubt, _)| columns::moment(doubt.since))
            .collect();
        sqlx::query!(
            "INSERT INTO doubt (issue_id, subscriber_id, message_id, since)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[])
             ON CONFLICT (issue_id, subscriber_id) DO NOTHING",
            &issues,
            &subscribers,
            &ids as &[Option<String>],
            &since,
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Forgets doubts that are none any more.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn forget_settled(&self) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM doubt q WHERE NOT EXISTS (
                 SELECT FROM delivery d WHERE d.issue_id = q.issue_id
                   AND d.subscriber_id = q.subscriber_id AND d.state = 6)"
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Wakes whoever sends, for issues that were taken up again. Returns how many hints it gave.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn wake(&self, now: Timestamp) -> Result<u64, StoreError> {
        let hints = sqlx::query!(
            "WITH woken AS (
                 UPDATE issue SET hints_wanted = false
                 WHERE finished_at IS NULL AND hints_wanted AND state = 3 AND retry_from IS NULL
                 RETURNING id
             )
             INSERT INTO outbox (topic, body, created_at)
             SELECT 1, '{\"v\":1,\"issue\":' || c.issue_id || ',\"chunk\":' || c.chunk_no || '}', $1
             FROM woken w JOIN chunk c ON c.issue_id = w.id
             WHERE c.state IN (0, 2) AND (c.next_due IS NULL OR c.next_due <= $1) LIMIT $2",
            columns::moment(now),
            HINTS,
        )
        .execute(&self.database.pool)
        .await?;
        Ok(hints.rows_affected())
    }

    /// Gives a hint again where one is ten minutes old and its chunk still due: the broker may have
    /// lost its disk, or dropped it. Not while many hints are on their way. Returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn reconcile(&self, now: Timestamp) -> Result<u64, StoreError> {
        let hints = sqlx::query!(
            "WITH stale AS (
                 SELECT c.issue_id, c.chunk_no FROM issue i JOIN chunk c ON c.issue_id = i.id
                 WHERE i.finished_at IS NULL AND i.state = 3 AND i.deadline > $1
                   AND c.state IN (0, 2) AND (c.next_due IS NULL OR c.next_due <= $1)
                   AND (c.outboxed_at IS NULL OR c.outboxed_at <= $2)
                   AND (SELECT count(*) FROM outbox) < $3
                 ORDER BY c.issue_id, c.chunk_no LIMIT $3 FOR UPDATE OF c SKIP LOCKED
             ), marked AS (
                 UPDATE chunk c SET outboxed_at = $1 FROM stale s
                 WHERE c.issue_id = s.issue_id AND c.chunk_no = s.chunk_no
             )
             INSERT INTO outbox (topic, body, created_at)
             SELECT 1, '{\"v\":1,\"issue\":' || issue_id || ',\"chunk\":' || chunk_no || '}', $1
             FROM stale",
            columns::moment(now),
            columns::moment(now.minus(HINT_LIFE)),
            HINTS,
        )
        .execute(&self.database.pool)
        .await?;
        Ok(hints.rows_affected())
    }

    /// How many chunks are set aside, because a worker died of them again and again.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn set_aside(&self) -> Result<u64, StoreError> {
        let number = sqlx::query_scalar!(
            "SELECT count(*) AS \"n!\" FROM issue i JOIN chunk c ON c.issue_id = i.id
             WHERE i.finished_at IS NULL AND c.state = 4"
        )
        .fetch_one(&self.database.pool)
        .await?;
        columns::number(number, "chunk")
    }
}

/// Counts the doubts of chunks again. A chunk that waited for their end is ready: whoever takes it
/// finds what is left. An issue that was finished over them is taken up again, while there is time.
pub(crate) async fn recount(
    tx: &mut PgConnection,
    issues: &[i64],
    chunks: &[i32],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE chunk c SET in_doubt = rest.in_doubt,
             state = CASE WHEN c.state IN (2, 3) AND rest.queued THEN 0
                          WHEN c.state = 3 AND rest.due IS NOT NULL THEN 2 ELSE c.state END,
             next_due = CASE WHEN c.state IN (2, 3) AND rest.queued THEN NULL
                             WHEN c.state = 3 THEN rest.due ELSE c.next_due END
         FROM (
             SELECT d.issue_id, d.chunk_no, bool_or(d.state = 0) AS queued,
                    min(d.not_before) FILTER (WHERE d.state = 3) AS due,
                    (count(*) FILTER (WHERE d.state = 6))::integer AS in_doubt
             FROM delivery d
             WHERE (d.issue_id, d.chunk_no) IN (
                 SELECT t.issue, t.chunk FROM unnest($1::bigint[], $2::integer[]) AS t(issue, chunk))
             GROUP BY d.issue_id, d.chunk_no
         ) rest
         WHERE c.issue_id = rest.issue_id AND c.chunk_no = rest.chunk_no",
        issues,
        chunks,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE issue i SET state = 3, finished_at = NULL, hints_wanted = true
         WHERE i.id = ANY($1) AND i.state = 6 AND i.finished_at < i.deadline
           AND EXISTS (SELECT FROM chunk c WHERE c.issue_id = i.id AND c.state IN (0, 2))",
        issues,
    )
    .execute(tx)
    .await?;
    Ok(())
}

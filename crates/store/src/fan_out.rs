//! From an approved issue to its audience, step by step (`reliability.md` 1.4, T2; 1.10).

use domain::{IssueNumber, Timestamp};

use crate::{Database, StoreError, columns};

/// Subscriptions written down in one transaction.
pub const FAN_OUT_STEP: i64 = 10_000;
/// Recipients of a chunk: about ten seconds of one connection.
pub const CHUNK_SIZE: i64 = 200;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FanOutStep {
    /// No issue waits for its audience.
    Idle,
    /// This many recipients were added; there may be more.
    Added(IssueNumber, u64),
    /// This many were added, and the audience is complete.
    Complete(IssueNumber, u64),
}

/// The planner's view of issues.
#[derive(Debug, Clone)]
pub struct FanOut {
    database: Database,
}

impl Database {
    /// Writing down audiences.
    #[must_use]
    pub fn fan_out(&self) -> FanOut {
        FanOut {
            database: self.clone(),
        }
    }
}

impl FanOut {
    /// Adds the next active subscriptions to the oldest issue that waits for its audience. The
    /// issue's row lock makes two planners serial; a crash goes on at the cursor.
    ///
    /// # Errors
    /// As [`StoreError`] says; nothing was written then.
    pub async fn step(&self, now: Timestamp) -> Result<FanOutStep, StoreError> {
        self.step_of(FAN_OUT_STEP, now).await
    }

    pub(crate) async fn step_of(
        &self,
        limit: i64,
        now: Timestamp,
    ) -> Result<FanOutStep, StoreError> {
        let now = columns::moment(now);
        let mut tx = self.database.begin().await?;
        let issue = sqlx::query!(
            "SELECT id, newsletter_id, upper_id, cursor_id FROM issue
             WHERE state IN (1, 2) ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(issue) = issue else {
            return Ok(FanOutStep::Idle);
        };
        let upper = match issue.upper_id {
            Some(upper) => upper,
            None => {
                sqlx::query_scalar!(
                    "SELECT coalesce(max(id), 0) AS \"upper!\" FROM subscription
                     WHERE newsletter_id = $1",
                    issue.newsletter_id
                )
                .fetch_one(&mut *tx)
                .await?
            }
        };
        // The cursor runs over subscribers, the order of the index of active subscriptions.
        let step = sqlx::query!(
            "WITH picked AS (
                 SELECT s.id, s.subscriber_id,
                        (row_number() OVER (ORDER BY s.subscriber_id) - 1) / $5 AS position
                 FROM subscription s
                 WHERE s.newsletter_id = $2 AND s.state = 1
                   AND s.subscriber_id > $3 AND s.id <= $4
                 ORDER BY s.subscriber_id LIMIT $6
             ), base AS (
                 SELECT coalesce(max(chunk_no) + 1, 0) AS first FROM chunk WHERE issue_id = $1
             ), added AS (
                 INSERT INTO delivery (issue_id, subscriber_id, subscription, chunk_no, updated_at)
                 SELECT $1, p.subscriber_id, p.id, b.first + p.position::integer, $7
                 FROM picked p, base b
                 ON CONFLICT (issue_id, subscriber_id) DO NOTHING
                 RETURNING chunk_no
             ), chunks AS (
                 INSERT INTO chunk (issue_id, chunk_no, n, outboxed_at)
                 SELECT $1, chunk_no, count(*)::integer, $7 FROM added GROUP BY chunk_no
                 RETURNING chunk_no
             ), hints AS (
                 INSERT INTO outbox (topic, body, created_at)
                 SELECT 1, '{\"v\":1,\"issue\":' || $1::bigint || ',\"chunk\":' || chunk_no || '}', $7
                 FROM chunks ORDER BY chunk_no
             )
             SELECT (SELECT count(*) FROM picked) AS \"picked!\",
                    (SELECT count(*) FROM added) AS \"added!\",
                    (SELECT max(subscriber_id) FROM picked) AS last",
            issue.id,
            issue.newsletter_id,
            issue.cursor_id,
            upper,
            CHUNK_SIZE,
            limit,
            now,
        )
        .fetch_one(&mut *tx)
        .await?;
        let complete = step.picked < limit;
        sqlx::query!(
            "UPDATE issue SET state = CASE WHEN $4 THEN 3 ELSE 2 END, upper_id = $2,
                    cursor_id = $3, fanned_out_at = CASE WHEN $4 THEN $5::timestamptz END
             WHERE id = $1",
            issue.id,
            upper,
            step.last.unwrap_or(issue.cursor_id),
            complete,
            now,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let number = IssueNumber(columns::number(issue.id, "issue")?);
        let added = columns::number(step.added, "delivery")?;
        Ok(if complete {
            FanOutStep::Complete(number, added)
        } else {
            FanOutStep::Added(number, added)
        })
    }

    /// Finishes the issues that have no chunk left to do. A periodic look, not a counter that
    /// reaches zero: a counter can be wrong. Returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn finish(&self, now: Timestamp) -> Result<u64, StoreError> {
        let finished = sqlx::query!(
            "UPDATE issue i SET state = 6, finished_at = $1
             WHERE i.state = 3 AND NOT EXISTS (
                 SELECT 1 FROM chunk c WHERE c.issue_id = i.id AND c.state IN (0, 1, 2, 5))",
            columns::moment(now)
        )
        .execute(&self.database.pool)
        .await?;
        Ok(finished.rows_affected())
    }
}

//! How long it is kept who got an issue: as long as a bounce of it may come, then only how many.

use std::time::Duration;

use domain::Timestamp;

use crate::{IssueUpkeep, StoreError, columns};

/// A return path is alive for 30 days (`FORMATS.md`), and a restored backup brings back 35 days.
const KEPT: Duration = Duration::from_hours(35 * 24);
/// Chunks in one step: about 5,000 recipients.
const STEP: i64 = 25;

impl IssueUpkeep {
    /// Deletes deliveries of issues that ended 35 days ago, about 5,000 at a time; the issue keeps their
    /// numbers. With one that arrived goes what came back before it. Returns how many; none left when 0.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn purge_step(&self, now: Timestamp) -> Result<u64, StoreError> {
        let deleted = sqlx::query_scalar!(
            "WITH old AS (
                 SELECT i.id FROM issue i
                 WHERE i.finished_at < $1 AND EXISTS (SELECT FROM chunk c WHERE c.issue_id = i.id)
                 ORDER BY i.id LIMIT 1 FOR UPDATE OF i SKIP LOCKED
             ), chunks AS (
                 DELETE FROM chunk WHERE (issue_id, chunk_no) IN (
                     SELECT c.issue_id, c.chunk_no FROM old JOIN chunk c ON c.issue_id = old.id
                     ORDER BY c.issue_id, c.chunk_no LIMIT $2)
                 RETURNING issue_id, chunk_no, n
             ), rows AS (
                 DELETE FROM delivery d USING chunks c
                 WHERE d.issue_id = c.issue_id AND d.chunk_no = c.chunk_no
                 RETURNING d.state, d.subscription, d.issue_id
             ), arrived AS (
                 DELETE FROM bounce b USING rows r
                 WHERE r.state = 2 AND b.subscription = r.subscription AND b.issue_id < r.issue_id
                   AND b.kind = 2
             ), counts AS (
                 SELECT count(*) AS n,
                        count(*) FILTER (WHERE state = 2) AS accepted,
                        count(*) FILTER (WHERE state IN (5, 8)) AS suppressed,
                        count(*) FILTER (WHERE state IN (4, 7, 10)) AS failed,
                        count(*) FILTER (WHERE state NOT IN (2, 4, 5, 7, 8, 10)) AS uncertain
                 FROM rows
             )
             UPDATE issue i
             SET past_audience = i.past_audience + (SELECT coalesce(sum(n), 0) FROM chunks),
                    past_accepted = i.past_accepted + c.accepted,
                    past_suppressed = i.past_suppressed + c.suppressed,
                    past_failed = i.past_failed + c.failed,
                    past_uncertain = i.past_uncertain + c.uncertain
             FROM old, counts c WHERE i.id = old.id
             RETURNING c.n AS \"n!\"",
            columns::moment(now.minus(KEPT)),
            STEP,
        )
        .fetch_optional(&self.database.pool)
        .await?;
        columns::number(deleted.unwrap_or(0), "delivery")
    }
}

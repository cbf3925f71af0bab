//! Chunks: two hundred recipients of an issue that one worker has in hand (`reliability.md` 1.4,
//! T4 and T7).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::{IssueNumber, Timestamp, WorkerId};

use crate::{Database, StoreError, columns};

/// A chunk in the hands of a worker. The epoch grows with each owner and guards every result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnedChunk {
    /// The issue.
    pub issue: IssueNumber,
    /// The chunk's number within it.
    pub chunk: i32,
    /// Who has it.
    pub worker: WorkerId,
    /// One more than under the owner before.
    pub epoch: i32,
}

/// The table of chunks, and the outbox whose rows are hints to it.
#[derive(Debug, Clone)]
pub struct ChunkTable {
    database: Database,
    /// The issue whose turn it was last, for all clones.
    last: Arc<AtomicI64>,
}

impl Database {
    /// Taking and handing back chunks.
    #[must_use]
    pub fn chunks(&self) -> ChunkTable {
        ChunkTable {
            database: self.clone(),
            last: Arc::default(),
        }
    }
}

const CHUNK: &str = "chunk";
/// So many workers may die with a chunk that gets nowhere.
const DEADLY: i32 = 5;
/// What is counted after the lock was given must be what others committed before, whatever a server is
/// set to.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

impl ChunkTable {
    /// Takes the first chunk that is due (T4). The issues that are being sent take turns: a small one
    /// does not stand behind a million.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn take_due(
        &self,
        worker: WorkerId,
        now: Timestamp,
    ) -> Result<Option<OwnedChunk>, StoreError> {
        // The issues one by one, beginning after the last: the first that has a chunk ends it.
        let taken = sqlx::query!(
            "UPDATE chunk SET state = 1, owner = $1, epoch = epoch + 1, next_due = NULL
             WHERE (issue_id, chunk_no) IN (
                 SELECT due.issue_id, due.chunk_no FROM (
                     SELECT id FROM issue
                     WHERE finished_at IS NULL AND state = 3 AND deadline > $2
                     ORDER BY id <= $3, id
                 ) turn CROSS JOIN LATERAL (
                     SELECT c.issue_id, c.chunk_no FROM chunk c
                     WHERE c.issue_id = turn.id AND c.state IN (0, 2)
                       AND (c.next_due IS NULL OR c.next_due <= $2)
                     ORDER BY c.next_due NULLS FIRST, c.chunk_no LIMIT 1
                     FOR UPDATE SKIP LOCKED
                 ) due LIMIT 1)
             RETURNING issue_id, chunk_no, epoch",
            worker.as_bytes(),
            columns::moment(now),
            self.last.load(Ordering::Relaxed),
        )
        .fetch_optional(&self.database.pool)
        .await?;
        if let Some(row) = &taken {
            self.last.store(row.issue_id, Ordering::Relaxed);
        }
        taken
            .map(|row| {
                Ok(OwnedChunk {
                    issue: IssueNumber(columns::number(row.issue_id, CHUNK)?),
                    chunk: row.chunk_no,
                    worker,
                    epoch: row.epoch,
                })
            })
            .transpose()
    }

    /// Hands a chunk back (T7): done, waiting until its next recipient is due, or ready for whoever
    /// comes. It stays with its owner while a recipient is being attempted; false then.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn close(&self, chunk: &OwnedChunk) -> Result<bool, StoreError> {
        let closed = self
            .close_running(
                chunk.worker,
                Some((i64::from(chunk.issue.0), chunk.chunk, chunk.epoch)),
            )
            .await?;
        Ok(closed > 0)
    }

    /// The chunks that are in a worker's hands, by the database.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn running(&self, worker: WorkerId) -> Result<Vec<OwnedChunk>, StoreError> {
        sqlx::query!(
            "SELECT issue_id, chunk_no, epoch FROM chunk WHERE owner = $1 AND state = 1",
            worker.as_bytes(),
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok(OwnedChunk {
                issue: IssueNumber(columns::number(row.issue_id, CHUNK)?),
                chunk: row.chunk_no,
                worker,
                epoch: row.epoch,
            })
        })
        .collect()
    }

    /// Hands back all chunks of a worker that is gone, or of an earlier boot: it died with them. One
    /// with which workers died five times without getting anywhere is set aside, until an operator
    /// says to retry. Returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn close_all_of(&self, worker: WorkerId) -> Result<u64, StoreError> {
        self.close_running(worker, None).await
    }

    /// A chunk whose recipients in doubt are to be sent again waits for the resolver, which sets it
    /// ready: until then its issue must not finish. One that is done and has no doubts is counted.
    async fn close_running(
        &self,
        worker: WorkerId,
        only: Option<(i64, i32, i32)>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.database.pool.begin_with(BEGIN).await?;
        // Locked first, and counted by a statement that begins after it: what a claim, a resolver or
        // late evidence had under way is there to be seen.
        let held = sqlx::query!(
            "SELECT issue_id, chunk_no FROM chunk
             WHERE owner = $1 AND state = 1
               AND ($2::bigint IS NULL OR (issue_id = $2 AND chunk_no = $3 AND epoch = $4))
             ORDER BY issue_id, chunk_no FOR UPDATE",
            worker.as_bytes(),
            only.map(|key| key.0),
            only.map(|key| key.1),
            only.map(|key| key.2),
        )
        .fetch_all(&mut *tx)
        .await?;
        if held.is_empty() {
            return Ok(0);
        }
        let (issues, chunks): (Vec<i64>, Vec<i32>) = held
            .into_iter()
            .map(|row| (row.issue_id, row.chunk_no))
            .unzip();
        let closed = sqlx::query!(
            "UPDATE chunk c SET owner = NULL, in_doubt = rest.in_doubt, state = next.state,
                    next_due = CASE WHEN next.state <> 2 THEN NULL
                                    ELSE coalesce(rest.next_due, i.deadline) END,
                    crashes = next.crashes,
                    left_over = CASE WHEN next.crashes > 0 THEN rest.left_over END,
                    accepted = CASE WHEN next.counts THEN rest.accepted END,
                    suppressed = CASE WHEN next.counts THEN rest.suppressed END,
                    failed = CASE WHEN next.counts THEN rest.failed END
             FROM unnest($1::bigint[], $2::integer[]) AS held(issue, chunk)
             JOIN chunk o ON o.issue_id = held.issue AND o.chunk_no = held.chunk
             JOIN issue i ON i.id = o.issue_id
             CROSS JOIN LATERAL (
                 SELECT bool_or(d.state = 0) AS queued,
                        bool_or(d.state = 1) AS attempting,
                        bool_or(d.state IN (6, 9)) AS uncertain,
                        min(d.not_before) FILTER (WHERE d.state = 3) AS next_due,
                        (count(*) FILTER (WHERE d.state IN (0, 3)))::integer AS left_over,
                        (count(*) FILTER (WHERE d.state = 6))::integer AS in_doubt,
                        (count(*) FILTER (WHERE d.state = 2))::integer AS accepted,
                        (count(*) FILTER (WHERE d.state IN (5, 8)))::integer AS suppressed,
                        (count(*) FILTER (WHERE d.state IN (4, 7, 10)))::integer AS failed
                 FROM delivery d WHERE d.issue_id = o.issue_id AND d.chunk_no = o.chunk_no
             ) rest
             CROSS JOIN LATERAL (
                 SELECT CASE WHEN $3 OR rest.left_over = 0 THEN 0
                             WHEN rest.left_over < o.left_over THEN 1
                             ELSE o.crashes + 1 END AS crashes
             ) died
             CROSS JOIN LATERAL (
                 SELECT died.crashes,
                        CASE WHEN died.crashes >= $4 THEN 4
                             WHEN rest.queued THEN 0
                             WHEN rest.next_due IS NOT NULL THEN 2
                             WHEN rest.in_doubt > 0 AND i.in_doubt_policy = 1 AND i.state <> 5 THEN 2
                             ELSE 3 END AS state,
                        rest.left_over = 0 AND NOT rest.uncertain AS counts
             ) next
             WHERE o.issue_id = c.issue_id AND o.chunk_no = c.chunk_no
               AND rest.attempting IS NOT TRUE",
            &issues,
            &chunks,
            only.is_some(),
            DEADLY,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(closed.rows_affected())
    }

    /// Takes hints out of the outbox: whoever polls the tables needs none, and a row goes when its
    /// hint was handed on. Returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn take_hints(&self) -> Result<u64, StoreError> {
        let taken = sqlx::query!(
            "DELETE FROM outbox WHERE id IN (
                 SELECT id FROM outbox ORDER BY id LIMIT 256 FOR UPDATE SKIP LOCKED)"
        )
        .execute(&self.database.pool)
        .await?;
        Ok(taken.rows_affected())
    }
}

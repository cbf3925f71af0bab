//! A database that went back in time, as one restored from a backup did: what it has forgotten, and how far
//! that is made up for (`DESIGN.md` 2).
//!
//! A worker that remembers more than the database has joins the open restore, or opens one, and hands over
//! what it remembers: how far each spool was applied, the erasures of its journal, its newest checkpoint.
//! While a restore is open nothing is sent. It is recorded in the ledger before anything else is, and ends
//! by itself once every spool of stops has reported and is applied as far as it was once, and every erasure
//! is applied again.

mod erasures;
mod facts;

use std::time::Duration;

use domain::{
    Actor, Effect, EventId, IssueNumber, LedgerEntry, Method, Restored, Timestamp, WorkerId,
};

pub use facts::{Joined, Obstacle, PastErasure, Present, Remembered, SpoolMark};

use crate::registrar::{BEGIN, append_under_lock};
use crate::{Database, StoreError, columns, workers};

const TABLE: &str = "restore";

/// Workers beat every five seconds: by now each that lives has handed over what it remembers, so the entry
/// names the newest checkpoint that any of them has.
const RECORD_AFTER: Duration = Duration::from_secs(6);

/// So long a worker is waited for that joined and then said no more: it is taken for dead.
const JOURNALS: Duration = Duration::from_mins(1);

/// The table of restores.
#[derive(Debug, Clone)]
pub struct RestoreTable {
    database: Database,
}

impl Database {
    /// For workers, and for whoever asks what is missing.
    #[must_use]
    pub fn restores(&self) -> RestoreTable {
        RestoreTable {
            database: self.clone(),
        }
    }
}

impl RestoreTable {
    /// What a worker compares with its memory.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn present(&self, worker: WorkerId, now: Timestamp) -> Result<Present, StoreError> {
        let row = sqlx::query!(
            "SELECT i.tick, (SELECT seq FROM ledger_head) AS \"head!\", w.heartbeat AS \"heartbeat?\", r.id AS \"restore?\",
                    j.reasserted AS \"reasserted?\",
                    EXISTS (SELECT FROM barrier_act
                            WHERE until > $2 AND recorded_seq IS NOT NULL) AS \"overridden!\"
             FROM installation i
             LEFT JOIN worker w ON w.worker_id = $1
             LEFT JOIN restore r ON r.ended_at IS NULL
             LEFT JOIN restore_witness j ON j.restore_id = r.id AND j.worker_id = $1",
            worker.as_bytes(),
            columns::moment(now),
        )
        .fetch_optional(&self.database.pool)
        .await?;
        // A database without an installation was never migrated by us: tests only.
        let Some(row) = row else {
            return Ok(Present::default());
        };
        let spools = sqlx::query!(
            "SELECT spool_id, applied_upto FROM spool WHERE holds_stops ORDER BY spool_id"
        )
        .fetch_all(&self.database.pool)
        .await?;
        Ok(Present {
            tick: columns::number(row.tick, TABLE)?,
            heartbeat: columns::number(row.heartbeat.unwrap_or(0), TABLE)?,
            ledger_head: columns::number(row.head, TABLE)?,
            spools: spools
                .into_iter()
                .map(|row| {
                    Ok(SpoolMark {
                        spool_id: columns::id(&row.spool_id, TABLE)?,
                        applied_upto: columns::number(row.applied_upto, TABLE)?,
                    })
                })
                .collect::<Result<_, StoreError>>()?,
            restore: row.restore.map(|_| match row.reasserted {
                Some(reasserted) => Joined::Yes { reasserted },
                None => Joined::No,
            }),
            overridden: row.overridden,
        })
    }

    /// Hands over what a worker remembers, in the open restore or in a new one. From its commit on nobody
    /// sends.
    ///
    /// # Errors
    /// Those of the database; doing it again is harmless.
    pub async fn join(
        &self,
        worker: WorkerId,
        remembered: &Remembered,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.pool.begin_with(BEGIN).await?;
        // In the registrar's turn, so that none is under way that has not heard of it.
        sqlx::query_scalar!("SELECT seq FROM ledger_head FOR UPDATE")
            .fetch_one(&mut *tx)
            .await?;
        let open = sqlx::query_scalar!(
            "WITH opened AS (
                 INSERT INTO restore (detected_at)
                 SELECT $1 WHERE NOT EXISTS (SELECT FROM restore WHERE ended_at IS NULL)
                 RETURNING id
             )
             SELECT id AS \"id!\" FROM opened
             UNION ALL SELECT id FROM restore WHERE ended_at IS NULL",
            columns::moment(now),
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO restore_witness (restore_id, worker_id, checkpoint_seq, checkpoint_h)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            open,
            worker.as_bytes(),
            columns::bigint(remembered.checkpoint.checkpoint_seq),
            &remembered.checkpoint.checkpoint_h,
        )
        .execute(&mut *tx)
        .await?;
        let (ids, upto): (Vec<Vec<u8>>, Vec<i64>) = remembered
            .spools
            .iter()
            .map(|mark| {
                (
                    mark.spool_id.as_bytes().to_vec(),
                    columns::bigint(mark.applied_upto),
                )
            })
            .unzip();
        sqlx::query!(
            "INSERT INTO restore_spool (restore_id, spool_id, seen_upto, counter)
             SELECT $1, known.spool_id, max(known.upto), coalesce(max(s.counter), -1)
             FROM (SELECT * FROM unnest($2::bytea[], $3::bigint[]) AS seen (spool_id, upto)
                   UNION ALL
                   SELECT spool_id, applied_upto FROM spool
                   WHERE holds_stops AND retired_at IS NULL) AS known
             LEFT JOIN spool s ON s.spool_id = known.spool_id
             GROUP BY known.spool_id
             ON CONFLICT (restore_id, spool_id) DO UPDATE
                 SET seen_upto = greatest(restore_spool.seen_upto, EXCLUDED.seen_upto)",
            open,
            &ids,
            &upto,
        )
        .execute(&mut *tx)
        .await?;
        erasures::hand_over(&mut tx, &remembered.erasures).await?;
        workers::enter(&mut tx, worker, &remembered.boot_id, remembered.build).await?;
        Ok(tx.commit().await?)
    }

    /// What this worker's journal proves to be sent stands in the database again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reasserted(&self, worker: WorkerId) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE restore_witness w SET reasserted = true FROM restore r
             WHERE r.id = w.restore_id AND r.ended_at IS NULL AND w.worker_id = $1",
            worker.as_bytes(),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Records the open restore in the ledger, once every worker that lives has had the time to join.
    /// Whether it did so now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn record(&self, event_id: EventId, now: Timestamp) -> Result<bool, StoreError> {
        let is_due = sqlx::query_scalar!(
            "SELECT EXISTS (SELECT FROM restore WHERE ended_at IS NULL AND recorded_seq IS NULL
                              AND detected_at <= $1) AS \"due!\"",
            columns::moment(now.minus(RECORD_AFTER)),
        )
        .fetch_one(&self.database.pool)
        .await?;
        if !is_due {
            return Ok(false);
        }
        let mut tx = self.database.pool.begin_with(BEGIN).await?;
        sqlx::query_scalar!("SELECT seq FROM ledger_head FOR UPDATE")
            .fetch_one(&mut *tx)
            .await?;
        let open = sqlx::query!(
            "SELECT r.id, w.checkpoint_seq, w.checkpoint_h
             FROM restore r JOIN restore_witness w ON w.restore_id = r.id
             WHERE r.ended_at IS NULL AND r.recorded_seq IS NULL
             ORDER BY w.checkpoint_seq DESC LIMIT 1"
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(open) = open else {
            return Ok(false);
        };
        let entry = LedgerEntry {
            event_id,
            occurred_at: now,
            recorded_at: now,
            newsletter: None,
            subscription_id: None,
            issue: IssueNumber::NONE,
            method: Method::Restore,
            effect: Effect::None,
            token: None,
            actor: Actor::System,
            staff_reference: None,
            decision_id: None,
            spool_id: None,
            restored: Some(Restored {
                checkpoint_seq: columns::number(open.checkpoint_seq, TABLE)?,
                checkpoint_h: columns::bytes(&open.checkpoint_h, TABLE)?,
            }),
        };
        let seq = append_under_lock(&mut tx, &[entry]).await?;
        sqlx::query!(
            "UPDATE restore SET recorded_seq = $2 WHERE id = $1",
            open.id,
            columns::bigint(seq),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the open restore if all is made up for. Whether it did so now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end(&self, now: Timestamp) -> Result<bool, StoreError> {
        if !self.obstacles(now).await?.is_empty() {
            return Ok(false);
        }
        // An obstacle that came meanwhile came by a worker that joined, and that closes it anew.
        let ended = sqlx::query!(
            "UPDATE restore SET ended_at = $1
             WHERE ended_at IS NULL AND recorded_seq IS NOT NULL
               AND NOT EXISTS (SELECT FROM restore_erasure WHERE applied_at IS NULL)",
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(ended.rows_affected() > 0)
    }

    /// Whether a restore is open: nothing is sent then.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_open(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT EXISTS (SELECT FROM restore WHERE ended_at IS NULL) AS \"open!\""
        )
        .fetch_one(&self.database.pool)
        .await?)
    }

    /// What an open restore waits for; nothing where none is open.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn obstacles(&self, now: Timestamp) -> Result<Vec<Obstacle>, StoreError> {
        let open = sqlx::query!(
            "SELECT recorded_seq,
                    (SELECT count(*) FROM restore_erasure WHERE applied_at IS NULL) AS \"erasures!\",
                    (SELECT count(*) FROM restore_witness w
                     WHERE w.restore_id = r.id AND NOT w.reasserted AND r.detected_at > $1)
                        AS \"journals!\"
             FROM restore r WHERE ended_at IS NULL",
            columns::moment(now.minus(JOURNALS)),
        )
        .fetch_optional(&self.database.pool)
        .await?;
        let Some(open) = open else {
            return Ok(Vec::new());
        };
        let mut obstacles = Vec::new();
        if open.recorded_seq.is_none() {
            obstacles.push(Obstacle::NotRecorded);
        }
        if open.erasures > 0 {
            let waiting = columns::number(open.erasures, "restore_erasure")?;
            obstacles.push(Obstacle::Erasures(waiting));
        }
        if open.journals > 0 {
            let waiting = columns::number(open.journals, "restore_witness")?;
            obstacles.push(Obstacle::Journals(waiting));
        }
        // The first heartbeat brings a role the older mark, the second says what waits behind it.
        let spools = sqlx::query!(
            "SELECT seen.spool_id, seen.seen_upto, s.role AS \"role?\",
                    coalesce(s.applied_upto, 0) AS \"applied_upto!\",
                    coalesce(s.counter >= seen.counter + 2, false) AS \"reported!\"
             FROM restore r JOIN restore_spool seen ON seen.restore_id = r.id
             LEFT JOIN spool s ON s.spool_id = seen.spool_id
             WHERE r.ended_at IS NULL AND s.retired_at IS NULL
               AND NOT coalesce(s.counter >= seen.counter + 2
                                AND s.applied_upto >= seen.seen_upto
                                AND (s.oldest_stop_at IS NULL OR s.oldest_stop_at > r.detected_at),
                                false)
             ORDER BY seen.spool_id"
        )
        .fetch_all(&self.database.pool)
        .await?;
        for row in spools {
            obstacles.push(Obstacle::Spool {
                spool_id: columns::id(&row.spool_id, "restore_spool")?,
                role: row.role.unwrap_or_default(),
                applied_upto: columns::number(row.applied_upto, "spool")?,
                seen_upto: columns::number(row.seen_upto, "restore_spool")?,
                reported: row.reported,
            });
        }
        Ok(obstacles)
    }
}

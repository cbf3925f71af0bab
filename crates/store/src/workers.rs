//! Workers: whose heart still beats, and the installation's tick.
//!
//! A heartbeat is a counter, not a time: no clock that jumps can condemn a worker
//! (`reliability.md` 1.7).

use domain::{Timestamp, WorkerId};
use sqlx::PgConnection;

use crate::{Database, StoreError, columns};

/// A worker as another one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerPulse {
    /// Which.
    pub worker: WorkerId,
    /// One more with each heartbeat.
    pub heartbeat: u64,
}

/// What a committed heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The installation's tick after it: a lower one than before tells a database that went back.
    Tick(u64),
    /// Another process took this worker's place: do nothing more.
    Replaced,
}

/// The table of workers.
#[derive(Debug, Clone)]
pub struct WorkerTable {
    database: Database,
}

impl Database {
    /// Heartbeats of workers.
    #[must_use]
    pub fn workers(&self) -> WorkerTable {
        WorkerTable {
            database: self.clone(),
        }
    }
}

impl WorkerTable {
    /// Enters a worker, or the next boot of one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn register(
        &self,
        worker: WorkerId,
        boot_id: &[u8; 16],
        build: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        enter(&mut tx, worker, boot_id, build).await?;
        Ok(tx.commit().await?)
    }

    /// One heartbeat of this boot of the worker, and one tick of the installation.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn beat(&self, worker: WorkerId, boot_id: &[u8; 16]) -> Result<Beat, StoreError> {
        let mut tx = self.database.begin().await?;
        let mine = sqlx::query!(
            "UPDATE worker SET heartbeat = heartbeat + 1 WHERE worker_id = $1 AND boot_id = $2",
            worker.as_bytes(),
            boot_id,
        )
        .execute(&mut *tx)
        .await?;
        if mine.rows_affected() == 0 {
            return Ok(Beat::Replaced);
        }
        // Counted up by whoever finds it free: a worker that vanished with the row in its hands, a
        // second before its commit, stops nobody else's heart.
        let tick = sqlx::query_scalar!(
            "WITH counted AS (
                 UPDATE installation SET tick = tick + 1
                 WHERE tick IN (SELECT tick FROM installation FOR UPDATE SKIP LOCKED)
                 RETURNING tick
             )
             SELECT coalesce((SELECT tick FROM counted), (SELECT tick FROM installation))"
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        // a database without an installation row was never migrated by us: tests only
        Ok(Beat::Tick(columns::number(
            tick.unwrap_or(0),
            "installation",
        )?))
    }

    /// The server's time of day, which all workers share.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn server_time(&self) -> Result<Timestamp, StoreError> {
        let now = sqlx::query_scalar!("SELECT clock_timestamp() AS \"now!\"")
            .fetch_one(&self.database.pool)
            .await?;
        Ok(Timestamp::from_date_time(now))
    }

    /// Everybody, for the sweeper to watch.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn pulses(&self) -> Result<Vec<WorkerPulse>, StoreError> {
        sqlx::query!("SELECT worker_id, heartbeat FROM worker")
            .fetch_all(&self.database.pool)
            .await?
            .into_iter()
            .map(|row| {
                Ok(WorkerPulse {
                    worker: columns::id(&row.worker_id, "worker")?,
                    heartbeat: columns::number(row.heartbeat, "worker")?,
                })
            })
            .collect()
    }
}

/// Enters a worker, or this boot of one.
pub(crate) async fn enter(
    tx: &mut PgConnection,
    worker: WorkerId,
    boot_id: &[u8; 16],
    build: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO worker (worker_id, boot_id, heartbeat, role, build)
             VALUES ($1, $2, 1, 'deliver', $3)
             ON CONFLICT (worker_id) DO UPDATE
             SET boot_id = excluded.boot_id, heartbeat = worker.heartbeat + 1, build = excluded.build",
        worker.as_bytes(),
        boot_id,
        build,
    )
    .execute(tx)
    .await?;
    Ok(())
}

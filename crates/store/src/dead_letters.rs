//! Requests that could not be read or applied, kept for somebody to look at. A stop among them keeps
//! the barrier closed until then (`DESIGN.md` 2, Barrier).

use domain::{SpoolId, Timestamp};

use crate::{Database, StoreError, columns};

const TABLE: &str = "dead_request";

/// A request that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number, for commands.
    pub number: u64,
    /// Whether it keeps the barrier closed.
    pub stop: bool,
    /// Why it was set aside.
    pub reason: String,
    /// How large it is.
    pub bytes: u64,
    /// When it was set aside.
    pub died_at: Timestamp,
    /// The spool that accepted it; zeros where that could not be read.
    pub spool_id: SpoolId,
    /// Its place there.
    pub seq: u64,
}

/// The table of dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    database: Database,
}

impl Database {
    /// For operator commands and metrics.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters {
            database: self.clone(),
        }
    }
}

impl DeadLetters {
    /// Those that nobody has looked at yet, oldest first, at most 10,000.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self) -> Result<Vec<DeadLetter>, StoreError> {
        sqlx::query!(
            "SELECT id, stop, reason, bytes, died_at, spool_id, seq
             FROM dead_request WHERE seen_at IS NULL ORDER BY id LIMIT 10000"
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok(DeadLetter {
                number: columns::number(row.id, TABLE)?,
                stop: row.stop,
                reason: row.reason,
                bytes: columns::number(row.bytes, TABLE)?,
                died_at: Timestamp::from_date_time(row.died_at),
                spool_id: columns::id(&row.spool_id, TABLE)?,
                seq: columns::number(row.seq, TABLE)?,
            })
        })
        .collect()
    }

    /// How many nobody has looked at yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn unseen(&self) -> Result<u64, StoreError> {
        let number = sqlx::query_scalar!(
            "SELECT count(*) AS \"n!\" FROM dead_request WHERE seen_at IS NULL"
        )
        .fetch_one(&self.database.pool)
        .await?;
        columns::number(number, TABLE)
    }

    /// Somebody has looked at this one. Gives whether it was waiting for that.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn seen(&self, number: u64, now: Timestamp) -> Result<bool, StoreError> {
        let seen = sqlx::query!(
            "UPDATE dead_request SET seen_at = $2 WHERE id = $1 AND seen_at IS NULL",
            columns::bigint(number),
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(seen.rows_affected() == 1)
    }
}

//! The ledger's checkpoints, as the database keeps them; copies lie outside of it.

use domain::Timestamp;
use ledger::{Checkpoint, Head, SignedCheckpoint};

use crate::{LedgerReader, StoreError, columns};

const ENTRIES: &str = "ledger_entry";
const CHECKPOINTS: &str = "ledger_checkpoint";

impl LedgerReader {
    /// Up to `limit` checkpoints in the order of the chain, after one that was read before.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn checkpoints_after(
        &self,
        last: Option<&SignedCheckpoint>,
        limit: u32,
    ) -> Result<Vec<SignedCheckpoint>, StoreError> {
        let (seq, h, key) = last.map_or((-1, Vec::new(), Vec::new()), |signed| {
            (
                columns::bigint(signed.checkpoint.seq),
                signed.checkpoint.h.to_vec(),
                signed.public_key.to_vec(),
            )
        });
        let rows = sqlx::query_as!(
            CheckpointRow,
            "SELECT seq, h, time_ms, signature, public_key FROM ledger_checkpoint
             WHERE (seq, h, public_key) > ($1, $2, $3) ORDER BY seq, h, public_key LIMIT $4",
            seq,
            &h,
            &key,
            i64::from(limit),
        )
        .fetch_all(&self.database.pool)
        .await?;
        rows.into_iter().map(CheckpointRow::read).collect()
    }

    /// The first checkpoint that covers this seq.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn checkpoint_over(&self, seq: u64) -> Result<Option<SignedCheckpoint>, StoreError> {
        let row = sqlx::query_as!(
            CheckpointRow,
            "SELECT seq, h, time_ms, signature, public_key FROM ledger_checkpoint
             WHERE seq >= $1 ORDER BY seq, time_ms LIMIT 1",
            columns::bigint(seq),
        )
        .fetch_optional(&self.database.pool)
        .await?;
        row.map(CheckpointRow::read).transpose()
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn newest_checkpoint(&self) -> Result<Option<SignedCheckpoint>, StoreError> {
        let row = sqlx::query_as!(
            CheckpointRow,
            "SELECT seq, h, time_ms, signature, public_key FROM ledger_checkpoint
             ORDER BY seq DESC, time_ms DESC LIMIT 1"
        )
        .fetch_optional(&self.database.pool)
        .await?;
        row.map(CheckpointRow::read).transpose()
    }

    /// Restores that have no checkpoint at their own seq yet, with what they give up; a verifier believes
    /// them only with one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn restores_without_checkpoint(&self) -> Result<Vec<Head>, StoreError> {
        let rows = sqlx::query!(
            "SELECT e.seq, e.h FROM ledger_entry e
             WHERE e.method = 13
               AND NOT EXISTS (SELECT FROM ledger_checkpoint c WHERE c.seq = e.seq AND c.h = e.h)
             ORDER BY e.seq LIMIT 10"
        )
        .fetch_all(&self.database.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Head {
                    seq: columns::number(row.seq, ENTRIES)?,
                    h: columns::bytes(&row.h, ENTRIES)?,
                })
            })
            .collect()
    }

    /// Whether an entry says that the ledger was restored and that it had come as far as this checkpoint.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn gives_up(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            "SELECT EXISTS (SELECT FROM ledger_entry
                            WHERE method = 13 AND seq <= $1 AND recorded_ms >= $2
                              AND (restored_seq > $1 OR restored_seq = $1 AND restored_h = $3))
                    AS \"gives_up!\"",
            columns::bigint(checkpoint.seq),
            columns::bigint(checkpoint.time.as_millis()),
            &checkpoint.h,
        )
        .fetch_one(&self.database.pool)
        .await
        .map_err(StoreError::from)
    }

    /// Keeps a checkpoint. Another worker may have kept one of the same place.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keep(&self, signed: &SignedCheckpoint) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO ledger_checkpoint (seq, h, time_ms, signature, public_key)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            columns::bigint(signed.checkpoint.seq),
            &signed.checkpoint.h,
            columns::bigint(signed.checkpoint.time.as_millis()),
            &signed.signature,
            &signed.public_key,
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }
}

struct CheckpointRow {
    seq: i64,
    h: Vec<u8>,
    time_ms: i64,
    signature: Vec<u8>,
    public_key: Vec<u8>,
}

impl CheckpointRow {
    fn read(self) -> Result<SignedCheckpoint, StoreError> {
        Ok(SignedCheckpoint {
            checkpoint: Checkpoint {
                seq: columns::number(self.seq, CHECKPOINTS)?,
                h: columns::bytes(&self.h, CHECKPOINTS)?,
                time: Timestamp::from_millis(columns::number(self.time_ms, CHECKPOINTS)?),
            },
            signature: columns::bytes(&self.signature, CHECKPOINTS)?,
            public_key: columns::bytes(&self.public_key, CHECKPOINTS)?,
        })
    }
}

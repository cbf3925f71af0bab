//! Erasures that a database that went back has forgotten.

use domain::{Method, SuppressionCode, Timestamp};

use super::{PastErasure, RestoreTable};
use crate::{StoreError, columns};

impl RestoreTable {
    /// Erasures after this entry of the ledger, for the journals of all workers, each with its entry's
    /// seq; some of them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn erasures_after(&self, seq: u64) -> Result<Vec<(u64, PastErasure)>, StoreError> {
        const TABLE: &str = "ledger_entry";
        sqlx::query!(
            "SELECT e.seq, e.event_id, e.occurred_ms, e.spool_id AS \"spool_id!\", x.code,
                    x.code_generation
             FROM ledger_entry e
             JOIN suppression x ON x.event_id = e.event_id AND x.level = 3 AND x.code_kind = 0
             WHERE e.seq > $1 AND e.method = $2 AND e.spool_id IS NOT NULL
             ORDER BY e.seq LIMIT 500",
            columns::bigint(seq),
            i16::from(Method::Erasure.number()),
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            let past = PastErasure {
                event_id: columns::id(&row.event_id, TABLE)?,
                accepted_at: Timestamp::from_millis(columns::number(row.occurred_ms, TABLE)?),
                code: SuppressionCode::new(columns::bytes(&row.code, TABLE)?),
                generation: columns::number(row.code_generation, TABLE)?,
                spool_id: columns::id(&row.spool_id, TABLE)?,
            };
            Ok((columns::number(row.seq, TABLE)?, past))
        })
        .collect()
    }

    /// Erasures that are to be applied again, some of them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn erasures_waiting(&self) -> Result<Vec<PastErasure>, StoreError> {
        const TABLE: &str = "restore_erasure";
        sqlx::query!(
            "SELECT event_id, accepted_at, code, code_generation, spool_id FROM restore_erasure
             WHERE applied_at IS NULL ORDER BY event_id LIMIT 100"
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok(PastErasure {
                event_id: columns::id(&row.event_id, TABLE)?,
                accepted_at: Timestamp::from_date_time(row.accepted_at),
                code: SuppressionCode::new(columns::bytes(&row.code, TABLE)?),
                generation: columns::number(row.code_generation, TABLE)?,
                spool_id: columns::id(&row.spool_id, TABLE)?,
            })
        })
        .collect()
    }
}

/// Those of the erasures that this database does not have.
pub(super) async fn hand_over(
    tx: &mut sqlx::PgConnection,
    erasures: &[PastErasure],
) -> Result<(), StoreError> {
    if erasures.is_empty() {
        return Ok(());
    }
    let bytes = |of: &dyn Fn(&PastErasure) -> Vec<u8>| -> Vec<Vec<u8>> {
        erasures.iter().map(of).collect()
    };
    let times: Vec<_> = erasures
        .iter()
        .map(|one| columns::moment(one.accepted_at))
        .collect();
    let generations: Vec<i16> = erasures
        .iter()
        .map(|one| columns::number(one.generation, "restore_erasure"))
        .collect::<Result<_, _>>()?;
    sqlx::query!(
        "INSERT INTO restore_erasure (event_id, accepted_at, code, code_generation, spool_id)
         SELECT past.*
         FROM unnest($1::bytea[], $2::timestamptz[], $3::bytea[], $4::smallint[], $5::bytea[])
              AS past (event_id, accepted_at, code, code_generation, spool_id)
         WHERE NOT EXISTS (SELECT FROM ledger_entry e WHERE e.event_id = past.event_id)
         ON CONFLICT DO NOTHING",
        &bytes(&|one| one.event_id.as_bytes().to_vec()),
        &times,
        &bytes(&|one| one.code.as_bytes().to_vec()),
        &generations,
        &bytes(&|one| one.spool_id.as_bytes().to_vec()),
    )
    .execute(tx)
    .await?;
    Ok(())
}

//! What becomes of the requests themselves: each is marked in the transaction that applied it.

use domain::Timestamp;
use sqlx::PgConnection;

use super::records::{Changes, Dead};
use super::write::column;
use super::{Place, columns_of};
use crate::{StoreError, columns};

/// Marks what was applied, keeps what is dead, and empties the inbox of both: a request may lie there
/// too, whichever way it came this time.
pub(super) async fn all(
    tx: &mut PgConnection,
    changes: &Changes,
    repeated: &[Place],
    now: Timestamp,
) -> Result<(), StoreError> {
    dead(tx, &changes.dead, now).await?;
    later(tx, changes).await?;
    let done = changes
        .applied
        .iter()
        .chain(changes.dead.iter().map(|dead| &dead.place));
    let (done_spools, done_seqs) = columns_of(done);
    let (old_spools, old_seqs) = columns_of(repeated);
    sqlx::query!(
        "WITH done AS (
             SELECT spool_id, seq FROM unnest($1::bytea[], $2::bigint[]) AS d (spool_id, seq)
         ), gone AS (
             DELETE FROM request_inbox i
             USING (SELECT spool_id, seq FROM done
                    UNION ALL
                    SELECT spool_id, seq FROM unnest($3::bytea[], $4::bigint[]) AS o (spool_id, seq)
                   ) AS over
             WHERE i.spool_id = over.spool_id AND i.seq = over.seq
         )
         INSERT INTO applied_request (spool_id, seq) SELECT spool_id, seq FROM done",
        &done_spools,
        &done_seqs,
        &old_spools,
        &old_seqs,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn dead(tx: &mut PgConnection, rows: &[Dead], now: Timestamp) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let (spools, seqs) = columns_of(rows.iter().map(|dead| &dead.place));
    sqlx::query!(
        "INSERT INTO dead_request (spool_id, seq, stop, reason, envelope, died_at)
         SELECT new.spool_id, new.seq, new.stop, new.reason, new.envelope, $6
         FROM unnest($1::bytea[], $2::bigint[], $3::boolean[], $4::text[], $5::bytea[])
              AS new (spool_id, seq, stop, reason, envelope)
         ON CONFLICT (spool_id, seq) DO NOTHING",
        &spools,
        &seqs,
        &column(rows, |dead| dead.stop),
        &column(rows, |dead| dead.reason.to_owned()),
        &column(rows, |dead| dead.envelope.clone()),
        columns::moment(now),
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn later(tx: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    if changes.later.is_empty() {
        return Ok(());
    }
    let (spools, seqs) = columns_of(changes.later.iter().map(|(place, _)| place));
    sqlx::query!(
        "UPDATE request_inbox i SET not_before = later.not_before
         FROM unnest($1::bytea[], $2::bigint[], $3::timestamptz[])
              AS later (spool_id, seq, not_before)
         WHERE i.spool_id = later.spool_id AND i.seq = later.seq",
        &spools,
        &seqs,
        &column(&changes.later, |(_, at)| columns::moment(*at)),
    )
    .execute(tx)
    .await?;
    Ok(())
}

//! What becomes of the requests themselves: each is marked in the transaction that applied it, by its
//! spool's mark or by a row.

use std::collections::BTreeSet;

use domain::{SpoolId, Timestamp};
use sqlx::PgConnection;

use super::records::{Changes, Dead};
use super::write::column;
use super::{Place, columns_of};
use crate::{StoreError, columns};

/// So many rows above a mark are looked at in one turn: enough to catch up with what came out of order,
/// and a gap that stays open costs no turn more than this.
const ABOVE: i64 = 1_000;

/// Marks what was applied, keeps what is dead, and empties the inbox of both: a request may lie there
/// too, whichever way it came this time.
///
/// What continues a spool's mark moves it, and has no row of its own. That is enough to be applied once:
/// the turn, not a row's key, keeps two transactions from one place (`take_turn`). Only the job that
/// moves marks may be at the same spool; where it was first, the update finds another mark than the one
/// read here, and the places get rows.
pub(super) async fn all(
    tx: &mut PgConnection,
    changes: &Changes,
    repeated: &[Place],
    now: Timestamp,
) -> Result<(), StoreError> {
    dead(tx, &changes.dead, now).await?;
    later(tx, changes).await?;
    let (done_spools, done_seqs) = columns_of(done(changes));
    let (old_spools, old_seqs) = columns_of(repeated);
    // As in `advance_marks`: the places count 1, 2, 3 … after the mark, as long as there is no gap. The
    // row of a spool is locked last and for the commit alone: nobody who holds one waits for a turn.
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
         ), marked AS (
             SELECT spool_id, applied_upto FROM spool WHERE spool_id = ANY($5)
         ), placed AS (
             SELECT spool_id, seq, applied_upto,
                    row_number() OVER (PARTITION BY spool_id ORDER BY seq) AS place
             FROM (SELECT spool_id, seq, applied_upto FROM done JOIN marked USING (spool_id)
                   UNION ALL
                   SELECT m.spool_id, above.seq, m.applied_upto
                   FROM marked m CROSS JOIN LATERAL (
                       SELECT a.seq FROM applied_request a
                       WHERE a.spool_id = m.spool_id AND a.seq > m.applied_upto
                       ORDER BY a.seq LIMIT $6) AS above
                  ) AS applied
         ), reached AS (
             SELECT spool_id, applied_upto, max(seq) AS seq FROM placed
             WHERE seq = applied_upto + place GROUP BY spool_id, applied_upto
         ), moved AS (
             UPDATE spool SET applied_upto = reached.seq FROM reached
             WHERE spool.spool_id = reached.spool_id
               AND spool.applied_upto = reached.applied_upto
             RETURNING spool.spool_id, spool.applied_upto
         ), passed AS (
             DELETE FROM applied_request a USING moved
             WHERE a.spool_id = moved.spool_id AND a.seq <= moved.applied_upto
         )
         INSERT INTO applied_request (spool_id, seq)
         SELECT d.spool_id, d.seq FROM done d LEFT JOIN moved m ON m.spool_id = d.spool_id
         WHERE m.spool_id IS NULL OR d.seq > m.applied_upto",
        &done_spools,
        &done_seqs,
        &old_spools,
        &old_seqs,
        &spools_of(done(changes)),
        ABOVE,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The places that are done with.
pub(super) fn done(changes: &Changes) -> impl Iterator<Item = &Place> {
    changes
        .applied
        .iter()
        .chain(changes.dead.iter().map(|dead| &dead.place))
}

/// Their spools, each once.
fn spools_of<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<Vec<u8>> {
    let spools: BTreeSet<SpoolId> = places.map(|place| place.spool_id).collect();
    column(&Vec::from_iter(spools), |id| id.as_bytes().to_vec())
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

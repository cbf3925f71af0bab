//! The append to the ledger: under the lock on its head, chained to what is there, without a gap, each
//! event once (`FORMATS.md`, Ledger). Reading is the business of `ledger_reader`.

use domain::{BodyId, LedgerEntry, Timestamp};
use ledger::{Head, Link};
use sqlx::PgConnection;

use crate::{StoreError, columns};

/// Appends entries after `head`. The caller's transaction holds the lock on the head's row, so nobody
/// else's entry is chained to the same one.
pub(super) async fn append(
    tx: &mut PgConnection,
    head: u64,
    entries: &[LedgerEntry],
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut chain = locked_head(tx).await?;
    if chain.seq != head {
        return Err(StoreError::Inconsistent("ledger_head"));
    }
    let links: Vec<Link> = entries.iter().map(|entry| chain.append(entry)).collect();
    insert(tx, entries, &links).await?;
    sqlx::query!(
        "UPDATE ledger_head SET seq = $1, h = $2",
        columns::bigint(chain.seq),
        &chain.h,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The chain's end. Before the first entry it is the hash of the body that the database belongs to.
async fn locked_head(tx: &mut PgConnection) -> Result<Head, StoreError> {
    const TABLE: &str = "ledger_head";
    let row = sqlx::query!(
        "SELECT head.seq, head.h, i.body_id AS \"body_id?\"
         FROM ledger_head head LEFT JOIN catalogue_installation i ON true FOR UPDATE OF head"
    )
    .fetch_one(tx)
    .await?;
    let seq = columns::number(row.seq, TABLE)?;
    match row.h {
        Some(h) => Ok(Head {
            seq,
            h: columns::bytes(&h, TABLE)?,
        }),
        None if seq == 0 => {
            let body_id = row.body_id.ok_or(StoreError::NotMigrated(None))?;
            let body_id: BodyId = columns::id(&body_id, "installation")?;
            Ok(Head::start(body_id))
        }
        None => Err(StoreError::Inconsistent(TABLE)),
    }
}

async fn insert(
    tx: &mut PgConnection,
    entries: &[LedgerEntry],
    links: &[Link],
) -> Result<(), StoreError> {
    let column = |of: &dyn Fn(&LedgerEntry) -> i16| entries.iter().map(of).collect::<Vec<_>>();
    let opt_small =
        |of: &dyn Fn(&LedgerEntry) -> Option<i16>| entries.iter().map(of).collect::<Vec<_>>();
    let opt_bytes = |of: &dyn Fn(&LedgerEntry) -> Option<[u8; 16]>| -> Vec<Option<Vec<u8>>> {
        entries
            .iter()
            .map(|entry| of(entry).map(Vec::from))
            .collect()
    };
    let millis = |of: &dyn Fn(&LedgerEntry) -> Timestamp| -> Vec<i64> {
        entries
            .iter()
            .map(|entry| columns::bigint(of(entry).as_millis()))
            .collect()
    };
    let hashes = |of: &dyn Fn(&Link) -> ledger::Hash| -> Vec<Vec<u8>> {
        links.iter().map(|link| of(link).to_vec()).collect()
    };
    let seqs: Vec<i64> = links.iter().map(|link| columns::bigint(link.seq)).collect();
    let event_ids: Vec<Vec<u8>> = entries
        .iter()
        .map(|entry| entry.event_id.as_bytes().to_vec())
        .collect();
    let newsletters: Vec<Option<i64>> = entries
        .iter()
        .map(|entry| entry.newsletter.map(|number| columns::bigint(number.0)))
        .collect();
    let issues: Vec<i64> = entries
        .iter()
        .map(|entry| i64::from(entry.issue.0))
        .collect();
    let kids: Vec<Option<i32>> = entries
        .iter()
        .map(|entry| entry.token.map(|token| i32::from(token.kid.0)))
        .collect();
    let restored_seqs: Vec<Option<i64>> = entries
        .iter()
        .map(|entry| entry.restored.map(|it| columns::bigint(it.checkpoint_seq)))
        .collect();
    let restored_hashes: Vec<Option<Vec<u8>>> = entries
        .iter()
        .map(|entry| entry.restored.map(|it| it.checkpoint_h.to_vec()))
        .collect();
    sqlx::query!(
        "INSERT INTO ledger_entry (seq, event_id, occurred_ms, recorded_ms, newsletter_id,
                                   subscription_id, issue, method, effect, token_version, kid,
                                   key_state, actor, staff_reference, decision_id, spool_id,
                                   restored_seq, restored_h, leaf, h)
         SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
                              $6::bytea[], $7::bigint[], $8::smallint[], $9::smallint[],
                              $10::smallint[], $11::integer[], $12::smallint[], $13::smallint[],
                              $14::bytea[], $15::bytea[], $16::bytea[], $17::bigint[],
                              $18::bytea[], $19::bytea[], $20::bytea[])",
        &seqs,
        &event_ids,
        &millis(&|entry| entry.occurred_at),
        &millis(&|entry| entry.recorded_at),
        &newsletters as &[Option<i64>],
        &opt_bytes(&|entry| entry.subscription_id.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
        &issues,
        &column(&|entry| entry.method.number().into()),
        &column(&|entry| entry.effect.number().into()),
        &opt_small(&|entry| entry.token.map(|token| token.version.into())) as &[Option<i16>],
        &kids as &[Option<i32>],
        &opt_small(&|entry| entry.token.map(|token| token.state.number().into()))
            as &[Option<i16>],
        &column(&|entry| entry.actor.number().into()),
        &opt_bytes(&|entry| entry.staff_reference.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
        &opt_bytes(&|entry| entry.decision_id.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
        &opt_bytes(&|entry| entry.spool_id.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
        &restored_seqs as &[Option<i64>],
        &restored_hashes as &[Option<Vec<u8>>],
        &hashes(&|link| link.leaf),
        &hashes(&|link| link.h),
    )
    .execute(tx)
    .await?;
    Ok(())
}

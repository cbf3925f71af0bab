//! `letterbox ledger prove`: an entry by its receipt, and the chain from it to the checkpoint over it.

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER;
use domain::{BodyId, EventId, LedgerEntry, Timestamp};
use ledger::{Hash, SignedCheckpoint, encode, leaf, next, start};
use store::{LedgerReader, LedgerRow};

use super::installation::{self, Place};
use super::ledger::Evidence;
use crate::up::print_line;

/// Rows that are read at once; checkpoints stand 1,000 apart at most.
const PAGE: u32 = 2_000;

/// Shows the entry of an event.
pub(super) async fn run(place: Place, evidence: Evidence, event_id: EventId) -> anyhow::Result<()> {
    let open = installation::open(place).await?;
    let reader = open.database.ledger();
    let row = reader
        .of_event(event_id)
        .await
        .context("the ledger cannot be read")?;
    let Some(row) = row else {
        print_line(
            "accepted, not yet recorded: there is no entry of this receipt. A page shows a receipt once the request is safe on the disk of the role that took it, and the entry follows when the database is reached; `letterbox status` says what waits.",
        );
        return Ok(());
    };
    let body_id = reader
        .body_id()
        .await
        .context("the ledger cannot be read")?;
    let before = match row.seq {
        1 => Some(start(body_id)),
        seq => reader
            .hash_at(seq - 1)
            .await
            .context("the ledger cannot be read")?,
    };
    let Some(entry) = &row.entry else {
        bail!(
            "entry {} has been changed: it has no meaning any more",
            row.seq
        );
    };
    describe(&row, entry);
    ensure!(
        leaf(&encode(row.seq, entry)) == row.leaf
            && before.is_some_and(|before| next(&before, &row.leaf) == row.h),
        "entry {} has been changed: its hashes are not those of what it says; run `letterbox ledger verify`",
        row.seq
    );
    let checkpoint = over(&reader, &evidence, row.seq).await?;
    let Some(signed) = checkpoint else {
        print_line("No checkpoint covers it yet: one is signed within a minute.");
        return Ok(());
    };
    check(&reader, &evidence, body_id, &row, &signed).await
}

/// What the entry says.
fn describe(row: &LedgerRow, entry: &LedgerEntry) {
    let moment = |at: Timestamp| {
        at.to_date_time()
            .map_or_else(|| at.as_millis().to_string(), |moment| moment.to_string())
    };
    print_line(&format!("entry       {}", row.seq));
    print_line(&format!("accepted    {}", moment(entry.occurred_at)));
    print_line(&format!("recorded    {}", moment(entry.recorded_at)));
    print_line(&format!(
        "what        {}, {}, by the {}",
        entry.method.label(),
        entry.effect.label(),
        entry.actor.label()
    ));
    match entry.newsletter {
        Some(number) => print_line(&format!("newsletter  {}", number.0)),
        None => print_line("newsletter  all, or none in particular"),
    }
    if entry.issue.0 > 0 {
        print_line(&format!("issue       {}", entry.issue.0));
    }
    if let Some(token) = entry.token {
        print_line(&format!(
            "key         {}, {}",
            token.kid.0,
            token.state.label()
        ));
    }
    print_line(&format!("hash        {}", HEXLOWER.encode(&row.leaf)));
    print_line(&format!("chain       {}", HEXLOWER.encode(&row.h)));
}

/// The first checkpoint over it, of those in files and in the table.
async fn over(
    reader: &LedgerReader,
    evidence: &Evidence,
    seq: u64,
) -> anyhow::Result<Option<SignedCheckpoint>> {
    let kept = reader
        .checkpoint_over(seq)
        .await
        .context("the checkpoints cannot be read")?;
    let outside = evidence.outside.iter().copied();
    Ok(outside
        .chain(kept)
        .filter(|signed| signed.checkpoint.seq >= seq)
        // Those of after a restore are signed later, and are the ones on the chain.
        .min_by_key(|signed| {
            let in_table = kept.is_some_and(|kept| kept.checkpoint.h == signed.checkpoint.h);
            (!in_table, signed.checkpoint.seq)
        }))
}

/// Computes the chain from the entry to the checkpoint.
async fn check(
    reader: &LedgerReader,
    evidence: &Evidence,
    body_id: BodyId,
    row: &LedgerRow,
    signed: &SignedCheckpoint,
) -> anyhow::Result<()> {
    let checkpoint = signed.checkpoint;
    let at = |h: Hash| HEXLOWER.encode(&h);
    ensure!(
        signed.is_signed(body_id),
        "the checkpoint at entry {} is not signed by its key; run `letterbox ledger verify`",
        checkpoint.seq
    );
    let (mut seq, mut h) = (row.seq, row.h);
    while seq < checkpoint.seq {
        let rows = reader
            .rows_after(seq, PAGE)
            .await
            .context("the ledger cannot be read")?;
        ensure!(
            !rows.is_empty(),
            "entry {} is gone: a checkpoint covers it",
            seq + 1
        );
        for row in rows.into_iter().take_while(|row| row.seq <= checkpoint.seq) {
            let entry = row.entry.filter(|_| row.seq == seq + 1);
            let entry = entry.with_context(|| format!("entry {} has been changed", seq + 1))?;
            seq += 1;
            h = next(&h, &leaf(&encode(seq, &entry)));
        }
    }
    ensure!(
        h == checkpoint.h,
        "the chain from entry {} does not lead to the checkpoint at entry {}: run `letterbox ledger verify`",
        row.seq,
        checkpoint.seq
    );
    print_line(&format!(
        "checkpoint  at entry {}, chain {}, signed {} by key {}",
        checkpoint.seq,
        at(checkpoint.h),
        checkpoint
            .time
            .to_date_time()
            .map_or_else(String::new, |moment| moment.to_string()),
        HEXLOWER.encode(&signed.public_key)
    ));
    let proven = if evidence.keys.contains(&signed.public_key) {
        "The entry is in the chain that this checkpoint signs, and the key is the body's."
    } else {
        "The entry is in the chain that this checkpoint signs. Whether the key is the body's is not checked: give --public-key or --keys."
    };
    print_line(proven);
    Ok(())
}

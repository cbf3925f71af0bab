//! `letterbox ledger export`: lines to standard output, for a verifier elsewhere.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use anyhow::{Context, bail};
use ledger::{Line, SignedCheckpoint, encode};
use store::LedgerReader;

use super::installation::{self, Place};
use super::ledger::Evidence;
use super::progress_line::ProgressLine;

/// Rows that are read at once.
const PAGE: u32 = 2_000;

/// Writes the ledger: each checkpoint of the table stands after the entry that it covers last, those that
/// only files have at the end.
pub(super) async fn run(place: Place, evidence: Evidence) -> anyhow::Result<()> {
    let open = installation::open(place).await?;
    let reader = open.database.ledger();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut progress = ProgressLine::on_errors();
    let written = write(&reader, &evidence, &mut out, &mut progress).await;
    progress.end();
    written?;
    out.flush().context("the export cannot be written")
}

async fn write(
    reader: &LedgerReader,
    evidence: &Evidence,
    out: &mut impl Write,
    progress: &mut ProgressLine,
) -> anyhow::Result<()> {
    let mut line =
        |line: Line| writeln!(out, "{}", line.write()).context("the export cannot be written");
    let unreadable = "the ledger cannot be read";
    line(Line::Body(reader.body_id().await.context(unreadable)?))?;
    let upto = reader
        .head()
        .await
        .context(unreadable)?
        .map_or(0, |head| head.seq);
    let mut table = Table::default();
    let mut seq = 0;
    table.write_upto(reader, 0, &mut line).await?;
    while seq < upto {
        let rows = reader.rows_after(seq, PAGE).await.context(unreadable)?;
        if rows.is_empty() {
            break;
        }
        for row in rows.into_iter().filter(|row| row.seq <= upto) {
            let Some(entry) = row.entry else {
                bail!(
                    "entry {} has been changed: it has no meaning, so it cannot be exported; run `letterbox ledger verify`",
                    row.seq
                );
            };
            line(Line::Entry {
                entry: encode(row.seq, &entry),
                leaf: row.leaf,
                h: row.h,
            })?;
            seq = row.seq;
            table.write_upto(reader, seq, &mut line).await?;
        }
        progress.show_bar("entries", seq, upto, Instant::now());
    }
    table.write_upto(reader, u64::MAX, &mut line).await?;
    for signed in &evidence.outside {
        if !table.written.contains(&signed.signature) {
            line(Line::Checkpoint(*signed))?;
        }
    }
    Ok(())
}

/// The checkpoints of the table, read as they are needed.
#[derive(Default)]
struct Table {
    page: std::collections::VecDeque<SignedCheckpoint>,
    last: Option<SignedCheckpoint>,
    is_at_end: bool,
    written: HashSet<[u8; 64]>,
}

impl Table {
    async fn write_upto(
        &mut self,
        reader: &LedgerReader,
        seq: u64,
        line: &mut impl FnMut(Line) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            if self.page.is_empty() && !self.is_at_end {
                let page = reader
                    .checkpoints_after(self.last.as_ref(), PAGE)
                    .await
                    .context("the checkpoints cannot be read")?;
                self.is_at_end = page.is_empty();
                self.last = page.last().copied().or(self.last);
                self.page = page.into();
            }
            let Some(signed) = self.page.pop_front_if(|next| next.checkpoint.seq <= seq) else {
                return Ok(());
            };
            self.written.insert(signed.signature);
            line(Line::Checkpoint(signed))?;
        }
    }
}

//! `letterbox replay`: plays the spool of a machine that is gone. Each record is applied exactly once, by its
//! place, however often it is played.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::{Clock, SpoolId};
use service_runtime::SystemClock;
use spool::{Envelope, LeftBehind, OpenError};
use store::{InboxRow, RequestInbox};

use super::{block_on, installation};
use crate::cli::ReplayOptions;
use crate::failure::SettingsError;
use crate::up::print_line;

/// Records in one statement.
const BATCH: usize = 500;
/// How long the registrar is waited for.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often it is said how far that is.
const INTERVAL: Duration = Duration::from_secs(10);

/// What became of the records.
#[derive(Debug, Default)]
struct Played {
    records: u64,
    applied_before: u64,
    damaged: Vec<(PathBuf, Range<u64>)>,
    torn: Vec<PathBuf>,
    missing: Vec<Range<u64>>,
}

/// Runs the command.
pub(crate) fn run(options: &ReplayOptions) -> anyhow::Result<()> {
    // With the rights of whoever runs this, before it becomes the owner of a data folder.
    let spools = spools_in(&options.dir)?;
    let place = installation::place_of(&options.target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let known = open.database.spools().list().await?;
        let inbox = open.database.sign_up_inbox();
        let mut damaged = 0;
        for spool in &spools {
            let id = spool.spool_id();
            let mark = known.iter().find(|one| one.spool_id == id);
            let mark = mark.map_or(0, |one| one.applied_upto);
            let played = play(spool, mark, &inbox).await?;
            report(id, &played);
            damaged += played.damaged.len() + played.missing.len();
            wait_until_applied(id, &inbox).await?;
            print_line(&format!(
                "All of it is applied. Where the machine is gone for good: letterbox spool retire {id}"
            ));
        }
        anyhow::ensure!(
            damaged == 0,
            "some records could not be read: the lines above name them; what they asked for is lost unless \
             another copy has it"
        );
        Ok(())
    })
}

/// The spools of a folder: its own, or those of a role's or an embedded installation's data folder.
fn spools_in(folder: &Path) -> anyhow::Result<Vec<LeftBehind>> {
    let mut found = Vec::new();
    for place in ["", "spool", "spool/unsubscribe", "spool/intake"] {
        let place = folder.join(place);
        if place.join("spool-id").exists() {
            let spool = LeftBehind::open(&place).map_err(|error| match error {
                OpenError::Locked { .. } => SettingsError::new(format!(
                    "{}: a running role has this spool, and ships it by itself",
                    place.display()
                ))
                .into(),
                other => anyhow::Error::new(other),
            })?;
            found.push(spool);
        }
    }
    if found.is_empty() {
        return Err(SettingsError::new(format!(
            "{}: no spool is in it: name the folder with the file spool-id",
            folder.display()
        ))
        .into());
    }
    // Stops first.
    found.sort_by_key(|spool| !spool.holds_stops());
    Ok(found)
}

/// Hands over all records behind the mark.
async fn play(spool: &LeftBehind, mark: u64, inbox: &RequestInbox) -> anyhow::Result<Played> {
    let mut played = Played::default();
    let mut next = None;
    for first in spool.segments() {
        let segment = spool.read(first)?;
        if let Some(next) = next
            && first > next
        {
            played.missing.push(next..first);
        }
        next = Some(first + segment.envelopes.len() as u64);
        let path = segment.path;
        played
            .damaged
            .extend(segment.damaged.into_iter().map(|seqs| (path.clone(), seqs)));
        if segment.torn {
            played.torn.push(path);
        }
        played.records += segment.envelopes.len() as u64;
        let (before, rest): (Vec<Envelope>, Vec<Envelope>) = segment
            .envelopes
            .into_iter()
            .partition(|envelope| envelope.seq <= mark);
        played.applied_before += before.len() as u64;
        let rows: Vec<InboxRow> = rest
            .into_iter()
            .map(|envelope| InboxRow {
                spool_id: spool.spool_id(),
                seq: envelope.seq,
                stop: envelope.stop,
                envelope: envelope.bytes,
            })
            .collect();
        for rows in rows.chunks(BATCH) {
            inbox.ship(rows, SystemClock.now()).await.context(
                "the inbox did not take the records: run this again, nothing is applied twice",
            )?;
        }
    }
    Ok(played)
}

fn report(id: SpoolId, played: &Played) {
    print_line(&format!(
        "Spool {id}: {} records, {} of them applied before; the others are handed over.",
        played.records, played.applied_before
    ));
    for (path, seqs) in &played.damaged {
        print_line(&format!(
            "  {}: damaged, seq {} to {}",
            path.display(),
            seqs.start,
            seqs.end - 1
        ));
    }
    for seqs in &played.missing {
        print_line(&format!(
            "  no segment holds seq {} to {}",
            seqs.start,
            seqs.end - 1
        ));
    }
    for path in &played.torn {
        print_line(&format!(
            "  {}: ends with a record that was never finished; nobody was answered for it",
            path.display()
        ));
    }
}

async fn wait_until_applied(id: SpoolId, inbox: &RequestInbox) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut said = begun;
    loop {
        let waiting = inbox.waiting_of(id).await?;
        if waiting == 0 {
            return Ok(());
        }
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "{waiting} records wait in the inbox: is `letterbox deliver` running? Once it is, they are \
             applied by themselves"
        );
        if said.elapsed() >= INTERVAL {
            said = Instant::now();
            print_line(&format!("  {waiting} records wait for the registrar"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

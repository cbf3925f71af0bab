//! `letterbox ledger verify`.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use ledger::{Bad, CheckpointBook, Search, Survey, Verified, first_of};

use super::installation::{self, Place};
use super::ledger::{Evidence, lines_of};
use super::progress_line::ProgressLine;
use crate::up::print_line;

/// Lines between two looks at the clock.
const STRIDE: u64 = 4_096;

/// Checks an export: its lines are gone through twice, and once more for each 917,504 entries beyond the
/// first, so that no memory grows with them.
pub(super) fn export(path: &Path, evidence: &Evidence) -> anyhow::Result<()> {
    evidence.warn_of_what_lacks();
    let mut progress = ProgressLine::new();
    let outcome = check_export(path, evidence, &mut progress);
    progress.end();
    say(outcome?, Some(path))
}

fn check_export(
    path: &Path,
    evidence: &Evidence,
    progress: &mut ProgressLine,
) -> anyhow::Result<Result<Verified, Bad>> {
    let mut survey = Survey::new(evidence.keys.clone());
    for (number, line) in lines_of(path)?.enumerate() {
        if let Err(bad) = survey.line(&line?) {
            return Ok(Err(bad));
        }
        let number = number as u64;
        if number.is_multiple_of(STRIDE) {
            progress.show_bar("lines", number, number, Instant::now());
        }
    }
    evidence
        .outside
        .iter()
        .for_each(|signed| survey.add(signed));
    let total = survey.entries();
    let mut walk = match survey.walk() {
        Ok(walk) => walk,
        Err(bad) => return Ok(Err(bad)),
    };
    progress.end();
    for line in lines_of(path)? {
        if !walk.line(&line?) {
            break;
        }
        let done = walk.entries();
        if done.is_multiple_of(STRIDE) {
            progress.show_bar("entries", done, total, Instant::now());
        }
    }
    progress.show_bar("entries", walk.entries(), total, Instant::now());
    let (parts, of) = walk.searches();
    let mut repeated = None;
    for part in parts {
        progress.end();
        let mut search = Search::new(part, of);
        for (number, line) in lines_of(path)?.enumerate() {
            repeated = first_of(repeated, search.line(&line?));
            let number = number as u64;
            if number.is_multiple_of(STRIDE) {
                progress.show_bar("events", number, total, Instant::now());
            }
        }
    }
    Ok(walk.end(repeated))
}

/// Checks the ledger of a running installation.
pub(super) async fn database(place: Place, evidence: Evidence) -> anyhow::Result<()> {
    evidence.warn_of_what_lacks();
    let open = installation::open(place).await?;
    let reader = open.database.ledger();
    let body_id = reader
        .body_id()
        .await
        .context("the ledger cannot be read")?;
    if let Some(expected) = evidence.body_id {
        open.database.belongs_to(expected).await?;
    }
    let mut book = CheckpointBook::new(body_id, evidence.keys);
    reader
        .add_checkpoints(&mut book)
        .await
        .context("the checkpoints cannot be read")?;
    evidence
        .outside
        .iter()
        .for_each(|signed| book.add(0, signed));
    let mut progress = ProgressLine::new();
    let outcome = reader
        .verify(body_id, book, |done, total| {
            progress.show_bar("entries", done, total, Instant::now());
        })
        .await
        .context("the ledger cannot be read");
    progress.end();
    say(outcome?, None)
}

fn say(outcome: Result<Verified, Bad>, export: Option<&Path>) -> anyhow::Result<()> {
    match outcome {
        Ok(good) => {
            print_line(&format!(
                "The ledger is whole: {} entries, {} checkpoints. Checkpoints prove it up to entry {}.",
                good.entries, good.checkpoints, good.proven_upto
            ));
            if good.abandoned > 0 {
                print_line(&format!(
                    "It was restored from a backup: {} checkpoints are of what was lost, and its entries of method 13 say so.",
                    good.abandoned
                ));
            }
            Ok(())
        }
        Err(bad) => {
            let place = match export {
                Some(path) if bad.line > 0 => {
                    format!(" (line {} of {})", bad.line, path.display())
                }
                _ => String::new(),
            };
            bail!(
                "the ledger has been changed at entry {}{place}: {}. Nothing from there on is to be believed",
                bad.seq,
                bad.fault
            )
        }
    }
}

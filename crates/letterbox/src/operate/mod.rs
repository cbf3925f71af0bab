//! Operator commands: each opens its input files, finds the installation (as the owner of a data folder,
//! or by a database), and acts on it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `installation` | the installation that a command acts on |
//! | `body`, `newsletter`, `keys`, `dead_letters` | the command of that name |
//! | `link_keys` | `keys rotate`, `update`, `mark-compromised` |
//! | `issue` | `issue`, and of it `send` |
//! | `issue_status`, `progress_line` | how far issues are |
//! | `issue_change`, `issue_doubts` | pause, resume, cancel, retry; mails in doubt |
//! | `issue_show` | an issue as it was sent |
//! | `ledger`, `ledger_verify`, `ledger_prove`, `ledger_export` | the unsubscribe ledger: what it is held against; verified, proved, exported |
//! | `ledger_audit` | whether mail went out after a stop |
//! | `status`, `spool` | whether mail goes out; the web roles' spools and the barrier |
//! | `replay`, `rights` | the spool of a machine that is gone; an erasure |

mod body;
mod dead_letters;
mod installation;
mod issue;
mod issue_change;
mod issue_doubts;
mod issue_show;
mod issue_status;
mod keys;
mod ledger;
mod ledger_audit;
mod ledger_export;
mod ledger_prove;
mod ledger_verify;
mod link_keys;
mod newsletter;
mod progress_line;
mod replay;
mod rights;
mod spool;
mod status;

use std::path::Path;

use anyhow::Context;

pub(crate) use self::ledger::run as ledger;
pub(crate) use body::{BodyFile, run as body};
pub(crate) use dead_letters::run as dead_letters;
pub(crate) use installation::{announce, connect};
pub(crate) use issue::run as issue;
pub(crate) use keys::run as keys;
pub(crate) use newsletter::{NewsletterFile, run as newsletter};
pub(crate) use replay::run as replay;
pub(crate) use rights::run as rights;
pub(crate) use spool::{run as spool, run_barrier as barrier};
pub(crate) use status::run as status;

use crate::failure::SettingsError;

/// Larger files are no settings and no issue.
const LARGEST_INPUT: u64 = 1024 * 1024;

/// Reads an input file as text, with the rights of whoever runs the command.
fn read_input(path: &Path) -> anyhow::Result<String> {
    let refuse = |why: String| SettingsError::new(format!("{}: {why}", path.display()));
    let length = std::fs::metadata(path)
        .map_err(|error| refuse(error.to_string()))?
        .len();
    if length > LARGEST_INPUT {
        return Err(refuse(format!(
            "{length} bytes are too many, {LARGEST_INPUT} is the most"
        ))
        .into());
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        refuse(format!(
            "byte {} is not UTF-8: save the file as UTF-8",
            error.utf8_error().valid_up_to() + 1
        ))
    })?;
    // Editors on Windows put a byte order mark in front.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Runs a command's future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?
        .block_on(future)
}

/// `letterbox examples`
pub(crate) fn examples(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    crate::up::write_examples(folder)?;
    crate::up::print_line(&format!(
        "Example files are in {}: change them before you use them.",
        folder.display()
    ));
    Ok(())
}

//! Operator commands: each opens its input files, becomes the owner of the data folder, and acts on
//! the installation that runs there.

mod body;
mod installation;
mod issue;
mod newsletter;
mod progress_line;

use std::path::Path;

use anyhow::Context;

pub(crate) use body::{BodyFile, run as body};
pub(crate) use installation::announce;
pub(crate) use issue::run as issue;
pub(crate) use newsletter::{NewsletterFile, run as newsletter};

use crate::cli::KeysCommand;
use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::{key_files, unprivileged};

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
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?
        .block_on(future)
}

/// `letterbox keys …`
pub(crate) fn keys(command: KeysCommand) -> anyhow::Result<()> {
    let KeysCommand::Show { data } = command;
    let data = DataFolder::at(&data.folder())?;
    unprivileged::become_owner(&data)?;
    let keys = key_files::read(&data.keys())?;
    let print = crate::up::print_line;
    print(&format!("body id      {}", keys.body_id));
    for master in &keys.links {
        print(&format!(
            "links        key id {}, {}",
            master.kid.0,
            master.state.label()
        ));
    }
    print(&format!(
        "addresses    generation 1 to {}",
        keys.address.len()
    ));
    for key in &keys.sealing {
        print(&format!(
            "sealing      key id {}, public key {}",
            key.kid.0,
            data_encoding::HEXLOWER.encode(&key.public)
        ));
    }
    Ok(())
}

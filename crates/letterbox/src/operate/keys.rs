//! `letterbox keys new`, `keys split`, `keys dkim`, `keys ledger` and `keys show`; what changes the keys of links is in
//! `link_keys`.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use nix::unistd::geteuid;
use service_runtime::OsEntropy;

use super::link_keys;
use crate::cli::{DataOption, KeysCommand, MastersOption, RotateCommand};
use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::keys::{description, dkim, ledger_key, masters, split};
use crate::unprivileged;
use crate::up::print_line;

/// Runs the command.
pub(crate) fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::New { dir } => new(&dir),
        KeysCommand::Split { dir, from } => split(&dir, &from),
        KeysCommand::Dkim {
            dir,
            selector,
            data,
        } => make_dkim(dir.as_deref(), &selector, &data),
        KeysCommand::Rotate(RotateCommand::Links { folders, from }) => {
            link_keys::rotate(&folders, &from)
        }
        KeysCommand::Update { folders, from } => link_keys::update(&folders, &from),
        KeysCommand::MarkCompromised { kid, folders, data } => {
            link_keys::mark_compromised(kid, folders, &data)
        }
        KeysCommand::Ledger { dir, data } => make_ledger_key(dir, &data),
        KeysCommand::Show { keys, data } => show(keys.as_deref(), &data),
    }
}

fn new(dir: &Path) -> anyhow::Result<()> {
    split::write_new_keys(dir, &OsEntropy)?;
    print_line(&format!(
        "The keys of a new installation are in {}:",
        dir.display()
    ));
    print_line(&format!(
        "  {}  makes all others: no role needs it. Keep it off the roles' machines, and a copy elsewhere.",
        dir.join("masters").display()
    ));
    print_roles(dir);
    Ok(())
}

fn split(dir: &Path, from: &MastersOption) -> anyhow::Result<()> {
    let from = masters_folder(from)?;
    split::write(&masters::read(&from)?, dir)?;
    print_line(&format!("The keys of {} are split:", from.display()));
    print_roles(dir);
    print_line(&format!("{} stays as it is.", from.display()));
    Ok(())
}

/// The folder of masters that is meant.
pub(super) fn masters_folder(from: &MastersOption) -> anyhow::Result<PathBuf> {
    match &from.masters {
        Some(folder) => Ok(folder.clone()),
        None => embedded_keys(&from.data),
    }
}

/// The keys folder of an embedded installation.
///
/// Root reads it as root and does not become its owner, as other commands do: the owner could not
/// write where root keeps the keys of roles, and should not own all of them.
pub(super) fn embedded_keys(data: &DataOption) -> anyhow::Result<PathBuf> {
    let data = DataFolder::at(&data.folder())?;
    let owner = data
        .owner()
        .with_context(|| format!("cannot look at {}", data.root().display()))?;
    ensure!(
        owner.is_some(),
        SettingsError::new(format!(
            "there is no installation in {}: name its folder with --data, or a folder of masters with --masters",
            data.root().display()
        ))
    );
    if !geteuid().is_root() {
        unprivileged::become_owner(&data)?;
    }
    Ok(data.keys())
}

/// What to do with the folders of the roles.
fn print_roles(dir: &Path) {
    for role in ["intake", "unsubscribe", "deliver"] {
        print_line(&format!(
            "  {}  for `letterbox {role}`: give it to the user that runs it (chown -R) and move it there",
            dir.join(role).display()
        ));
    }
}

fn make_dkim(dir: Option<&Path>, selector: &str, data: &DataOption) -> anyhow::Result<()> {
    let folder = if let Some(folder) = dir {
        folder.to_owned()
    } else {
        let data = DataFolder::at(&data.folder())?;
        unprivileged::become_owner(&data)?;
        data.keys()
    };
    dkim::create(&folder, selector)?;
    print_line(&format!(
        "dkim-{selector}-rsa.key and dkim-{selector}-ed25519.key are in {}.",
        folder.display()
    ));
    print_line(
        "Publish what the keys of this folder are checked by, in the zone of each sending domain:",
    );
    for record in dkim::records(&folder)? {
        print_line(&record);
    }
    print_line(
        "From its next start on the worker signs with them: start it when others can look them up.",
    );
    Ok(())
}

fn make_ledger_key(dir: Option<PathBuf>, data: &DataOption) -> anyhow::Result<()> {
    let folder = match dir {
        Some(folder) => folder,
        None => embedded_keys(data)?,
    };
    let public = ledger_key::create(&folder, &OsEntropy)?;
    print_line(&format!(
        "ledger.key is in {}: copy it into the masters and into the folder of each other worker.",
        folder.display()
    ));
    print_line(&format!(
        "Its public key, for `letterbox ledger verify --public-key`: {}",
        HEXLOWER.encode(&public)
    ));
    Ok(())
}

fn show(keys: Option<&Path>, data: &DataOption) -> anyhow::Result<()> {
    let lines = if let Some(folder) = keys {
        description::of_any(folder)?
    } else {
        let data = DataFolder::at(&data.folder())?;
        unprivileged::become_owner(&data)?;
        description::of_masters(&data.keys())?
    };
    for line in lines {
        print_line(&line);
    }
    Ok(())
}

//! `letterbox ledger`: what the unsubscribe ledger is held against, and which command does it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use data_encoding::HEXLOWER;
use domain::BodyId;
use ledger::{Line, PublicKey, SignedCheckpoint};

use super::installation::{self, Place};
use super::{block_on, ledger_audit, ledger_export, ledger_prove, ledger_verify};
use crate::cli::{CheckpointOptions, LedgerCommand, Target};
use crate::failure::SettingsError;
use crate::keys::ledger_key;

/// Runs the command.
pub(crate) fn run(command: LedgerCommand) -> anyhow::Result<()> {
    match command {
        LedgerCommand::Verify {
            export: Some(export),
            against,
            ..
        } => ledger_verify::export(&export, &Evidence::read(&against, None)?),
        LedgerCommand::Verify {
            export: None,
            against,
            target,
        } => {
            let (place, evidence) = open(&target, &against)?;
            block_on(ledger_verify::database(place, evidence))
        }
        LedgerCommand::Prove {
            receipt,
            against,
            target,
        } => {
            let event_id = link_token::receipt::read(&receipt).ok_or_else(|| {
                SettingsError::new(format!(
                    "{receipt} is no receipt: one has 26 letters A to Z and digits 2 to 7, as the page showed it"
                ))
            })?;
            let (place, evidence) = open(&target, &against)?;
            block_on(ledger_prove::run(place, evidence, event_id))
        }
        LedgerCommand::Audit { target } => {
            block_on(ledger_audit::run(installation::place_of(&target)?))
        }
        LedgerCommand::Export { against, target } => {
            let (place, evidence) = open(&target, &against)?;
            block_on(ledger_export::run(place, evidence))
        }
    }
}

/// What is known of checkpoints outside of the database.
pub(super) struct Evidence {
    /// Keys of the body.
    pub(super) keys: Vec<PublicKey>,
    /// Whose keys they are, where they come from a folder.
    pub(super) body_id: Option<BodyId>,
    /// Checkpoints of files.
    pub(super) outside: Vec<SignedCheckpoint>,
}

/// The installation and what its ledger is held against.
fn open(target: &Target, against: &CheckpointOptions) -> anyhow::Result<(Place, Evidence)> {
    let place = installation::place_of(target)?;
    let evidence = Evidence::read(against, Some(&place))?;
    Ok((place, evidence))
}

impl Evidence {
    /// Reads what the options name, and in the folder of an embedded installation what lies there.
    fn read(against: &CheckpointOptions, place: Option<&Place>) -> anyhow::Result<Self> {
        let mut keys = against
            .public_key
            .iter()
            .map(|hex| {
                fixed(hex).ok_or_else(|| {
                    SettingsError::new(format!(
                        "--public-key {hex} is no key: 64 lower-case hexadecimal digits, as `letterbox keys show` prints them"
                    ))
                })
            })
            .collect::<Result<Vec<PublicKey>, _>>()?;
        let mut files = against.checkpoints.clone();
        let mut folder = against.keys.clone();
        if let Some(Place::Folder(data)) = place {
            let own = data.state().join("checkpoints.jsonl");
            if files.is_empty() && own.exists() {
                files.push(own);
            }
            folder.get_or_insert_with(|| data.keys());
        }
        let mut body_id = None;
        if let Some(folder) = folder {
            let (body, key) = ledger_key::read_public(&folder)?;
            keys.push(key);
            body_id = Some(body);
        }
        let mut outside = Vec::new();
        for file in files {
            read_checkpoints(&file, &mut outside)?;
        }
        Ok(Self {
            keys,
            body_id,
            outside,
        })
    }

    /// Says what the signatures do not prove.
    pub(super) fn warn_of_what_lacks(&self) {
        if self.keys.is_empty() {
            eprintln!(
                "letterbox: no key is given, so any key's signature counts: give --public-key or --keys"
            );
        }
        if self.outside.is_empty() {
            eprintln!(
                "letterbox: no checkpoints from outside are given, and whoever can change the ledger can take away those beside it: give --checkpoints"
            );
        }
    }
}

/// Opens a file line by line.
pub(super) fn lines_of(
    path: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<String>>> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| SettingsError::new(format!("{shown}: {error}")))?;
    let lines = BufReader::with_capacity(256 * 1024, file).split(b'\n');
    Ok(lines.map(move |line| {
        let line = line.with_context(|| format!("cannot read {shown}"))?;
        // What is no UTF-8 is no JSON either, and the line is named for it.
        Ok(String::from_utf8(line).unwrap_or_default())
    }))
}

fn read_checkpoints(path: &Path, into: &mut Vec<SignedCheckpoint>) -> anyhow::Result<()> {
    let before = into.len();
    for (number, line) in lines_of(path)?.enumerate() {
        match Line::read(&line?) {
            Ok(Line::Checkpoint(signed)) => into.push(signed),
            Ok(_) => {}
            Err(_) => {
                return Err(SettingsError::new(format!(
                    "line {} of {} is no checkpoint: give the file as the worker wrote it",
                    number + 1,
                    path.display()
                ))
                .into());
            }
        }
    }
    if into.len() == before {
        eprintln!("letterbox: {} holds no checkpoint", path.display());
    }
    Ok(())
}

fn fixed<const N: usize>(hex: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

//! Link keys that change while roles use them: a new generation, a mark that others know one, and what a
//! role's folder lacks of its masters'.
//!
//! A generation is used from the moment on at which its last file is there: `link-N.incomplete` stands
//! beside it until then, and whatever ends the process, a role finds all of it or nothing.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use address_open::DerivedKeys;
use anyhow::{Context, ensure};
use domain::{Entropy, KeyState};
use zeroize::Zeroizing;

use super::Masters;
use super::key_file::{Family, Holder, KeyFile};
use super::key_folder::{self, KeyFolder};
use super::marks::{self, Mark};
use super::split;
use crate::failure::SettingsError;

/// Makes the next link generation of these masters and returns its number.
pub(crate) fn add_generation(masters: &Path, entropy: &dyn Entropy) -> anyhow::Result<u16> {
    let _alone = alone_in(masters)?;
    let folder = KeyFolder::read(masters, Holder::Masters)?;
    let generation = folder
        .generations
        .links
        .checked_add(1)
        .context("there are as many link keys as there can be")?;
    let mut master = Zeroizing::new([0; 32]);
    entropy.fill(master.as_mut());
    write_generation(masters, &folder, generation, |_| {
        Ok(Zeroizing::new(master.to_vec()))
    })?;
    Ok(generation)
}

/// The folder of a role that these masters made, and nobody else changes meanwhile.
pub(crate) struct RoleFolder {
    path: PathBuf,
    folder: KeyFolder,
    _alone: File,
}

/// What a folder got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// Link generations.
    pub(crate) generations: Vec<u16>,
    /// Marks that others know the keys of one.
    pub(crate) marks: Vec<u16>,
}

impl RoleFolder {
    /// Opens a folder that may be brought up to date from these masters.
    pub(crate) fn open(path: &Path, masters: &Masters) -> anyhow::Result<Self> {
        let refuse = |why: &str| SettingsError::new(format!("{} {why}", path.display()));
        let holder = Holder::of_role(&key_folder::key_files(path)?).ok_or_else(|| {
            refuse(
                "is no folder of a role: name one that `letterbox keys new` or `keys split` made",
            )
        })?;
        let alone = alone_in(path)?;
        let folder = KeyFolder::read(path, holder)?;
        let not_theirs = "was not made from these masters: name the masters of this installation";
        ensure!(folder.body_id()? == masters.body_id, refuse(not_theirs));
        ensure!(
            usize::from(folder.generations.links) <= masters.links.len(),
            refuse("has newer link keys than these masters: name the newest copy of the masters")
        );
        let derived = derived(masters)?;
        for file in links_of(&folder, 1..=folder.generations.links) {
            let theirs = split::value(masters, &derived, file)?;
            ensure!(
                *folder.key(file.kind, file.generation)?.as_slice() == **theirs,
                refuse(not_theirs)
            );
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            _alone: alone,
        })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its role makes the links that the others verify, and so has to come last.
    pub(crate) fn makes_links(&self) -> bool {
        self.folder.holder == Holder::Deliver
    }

    /// Gives it the link generations and marks that it lacks.
    pub(crate) fn bring_up_to(&self, masters: &Masters) -> anyhow::Result<Given> {
        let newest = u16::try_from(masters.links.len()).context("too many generations")?;
        let derived = derived(masters)?;
        let generations: Vec<u16> = (self.folder.generations.links + 1..=newest).collect();
        for generation in &generations {
            write_generation(&self.path, &self.folder, *generation, |file| {
                split::value(masters, &derived, file)
            })?;
        }
        let marks: Vec<u16> = masters
            .compromised_links()
            .filter(|kid| !self.folder.marks.is_compromised(*kid))
            .collect();
        for kid in &marks {
            marks::set(&self.path, Mark::Compromised(*kid))?;
        }
        Ok(Given { generations, marks })
    }
}

/// Says in these folders, of roles and of masters, that others may know the keys of a generation.
/// Whether it was news, for each.
pub(crate) fn mark_compromised(folders: &[PathBuf], kid: u16) -> anyhow::Result<Vec<bool>> {
    let mut checked = Vec::new();
    for path in folders {
        let holder = Holder::of_role(&key_folder::key_files(path)?).unwrap_or(Holder::Masters);
        let alone = alone_in(path)?;
        let folder = KeyFolder::read(path, holder)?;
        let shown = path.display();
        ensure!(
            (1..=folder.generations.links).contains(&kid),
            SettingsError::new(format!(
                "{shown} has no link key {kid}, only 1 to {}: `letterbox keys show --keys {shown}` lists them",
                folder.generations.links
            ))
        );
        let marked = folder.marks.is_compromised(kid);
        ensure!(
            marked || folder.link_state(kid) != KeyState::Current,
            SettingsError::new(format!(
                "{shown}: link key {kid} is the one that links are made with: first make a newer one with `letterbox keys rotate links`, then run this again"
            ))
        );
        checked.push((path, marked, alone));
    }
    checked
        .into_iter()
        .map(|(path, marked, _alone)| {
            if !marked {
                marks::set(path, Mark::Compromised(kid))?;
            }
            Ok(!marked)
        })
        .collect()
}

fn derived(masters: &Masters) -> anyhow::Result<DerivedKeys> {
    DerivedKeys::derive(masters.body_id, &masters.address).context("the address keys are broken")
}

/// The link keys of a folder in these generations.
fn links_of(
    folder: &KeyFolder,
    generations: impl IntoIterator<Item = u16>,
) -> impl Iterator<Item = KeyFile> {
    let holder = folder.holder;
    generations.into_iter().flat_map(move |generation| {
        holder
            .kinds_of(Family::Links)
            .map(move |kind| KeyFile { kind, generation })
    })
}

/// Writes the files of one generation, so that a role sees all of them or none.
fn write_generation(
    path: &Path,
    folder: &KeyFolder,
    generation: u16,
    value: impl Fn(KeyFile) -> anyhow::Result<Zeroizing<Vec<u8>>>,
) -> anyhow::Result<()> {
    let incomplete = Mark::Incomplete(generation);
    if !folder.marks.0.contains(&incomplete) {
        marks::set(path, incomplete)?;
    }
    for file in links_of(folder, [generation]) {
        // of a run that was cut short: nobody ever used it
        let left = path.join(file.to_string());
        if fs::symlink_metadata(&left).is_ok() {
            fs::remove_file(&left).with_context(|| format!("cannot remove {}", left.display()))?;
        }
        key_folder::write_new(path, file, &value(file)?)?;
    }
    key_folder::sync_folder(path)?;
    marks::remove(path, incomplete)
}

/// Keeps other `letterbox keys` out of a folder for as long as the answer lives.
fn alone_in(path: &Path) -> anyhow::Result<File> {
    let cannot = |error: std::io::Error| {
        SettingsError::new(format!(
            "cannot open {}: {error}: name a folder of keys, and run this as its owner or as root",
            path.display()
        ))
    };
    let folder = File::open(path).map_err(cannot)?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(SettingsError::new(format!(
            "another `letterbox keys` is at work on {}, or it is named twice: wait until it is done",
            path.display()
        ))
        .into()),
        Err(TryLockError::Error(error)) => Err(cannot(error).into()),
    }
}

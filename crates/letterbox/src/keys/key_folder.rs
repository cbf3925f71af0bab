//! Reading a folder of keys, strictly, and writing one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, FileType};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use domain::{BodyId, KeyId, KeyState};
use link_token::ClassKey;
use service_runtime::secret_file::{self, SecretFileError};
use zeroize::Zeroizing;

use super::dkim;
use super::key_file::{Generations, Holder, KeyFile, Kind};
use super::marks::{Mark, Marks};
use crate::failure::SettingsError;

/// What a folder of keys holds, read and checked.
pub(super) struct KeyFolder {
    pub(super) holder: Holder,
    pub(super) generations: Generations,
    pub(super) marks: Marks,
    values: BTreeMap<KeyFile, Zeroizing<Vec<u8>>>,
}

impl KeyFolder {
    /// Reads all keys of a folder. A role's folder must hold its share and nothing else.
    pub(super) fn read(path: &Path, holder: Holder) -> anyhow::Result<Self> {
        check_folder(path, holder)?;
        let mut found = BTreeSet::new();
        let mut marks = Marks::default();
        for (name, file_type) in entries(path)? {
            if let Some(mark) = Mark::from_name(&name).filter(|_| file_type.is_file()) {
                marks.0.insert(mark);
                continue;
            }
            match KeyFile::from_name(&name).filter(|file| holder.may_hold(file.kind)) {
                Some(file) => {
                    found.insert(file);
                }
                // Read by `dkim`: these have no share of their own, since none needs to be there.
                None if holder.may_sign() && dkim::selector(&name).is_some() => {}
                // Operators have kept what they like beside the masters, a backup or a note; nothing
                // of it is read.
                None if holder == Holder::Masters => {}
                None => return Err(foreign(path, holder, &name, file_type).into()),
            }
        }
        found.retain(|file| !marks.hide(*file));
        let generations = Generations::of(&found);
        if let Some(mark) = marks.compromised().find(|it| *it > generations.links) {
            return Err(SettingsError::new(format!(
                "{} marks a link key that is not there: put the key back from your backup, or remove the mark",
                path.join(Mark::Compromised(mark).to_string()).display()
            ))
            .into());
        }
        let share = holder.files(generations);
        if let Some(missing) = share.difference(&found).next() {
            return Err(match Holder::of_role(&key_files(path)?) {
                Some(role) if holder == Holder::Masters => SettingsError::new(format!(
                    "{} lacks {missing}: it looks like the folder of {}, from which no other can be made: name the folder of the masters",
                    path.display(),
                    role.folder_name()
                )),
                _ => lacking(path, holder, *missing),
            }
            .into());
        }
        if let Some(stale) = found.difference(&share).next() {
            return Err(SettingsError::new(format!(
                "{} is of an older generation, which {} does not use any more: remove it",
                path.join(stale.to_string()).display(),
                holder.folder_name()
            ))
            .into());
        }
        let values = share
            .into_iter()
            .map(|file| Ok((file, read_value(path, holder, file)?)))
            .collect::<anyhow::Result<_>>()?;
        refuse_copies(path, &values)?;
        Ok(Self {
            holder,
            generations,
            marks,
            values,
        })
    }

    /// The bytes of a key.
    pub(super) fn key(&self, kind: Kind, generation: u16) -> anyhow::Result<Zeroizing<[u8; 32]>> {
        let value = self.value(KeyFile { kind, generation })?;
        let mut bytes = Zeroizing::new([0; 32]);
        ensure!(value.len() == bytes.len(), "{kind:?} has no 32 bytes");
        bytes.copy_from_slice(value);
        Ok(bytes)
    }

    /// The body that the keys are for.
    pub(super) fn body_id(&self) -> anyhow::Result<BodyId> {
        let file = KeyFile {
            kind: Kind::BodyId,
            generation: 0,
        };
        BodyId::try_from(&self.value(file)?[..]).context("a body id has 16 bytes")
    }

    /// The state of a link generation: the newest that others do not know makes links.
    pub(super) fn link_state(&self, generation: u16) -> KeyState {
        let known = |generation| self.marks.is_compromised(generation);
        let mut newer = (generation..=self.generations.links).skip(1);
        if known(generation) {
            KeyState::Compromised
        } else if newer.all(known) {
            KeyState::Current
        } else {
            KeyState::Retired
        }
    }

    /// All generations of a link class or of the return path.
    pub(super) fn class_keys(&self, kind: Kind) -> anyhow::Result<Vec<ClassKey>> {
        (1..=self.generations.links)
            .map(|generation| {
                Ok(ClassKey {
                    kid: KeyId(generation),
                    bytes: self.key(kind, generation)?,
                    state: self.link_state(generation),
                })
            })
            .collect()
    }

    fn value(&self, file: KeyFile) -> anyhow::Result<&Zeroizing<Vec<u8>>> {
        self.values
            .get(&file)
            .with_context(|| format!("{file} is in no folder of this kind"))
    }
}

/// No two files hold one key: that is a slip of whoever copied them, and would make of two doors one.
fn refuse_copies(
    path: &Path,
    values: &BTreeMap<KeyFile, Zeroizing<Vec<u8>>>,
) -> anyhow::Result<()> {
    let mut seen: BTreeMap<&[u8], KeyFile> = BTreeMap::new();
    for (file, value) in values {
        if let Some(other) = seen.insert(value, *file) {
            return Err(SettingsError::new(format!(
                "{}: {other} and {file} hold the same key: put both back from your backup",
                path.display()
            ))
            .into());
        }
    }
    Ok(())
}

/// The key files of a folder, by their names alone.
pub(super) fn key_files(path: &Path) -> anyhow::Result<BTreeSet<KeyFile>> {
    let names = entries(path)?;
    Ok(names
        .keys()
        .filter_map(|name| KeyFile::from_name(name))
        .collect())
}

/// The names in a folder, sorted.
pub(super) fn names(path: &Path) -> anyhow::Result<Vec<String>> {
    Ok(entries(path)?.into_keys().collect())
}

fn check_folder(path: &Path, holder: Holder) -> anyhow::Result<()> {
    let metadata = fs::metadata(path).map_err(|error| {
        let remedy = match (error.kind(), holder) {
            (io::ErrorKind::NotFound, Holder::Masters) => "name the folder of the masters",
            (io::ErrorKind::NotFound, _) => {
                "make it with `letterbox keys new` or `letterbox keys split`"
            }
            _ => "it must belong to the user that runs this",
        };
        SettingsError::new(format!("{}: {error}: {remedy}", path.display()))
    })?;
    ensure!(
        metadata.is_dir(),
        SettingsError::new(format!(
            "{} is no folder: name the folder that holds the keys",
            path.display()
        ))
    );
    let mode = metadata.permissions().mode() & 0o7777;
    // Whoever may write there could put a key of their own in the place of ours.
    if mode & 0o077 != 0 {
        return Err(SettingsError::new(format!(
            "the key folder {0} is open to other users (mode {mode:04o}): run `chmod 700 {0}`",
            path.display()
        ))
        .into());
    }
    Ok(())
}

/// Names and types, sorted by name so that a refusal is the same each time; links are not followed.
fn entries(path: &Path) -> anyhow::Result<BTreeMap<String, FileType>> {
    let cannot_read = |error: io::Error| {
        SettingsError::new(format!(
            "cannot read {}: {error}: it must belong to the user that runs this",
            path.display()
        ))
    };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).map_err(cannot_read)? {
        let entry = entry.map_err(cannot_read)?;
        found.insert(
            entry.file_name().to_string_lossy().into_owned(),
            entry.file_type().map_err(cannot_read)?,
        );
    }
    Ok(found)
}

/// Why a role does not start with such a thing in its folder.
fn foreign(path: &Path, holder: Holder, name: &str, file_type: FileType) -> SettingsError {
    let role = holder.folder_name();
    let shown = path.join(name).display().to_string();
    let own = path.join(role);
    if file_type.is_dir() && own.is_dir() {
        return SettingsError::new(format!(
            "{} holds the folders of all roles: give --keys {}",
            path.display(),
            own.display()
        ));
    }
    let is_key = KeyFile::from_name(name).is_some() || dkim::selector(name).is_some();
    SettingsError::new(match KeyFile::from_name(name) {
        Some(file) if file.kind.is_master() => format!(
            "{shown} is a master key, which no role may hold: take it away from this machine, and give --keys a folder `{role}` that `letterbox keys split` made from the masters"
        ),
        _ if is_key => format!(
            "{shown} is a key that {role} may not hold: give --keys the folder `{role}` that `letterbox keys split` made, and nothing else in it"
        ),
        _ => format!("{shown} is no key of {role}: keep nothing in this folder but its keys"),
    })
}

fn lacking(path: &Path, holder: Holder, missing: KeyFile) -> SettingsError {
    let own = path.join(holder.folder_name());
    if own.is_dir() {
        return SettingsError::new(format!(
            "{} holds the folders of all roles: name one of them, {} say",
            path.display(),
            own.display()
        ));
    }
    if missing.kind == Kind::Ledger {
        return SettingsError::new(format!(
            "{0} lacks {missing}, which signs the unsubscribe ledger: put it back from your backup; folders from before the ledger was signed never had one: then run `letterbox keys ledger {0}`",
            path.display()
        ));
    }
    let remedy = match holder {
        Holder::Masters => "put it back from your backup",
        _ => {
            "put it back from your backup, or make the folder anew with `letterbox keys split`; if keys were being changed, run `letterbox keys update`"
        }
    };
    SettingsError::new(format!("{} lacks {missing}: {remedy}", path.display()))
}

fn read_value(folder: &Path, holder: Holder, file: KeyFile) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let path = folder.join(file.to_string());
    if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(lacking(folder, holder, file).into());
    }
    let text = read_secret(&path)?;
    let bytes = Zeroizing::new(HEXLOWER.decode(&text).unwrap_or_default());
    ensure!(
        bytes.len() == file.kind.length(),
        SettingsError::new(format!(
            "{} should be one line of {} lower-case hexadecimal digits: put it back from your backup",
            path.display(),
            file.kind.length() * 2
        ))
    );
    Ok(bytes)
}

/// The bytes of a key file.
pub(super) fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    // A link leads to a file that somebody else may own and change; opening a pipe would wait for ever.
    ensure!(
        fs::symlink_metadata(path).map_or(true, |metadata| metadata.is_file()),
        SettingsError::new(format!(
            "{} is a link or no file at all: put the key itself there",
            path.display()
        ))
    );
    Ok(secret_file::read(path).map_err(|error| match error {
        SecretFileError::Unreadable { source, .. } => SettingsError::new(format!(
            "cannot read {}: {source}: it must belong to the user that runs this",
            path.display()
        )),
        other => SettingsError::new(other.to_string()),
    })?)
}

/// The body id alone, whoever's folder it is.
pub(super) fn read_body_id(path: &Path) -> anyhow::Result<BodyId> {
    let file = KeyFile {
        kind: Kind::BodyId,
        generation: 0,
    };
    // Any role would do: this one is only for what a refusal says.
    let holder = Holder::Deliver;
    check_folder(path, holder)?;
    let bytes = read_value(path, holder, file)?;
    BodyId::try_from(&bytes[..]).context("a body id has 16 bytes")
}

/// A key file that is not there yet, on disk.
pub(super) fn write_new(folder: &Path, file: KeyFile, bytes: &[u8]) -> anyhow::Result<()> {
    // Room for all of it at once: a text that grows leaves copies of the key behind.
    let mut line = Zeroizing::new(String::with_capacity(bytes.len() * 2 + 1));
    HEXLOWER.encode_append(bytes, &mut line);
    line.push('\n');
    write_private(folder, &file.to_string(), line.as_bytes())
}

/// A file that is not there yet, on disk, for the folder's owner only: root makes keys in folders of others.
pub(super) fn write_private(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    let refuse = |error: io::Error| {
        SettingsError::new(format!(
            "cannot write {}: {error}: run this as the owner of the folder, or as root",
            path.display()
        ))
    };
    let owner = fs::metadata(folder).map_err(refuse)?;
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(refuse)?;
    let written = file
        .metadata()
        .and_then(|own| {
            if own.uid() == owner.uid() {
                return Ok(());
            }
            fchown(&file, Some(owner.uid()), Some(owner.gid()))
        })
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&path);
        return Err(refuse(error).into());
    }
    Ok(())
}

/// A folder that is not there yet, for its owner only.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> anyhow::Result<()> {
    File::open(path)
        .and_then(|opened| opened.sync_all())
        .with_context(|| format!("cannot make {} durable", path.display()))
}

/// The folder that this path stands in.
pub(super) fn parent_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_path_buf()
}

//! The folder that makes a worker the same one after a restart: its id, its lock, and whether the machine
//! restarted since.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use domain::{Entropy, WorkerId};

use crate::StartError;

/// A worker's own folder, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    worker: WorkerId,
    is_new: bool,
    same_machine_boot: bool,
    // The lock goes with the file, also when the process is killed.
    _lock: File,
}

impl StateDir {
    /// Locks the folder; makes it, and an id, where there is none.
    pub(crate) fn open(path: &Path, entropy: &dyn Entropy) -> Result<Self, StartError> {
        let failed = |file: &Path| {
            let file = file.to_owned();
            move |source| StartError::StateDir { path: file, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed(path))?;
        let id_file = path.join("worker-id");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&id_file)
            .map_err(failed(&id_file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(&id_file)(source)),
        }
        let is_new = lock.metadata().map_err(failed(&id_file))?.len() == 0;
        let worker = worker_id(&id_file, &lock, entropy).map_err(failed(&id_file))?;
        let boot_file = path.join("machine-boot");
        let same_machine_boot = same_boot(&boot_file).map_err(failed(&boot_file))?;
        Ok(Self {
            path: path.to_owned(),
            worker,
            is_new,
            same_machine_boot,
            _lock: lock,
        })
    }

    /// Who this worker is, for ever.
    pub(crate) const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Whether this worker has never been before: nothing of it can be missing.
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journal is.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Where the timeline of the database is kept.
    pub(crate) fn timeline(&self) -> PathBuf {
        self.path.join("timeline")
    }

    /// Whether the machine has not restarted since the worker last ran. The journal is not synced, so
    /// it survives a killed process, but not a machine that lost its power.
    pub(crate) const fn same_machine_boot(&self) -> bool {
        self.same_machine_boot
    }

    /// Says that all that the journal left open is settled. Until then a worker that starts once
    /// more still finds the machine restarted.
    pub(crate) fn remember_machine_boot(&self) -> io::Result<()> {
        if self.same_machine_boot {
            return Ok(());
        }
        fs::write(self.path.join("machine-boot"), machine_boot())
    }
}

/// Puts a small file in the place of the one there, whole or not at all, also if the machine loses its
/// power now.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(next, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn worker_id(path: &Path, mut file: &File, entropy: &dyn Entropy) -> io::Result<WorkerId> {
    let text = fs::read_to_string(path)?;
    let digits = text.trim();
    if digits.is_empty() {
        let id = WorkerId::new(entropy.sixteen());
        file.write_all(format!("{id}\n").as_bytes())?;
        file.sync_all()?;
        return Ok(id);
    }
    data_encoding::HEXLOWER
        .decode(digits.as_bytes())
        .ok()
        .and_then(|bytes| WorkerId::try_from(bytes.as_slice()).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no worker id"))
}

fn machine_boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Compares the kernel's boot id with the one of the last run, and keeps it where this is the first.
fn same_boot(path: &Path) -> io::Result<bool> {
    let now = machine_boot();
    match fs::read_to_string(path) {
        Ok(before) => Ok(before == now),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::write(path, now)?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::CountingEntropy;

    #[test]
    fn a_worker_keeps_its_id_and_its_tick() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = CountingEntropy::default();
        let first = StateDir::open(folder.path(), &entropy).unwrap();
        let worker = first.worker();
        assert!(first.is_new());
        drop(first);
        let second = StateDir::open(folder.path(), &entropy).unwrap();
        assert_eq!(second.worker(), worker);
        assert!(!second.is_new());
        assert!(second.same_machine_boot());
    }

    #[test]
    fn two_workers_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = CountingEntropy::default();
        let _first = StateDir::open(folder.path(), &entropy).unwrap();
        let second = StateDir::open(folder.path(), &entropy);
        assert!(matches!(second, Err(StartError::InUse(_))));
    }

    #[test]
    fn a_restarted_machine_is_noticed_until_its_journal_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = CountingEntropy::default();
        drop(StateDir::open(folder.path(), &entropy).unwrap());
        fs::write(folder.path().join("machine-boot"), "another boot").unwrap();
        for settled in [false, true] {
            let restarted = StateDir::open(folder.path(), &entropy).unwrap();
            assert!(!restarted.same_machine_boot());
            if settled {
                restarted.remember_machine_boot().unwrap();
            }
        }
        let again = StateDir::open(folder.path(), &entropy).unwrap();
        assert!(again.same_machine_boot());
    }

    #[test]
    fn a_spoilt_id_is_an_error_and_not_a_new_worker() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("worker-id"), "zz").unwrap();
        let opened = StateDir::open(folder.path(), &CountingEntropy::default());
        assert!(matches!(opened, Err(StartError::StateDir { .. })));
    }
}

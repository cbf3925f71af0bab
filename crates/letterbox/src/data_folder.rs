//! The data folder of an installation: what lies where, who may open it, and the lock that keeps a
//! second `up` out.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::failure::SettingsError;

/// How long a second `up` waits for the first to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Paths below one `--data` folder.
#[derive(Debug, Clone)]
pub(crate) struct DataFolder {
    root: PathBuf,
}

impl DataFolder {
    /// The folder at this path, made absolute; it need not exist yet.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        let root = std::path::absolute(path)
            .with_context(|| format!("--data {} is no usable path", path.display()))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    pub(crate) fn spool(&self, role: &str) -> PathBuf {
        self.root.join("spool").join(role)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(crate) fn caught_mail(&self) -> PathBuf {
        self.root.join("caught-mail")
    }

    pub(crate) fn catalogue(&self) -> PathBuf {
        self.root.join("catalogue.json")
    }

    pub(crate) fn examples(&self) -> PathBuf {
        self.root.join("examples")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where a running `up` tells operator commands how to reach its database.
    pub(crate) fn connection_file(&self) -> PathBuf {
        self.run().join("connection.json")
    }

    /// Makes the folder itself if it is missing, for its owner only.
    pub(crate) fn create_root(&self) -> anyhow::Result<()> {
        make_private(&self.root)
    }

    /// Makes every folder that is missing, for its owner only.
    pub(crate) fn create(&self) -> anyhow::Result<()> {
        let folders = [
            self.root.clone(),
            self.keys(),
            self.postgres(),
            self.spool("intake"),
            self.spool("unsubscribe"),
            self.state(),
            self.caught_mail(),
            self.run(),
            self.examples(),
        ];
        for folder in folders {
            make_private(&folder)?;
        }
        Ok(())
    }

    /// Takes the lock; whoever holds the answer keeps every other `up` out of this folder.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        let path = self.run().join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| cannot_use(&path, &error))?;
        // A process that was just killed holds its lock until the kernel has taken it apart.
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(fs::TryLockError::WouldBlock) => return Err(SettingsError::new(format!(
                    "another `letterbox up` is running on {}: stop it first, or give this one a folder of its own with --data",
                    self.root.display()
                ))
                .into()),
                Err(fs::TryLockError::Error(error)) => {
                    return Err(cannot_use(&path, &error).into());
                }
            }
        }
    }

    /// Whether an `up` is running on this folder.
    pub(crate) fn is_in_use(&self) -> io::Result<bool> {
        match File::options().write(true).open(self.run().join("lock")) {
            Ok(file) => Ok(matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The user and group that own the folder; none while it does not exist.
    pub(crate) fn owner(&self) -> io::Result<Option<(u32, u32)>> {
        match fs::metadata(&self.root) {
            Ok(metadata) => Ok(Some((metadata.uid(), metadata.gid()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The first folder on the way to the root that a user outside its owner and group cannot pass
    /// through.
    pub(crate) fn barred_for(&self, uid: u32, gid: u32) -> Option<PathBuf> {
        let mut ancestors: Vec<&Path> = self.root.ancestors().skip(1).collect();
        ancestors.reverse();
        ancestors
            .into_iter()
            .find(|folder| {
                fs::metadata(folder).is_ok_and(|metadata| {
                    let bit = if metadata.uid() == uid {
                        0o100
                    } else if metadata.gid() == gid {
                        0o010
                    } else {
                        0o001
                    };
                    metadata.mode() & bit == 0
                })
            })
            .map(Path::to_path_buf)
    }
}

/// A folder for its owner only, and those above it.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| cannot_use(folder, &error).into())
}

/// Why the folder of `--data`, or what is in it, is of no use.
pub(crate) fn cannot_use(path: &Path, error: &io::Error) -> SettingsError {
    SettingsError::new(format!(
        "cannot use {}: {error}: give --data a folder that this user may write to",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_lock_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::at(folder.path()).unwrap();
        data.create().unwrap();
        assert!(!data.is_in_use().unwrap());
        let held = data.lock().unwrap();
        assert!(data.is_in_use().unwrap());
        let refusal = data.lock().unwrap_err().to_string();
        assert!(refusal.contains("stop it first"), "{refusal}");
        drop(held);
        assert!(data.lock().is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_is_a_wrong_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("data")] {
            let refused = DataFolder::at(&path).unwrap().create_root().unwrap_err();
            assert!(refused.is::<SettingsError>(), "{refused}");
            let named = refused.to_string();
            assert!(
                named.contains("--data") && named.contains("file"),
                "{named}"
            );
        }
    }

    #[test]
    fn a_folder_closed_to_others_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = DataFolder::at(&closed.join("data")).unwrap();
        assert_eq!(data.barred_for(60_001, 60_001), Some(closed.clone()));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(data.barred_for(60_001, 60_001), None);
    }
}

//! The checkpoints that lie outside of the database: a file in the worker's folder that only grows, so that
//! whoever changes the ledger and its table has not changed this.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ledger::{Hash, Line, PublicKey, SignedCheckpoint};

/// The file, open to grow.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    newest: Option<SignedCheckpoint>,
    keys: HashSet<PublicKey>,
}

impl CheckpointFile {
    /// Opens the file of a worker's folder, and makes it where there is none.
    ///
    /// A line that a crash cut short is taken away: a checkpoint is told to nobody before it is on disk.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("checkpoints.jsonl");
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        let found = Found::read(&path)?;
        if found.whole < file.metadata()?.len() {
            tracing::warn!("a checkpoint was being written when the worker died: it is taken away");
            file.set_len(found.whole)?;
        }
        file.sync_all()?;
        File::open(state_dir)?.sync_all()?;
        if found.unreadable > 0 {
            tracing::error!(
                lines = found.unreadable,
                path = %path.display(),
                "checkpoints cannot be read: somebody changed the file"
            );
            metrics::counter!("letterbox_ledger_checkpoint_failures_total", "reason" => "disk")
                .increment(1);
        }
        let open = Mutex::new(Open {
            file,
            newest: found.newest,
            keys: found.keys,
        });
        Ok(Self { path, open })
    }

    /// The one that was written last.
    pub(crate) fn newest(&self) -> Option<SignedCheckpoint> {
        self.locked().newest
    }

    /// Whether one of its checkpoints is by this key.
    pub(crate) fn knows(&self, key: &PublicKey) -> bool {
        self.locked().keys.contains(key)
    }

    /// The keys of its checkpoints.
    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        self.locked().keys.iter().copied().collect()
    }

    /// All of them, in the order in which they were written; what cannot be read is left out.
    pub(crate) fn read(&self) -> io::Result<Vec<SignedCheckpoint>> {
        let mut all = Vec::new();
        for line in lines(&self.path)? {
            all.extend(checkpoint(&line?));
        }
        Ok(all)
    }

    /// Where the checkpoints of these places are: what is in the file already.
    pub(crate) fn places(&self) -> io::Result<HashSet<(u64, Hash)>> {
        let all = self.read()?.into_iter();
        Ok(all
            .map(|signed| (signed.checkpoint.seq, signed.checkpoint.h))
            .collect())
    }

    /// Adds one. It is on disk when this returns.
    pub(crate) fn append(&self, signed: &SignedCheckpoint) -> io::Result<()> {
        let mut line = Line::Checkpoint(*signed).write();
        line.push('\n');
        let mut open = self.locked();
        let before = open.file.metadata()?.len();
        let written = open
            .file
            .write_all(line.as_bytes())
            .and_then(|()| open.file.sync_data());
        if let Err(error) = written {
            // half a line would spoil the next one
            let _ = open.file.set_len(before);
            return Err(error);
        }
        open.newest = Some(*signed);
        open.keys.insert(signed.public_key);
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines with their ends.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
    let mut reader = BufReader::new(File::open(path)?);
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(error)),
        }
    }))
}

fn checkpoint(line: &[u8]) -> Option<SignedCheckpoint> {
    let text = std::str::from_utf8(line).ok()?;
    match Line::read(text) {
        Ok(Line::Checkpoint(signed)) => Some(signed),
        _ => None,
    }
}

#[derive(Default)]
struct Found {
    newest: Option<SignedCheckpoint>,
    keys: HashSet<PublicKey>,
    unreadable: u64,
    /// Bytes up to the end of the last line that has one.
    whole: u64,
}

impl Found {
    fn read(path: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        for line in lines(path)? {
            let line = line?;
            if line.last() != Some(&b'\n') {
                break;
            }
            if let Some(signed) = checkpoint(&line) {
                found.newest = Some(signed);
                found.keys.insert(signed.public_key);
            } else {
                found.unreadable += 1;
            }
            found.whole += line.len() as u64;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use domain::{BodyId, Timestamp};
    use ledger::{Checkpoint, SigningKey};

    use super::*;

    fn signed(seq: u64) -> SignedCheckpoint {
        let checkpoint = Checkpoint {
            seq,
            h: [7; 32],
            time: Timestamp::from_millis(seq),
        };
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        key.sign(BodyId::new([2; 16]), checkpoint)
    }

    #[test]
    fn it_grows_and_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::open(folder.path()).unwrap();
        assert_eq!(file.newest(), None);
        file.append(&signed(4)).unwrap();
        file.append(&signed(2)).unwrap();
        drop(file);
        let again = CheckpointFile::open(folder.path()).unwrap();
        assert_eq!(again.newest(), Some(signed(2)));
        assert_eq!(again.read().unwrap(), [signed(4), signed(2)]);
        assert!(again.knows(&signed(4).public_key) && !again.knows(&[0; 32]));
        let path = folder.path().join("checkpoints.jsonl");
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_cut_short_is_taken_away_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.jsonl");
        let file = CheckpointFile::open(folder.path()).unwrap();
        file.append(&signed(4)).unwrap();
        let whole = fs::read(&path).unwrap();
        for torn in ["{", "{\"seq\":5}", &Line::Checkpoint(signed(5)).write()] {
            fs::write(&path, [&whole, torn.as_bytes()].concat()).unwrap();
            let again = CheckpointFile::open(folder.path()).unwrap();
            assert_eq!(again.newest(), Some(signed(4)));
            assert_eq!(fs::read(&path).unwrap(), whole);
            again.append(&signed(6)).unwrap();
            assert_eq!(again.read().unwrap(), [signed(4), signed(6)]);
        }
        // A line in the middle that cannot be read stays: it is evidence of a hand that was there.
        fs::write(&path, [b"\xff\xfe{}\n".as_slice(), &whole].concat()).unwrap();
        let again = CheckpointFile::open(folder.path()).unwrap();
        assert_eq!(again.newest(), Some(signed(4)));
        assert!(fs::read(&path).unwrap().ends_with(b"}\n"));
    }
}

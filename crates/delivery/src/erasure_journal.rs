//! Erasures, on the worker's own disk: what a restored backup has forgotten is erased again before
//! anything is sent (`DESIGN.md` 2).
//!
//! A line each, appended and synced: `event_id accepted_at code generation spool_id`. No address is in it,
//! only the keyed code that is kept anyway, so that the person is not mailed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use domain::{EventId, SpoolId, SuppressionCode, Timestamp};
use store::PastErasure;

/// The journal; used by the registrar and by whoever watches for a restore.
#[derive(Debug)]
pub(crate) struct ErasureJournal(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    known: BTreeMap<EventId, PastErasure>,
}

impl ErasureJournal {
    /// Opens it, or makes one. A last line that was never finished is cut; any other that cannot be read
    /// is an error, since it may be somebody's erasure.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let text = io::read_to_string(&mut file)?;
        let finished = text.rfind('\n').map_or(0, |end| end + 1);
        if finished < text.len() {
            file.set_len(finished as u64)?;
        }
        let mut known = BTreeMap::new();
        for (number, line) in text[..finished].lines().enumerate() {
            let past = read(line).ok_or_else(|| {
                let why = format!("line {} is no erasure: mend it or take it away", number + 1);
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?;
            known.insert(past.event_id, past);
        }
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self(Mutex::new(Inner { file, known })))
    }

    /// Writes one down, unless it is there. When this returns it survives a power cut.
    pub(crate) fn note(&self, past: &PastErasure) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.known.contains_key(&past.event_id) {
            return Ok(());
        }
        inner.file.write_all(line(past).as_bytes())?;
        inner.file.sync_data()?;
        inner.known.insert(past.event_id, *past);
        Ok(())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<PastErasure> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.values().copied().collect()
    }
}

fn line(past: &PastErasure) -> String {
    format!(
        "{} {} {} {} {}\n",
        past.event_id,
        past.accepted_at.as_millis(),
        HEXLOWER.encode(past.code.as_bytes()),
        past.generation,
        past.spool_id,
    )
}

fn read(line: &str) -> Option<PastErasure> {
    let mut words = line.split(' ');
    let bytes =
        |words: &mut std::str::Split<'_, char>| HEXLOWER.decode(words.next()?.as_bytes()).ok();
    let event_id = EventId::try_from(bytes(&mut words)?.as_slice()).ok()?;
    let accepted_at = Timestamp::from_millis(words.next()?.parse().ok()?);
    let code = SuppressionCode::new(bytes(&mut words)?.try_into().ok()?);
    let generation = words.next()?.parse().ok()?;
    let spool_id = SpoolId::try_from(bytes(&mut words)?.as_slice()).ok()?;
    words.next().is_none().then_some(PastErasure {
        event_id,
        accepted_at,
        code,
        generation,
        spool_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(byte: u8) -> PastErasure {
        PastErasure {
            event_id: EventId::new([byte; 16]),
            accepted_at: Timestamp::from_millis(1_795_500_000_000 + u64::from(byte)),
            code: SuppressionCode::new([byte; 32]),
            generation: 3,
            spool_id: SpoolId::new([byte; 16]),
        }
    }

    #[test]
    fn what_was_noted_is_there_after_a_restart_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures");
        let journal = ErasureJournal::open(&path).unwrap();
        for byte in [1, 2, 1] {
            journal.note(&past(byte)).unwrap();
        }
        drop(journal);
        let journal = ErasureJournal::open(&path).unwrap();
        assert_eq!(journal.all(), [past(1), past(2)]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_line_that_was_never_finished_is_cut_and_another_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures");
        let torn = format!("{}0202", line(&past(1)));
        std::fs::write(&path, torn).unwrap();
        let journal = ErasureJournal::open(&path).unwrap();
        journal.note(&past(3)).unwrap();
        drop(journal);
        assert_eq!(
            ErasureJournal::open(&path).unwrap().all(),
            [past(1), past(3)]
        );
        std::fs::write(&path, format!("zz\n{}", line(&past(1)))).unwrap();
        let refused = ErasureJournal::open(&path).unwrap_err();
        assert!(refused.to_string().contains("line 1"), "{refused}");
    }
}

//! What was on the wire when the process died: a ring of records, written by `write(2)` only, which
//! is enough to survive kill -9, out of memory and a panic (`reliability.md` 1.5).
//!
//! The file is allocated when it is made, so that a full disk cannot fail a write in the middle of a
//! message. Its first place has the mark: records before it are in the database, and are kept until the
//! ring comes round to them, 15 minutes later at 580 mails a second, for a database that forgets what
//! it had committed (`reliability.md` 1.12). One whose result does not come for long is written again at
//! the front, so that it holds up nothing.

mod record;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use store::AttemptResult;

pub(crate) use record::{Attempt, Event, Record};
use record::{Place, RECORD};
pub(crate) use recovery::{Kept, Recovered};

/// Places in the ring: 64 MiB.
const PLACES: u64 = 1 << 20;
/// Records between the mark and the front, at most; one further behind is written again.
const SPAN: u64 = 1 << 16;

/// The journal of a worker.
#[derive(Debug)]
pub(crate) struct Journal {
    ring: Mutex<Ring>,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// Too much waits for the database.
    #[error("the journal is full of results that the database has not taken")]
    Full,
    /// The disk failed.
    #[error("the journal cannot be written")]
    Io(#[source] io::Error),
}

#[derive(Debug)]
struct Ring {
    file: File,
    places: u64,
    span: u64,
    /// The number of the next record.
    next: u64,
    /// What the records from the mark on are about.
    written: VecDeque<Attempt>,
    unflushed: HashSet<Attempt>,
    /// The file is as an earlier version, or nobody, left it.
    is_foreign: bool,
}

impl Journal {
    /// Opens the journal, makes it where there is none, and says what it holds.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Recovered)> {
        Self::open_with(path, PLACES)
    }

    fn open_with(path: &Path, places: u64) -> io::Result<(Self, Recovered)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let recovered = Recovered::read(&file, places)?;
        let mut from = file.metadata()?.len();
        // real zeros, not a hole: the disk's space is taken now
        while from < (places + 1) * RECORD as u64 {
            let missing = (places + 1) * RECORD as u64 - from;
            let piece = usize::try_from(missing.min(1 << 20)).map_err(io::Error::other)?;
            file.write_all_at(&vec![0; piece], from)?;
            from += piece as u64;
        }
        let ring = Ring {
            file,
            places,
            span: SPAN.min(places / 4),
            next: recovered.next,
            written: VecDeque::new(),
            unflushed: HashSet::new(),
            is_foreign: recovered.is_foreign,
        };
        Ok((
            Self {
                ring: Mutex::new(ring),
            },
            recovered,
        ))
    }

    /// Everything in it is in the database.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let mut ring = self.ring();
        if ring.is_foreign {
            // its records have no numbers, or wrong ones
            let piece = vec![0; RECORD * 1024];
            let mut place = 0;
            while place < ring.places + 1 {
                let number = (ring.places + 1 - place).min(1024);
                let length = usize::try_from(number).map_err(io::Error::other)? * RECORD;
                ring.file
                    .write_all_at(&piece[..length], place * RECORD as u64)?;
                place += number;
            }
            ring.is_foreign = false;
        }
        ring.written.clear();
        ring.unflushed.clear();
        ring.write_mark()
    }

    /// Writes down that the end of a message goes out. Only after this may it go.
    pub(crate) fn dot(
        &self,
        attempt: Attempt,
        subject: [u8; 16],
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let mut ring = self.ring();
        // the results of dots that are on the wire have the other half
        if ring.written.len() as u64 >= ring.places / 2 {
            return Err(JournalError::Full);
        }
        ring.write(&Record {
            attempt,
            event: Event::Dot,
            at,
            subject,
        })
    }

    /// Writes down how an attempt ended.
    pub(crate) fn result(
        &self,
        attempt: Attempt,
        subject: [u8; 16],
        result: AttemptResult,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        self.ring().write(&Record {
            attempt,
            event: Event::Result(result),
            at,
            subject,
        })
    }

    /// Says that the database has settled these attempts: the mark moves on.
    pub(crate) fn flushed(&self, attempts: impl IntoIterator<Item = Attempt>) {
        let mut ring = self.ring();
        for attempt in attempts {
            ring.unflushed.remove(&attempt);
        }
        if let Err(error) = ring.move_mark() {
            // a restart applies some results once more, which is harmless
            tracing::error!(%error, "the journal's mark cannot be moved");
        }
        let pending = u32::try_from(ring.written.len()).unwrap_or(u32::MAX);
        metrics::gauge!("letterbox_journal_pending_records").set(f64::from(pending));
    }

    /// All that it still has, for a database that forgot what it had taken.
    pub(crate) fn kept(&self) -> io::Result<Kept> {
        Ok(Kept::new(self.ring().file.try_clone()?))
    }

    /// Whether the database has not settled this attempt: it is on the wire, or its result on its way.
    pub(crate) fn is_open(&self, attempt: Attempt) -> bool {
        self.ring().unflushed.contains(&attempt)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // a panic between two fields leaves a record unaccounted for, never one half written
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn write(&mut self, record: &Record) -> Result<(), JournalError> {
        if self.written.len() as u64 >= self.places {
            return Err(JournalError::Full);
        }
        let bytes = record.encode(lap(self.next, self.places));
        self.file
            .write_all_at(&bytes, offset(self.next, self.places))
            .map_err(JournalError::Io)?;
        self.next += 1;
        self.written.push_back(record.attempt);
        self.unflushed.insert(record.attempt);
        Ok(())
    }

    /// Behind the mark there is only what is flushed.
    fn move_mark(&mut self) -> io::Result<()> {
        loop {
            match self.written.front() {
                Some(oldest) if !self.unflushed.contains(oldest) => {}
                Some(_) if self.written.len() as u64 > self.span => self.write_oldest_again()?,
                _ => break,
            }
            self.written.pop_front();
        }
        self.write_mark()
    }

    fn write_oldest_again(&mut self) -> io::Result<()> {
        let oldest = self.next - self.written.len() as u64;
        let mut bytes = [0; RECORD];
        self.file
            .read_exact_at(&mut bytes, offset(oldest, self.places))?;
        if let Place::Written(record, _) = Place::decode(&bytes) {
            self.write(&record).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn write_mark(&self) -> io::Result<()> {
        let oldest = self.next - self.written.len() as u64;
        self.file.write_all_at(&record::encode_mark(oldest), 0)
    }
}

/// Where a record is; the first place of the file is the mark's.
const fn offset(number: u64, places: u64) -> u64 {
    (1 + number % places) * RECORD as u64
}

/// How often the ring was full before this record.
fn lap(number: u64, places: u64) -> u16 {
    u16::try_from(number / places % (1 << 16)).unwrap_or_default()
}

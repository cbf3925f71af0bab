//! What was on the wire when the process died: a ring of records, written by `write(2)` only, which
//! is enough to survive kill -9, out of memory and a panic (`reliability.md` 1.5).
//!
//! The file is allocated when it is made, so that a full disk cannot fail a write in the middle of a
//! message. A place is used again once every record up to it was flushed to the database; old records
//! that remain are harmless, since each names an attempt that the database has settled.

mod record;

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

/// Places in the ring: 1 MiB.
const PLACES: usize = 16_384;
/// Kept free for the results of dots that are on the wire.
const FOR_RESULTS: usize = 1_024;

/// The journal of a worker.
#[derive(Debug)]
pub(crate) struct Journal {
    ring: Mutex<Ring>,
}

/// What a journal holds when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// All readable records, in the order of the file.
    pub(crate) records: Vec<Record>,
    /// Places that hold something else: the machine lost its power, or somebody wrote into the file.
    pub(crate) damaged: usize,
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
    next: usize,
    written: VecDeque<Attempt>,
    unflushed: HashSet<Attempt>,
}

impl Journal {
    /// Opens the journal, makes it where there is none, and says what it holds.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Recovered)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let recovered = recover(&std::fs::read(path)?);
        let length = file.metadata()?.len();
        // real zeros, not a hole: the disk's space is taken now
        let there = usize::try_from(length).map_err(io::Error::other)?;
        let missing = (PLACES * RECORD).saturating_sub(there);
        file.write_all_at(&vec![0; missing], length)?;
        let ring = Ring {
            file,
            next: 0,
            written: VecDeque::new(),
            unflushed: HashSet::new(),
        };
        Ok((
            Self {
                ring: Mutex::new(ring),
            },
            recovered,
        ))
    }

    /// Empties the journal, once everything in it is in the database.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let mut ring = self.ring();
        ring.file.write_all_at(&vec![0; PLACES * RECORD], 0)?;
        ring.next = 0;
        ring.written.clear();
        ring.unflushed.clear();
        Ok(())
    }

    /// Writes down that the end of a message goes out. Only after this may it go.
    pub(crate) fn dot(
        &self,
        attempt: Attempt,
        subject: [u8; 16],
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let mut ring = self.ring();
        if ring.written.len() + FOR_RESULTS >= PLACES {
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

    /// Says that the database has settled these attempts: their places are free.
    pub(crate) fn flushed(&self, attempts: impl IntoIterator<Item = Attempt>) {
        let mut ring = self.ring();
        for attempt in attempts {
            ring.unflushed.remove(&attempt);
        }
        while let Some(oldest) = ring.written.front().copied() {
            if ring.unflushed.contains(&oldest) {
                break;
            }
            ring.written.pop_front();
        }
        let pending = u32::try_from(ring.written.len()).unwrap_or(u32::MAX);
        metrics::gauge!("letterbox_journal_pending_records").set(f64::from(pending));
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // a panic between two fields leaves a record unaccounted for, never one half written
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn write(&mut self, record: &Record) -> Result<(), JournalError> {
        if self.written.len() >= PLACES {
            return Err(JournalError::Full);
        }
        let place = (self.next * RECORD) as u64;
        self.file
            .write_all_at(&record.encode(), place)
            .map_err(JournalError::Io)?;
        self.next = (self.next + 1) % PLACES;
        self.written.push_back(record.attempt);
        self.unflushed.insert(record.attempt);
        Ok(())
    }
}

/// Reads every place of a journal by itself, so that a damaged one hides no other.
fn recover(bytes: &[u8]) -> Recovered {
    let mut recovered = Recovered::default();
    let (places, rest) = bytes.as_chunks::<RECORD>();
    for place in places {
        match Place::decode(place) {
            Place::Empty => {}
            Place::Written(record) => recovered.records.push(record),
            Place::Damaged => recovered.damaged += 1,
        }
    }
    recovered.damaged += usize::from(rest.iter().any(|byte| *byte != 0));
    recovered
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::DeliveryState;
    use proptest::prelude::*;
    use store::MailAttempt;

    const ACCEPTED: AttemptResult = AttemptResult {
        state: DeliveryState::Accepted,
        code: Some(250),
        enhanced: None,
        not_before: None,
        counts: true,
    };
    const NOW: Timestamp = Timestamp::from_millis(1_795_500_000_000);

    fn attempt(mail: i64) -> Attempt {
        Attempt::Mail(MailAttempt {
            mail,
            epoch: 1,
            attempt: 1,
        })
    }

    fn write_pair(journal: &Journal, mail: i64) -> Result<(), JournalError> {
        journal.dot(attempt(mail), [7; 16], NOW)?;
        journal.result(attempt(mail), [7; 16], ACCEPTED, NOW)
    }

    #[test]
    fn what_was_written_is_there_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, found) = Journal::open(&path).unwrap();
        assert!(found.records.is_empty());
        write_pair(&journal, 5).unwrap();
        // no clean-up runs in a killed process
        std::mem::forget(journal);
        let (journal, found) = Journal::open(&path).unwrap();
        let events: Vec<_> = found.records.iter().map(|record| record.event).collect();
        assert_eq!(events, [Event::Dot, Event::Result(ACCEPTED)]);
        assert_eq!(found.damaged, 0);
        journal.clear().unwrap();
        let (_, found) = Journal::open(&path).unwrap();
        assert!(found.records.is_empty());
    }

    #[test]
    fn a_place_is_used_again_only_after_its_record_was_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(&folder.path().join("journal")).unwrap();
        write_pair(&journal, 0).unwrap();
        // everything after the first is flushed at once, and still fills the ring behind it
        let mut refused = None;
        for mail in 1..20_000 {
            if let Err(error) = write_pair(&journal, mail) {
                refused = Some(error);
                break;
            }
            journal.flushed([attempt(mail)]);
        }
        assert!(matches!(refused, Some(JournalError::Full)));
        journal.flushed([attempt(0)]);
        for mail in 30_000..60_000 {
            write_pair(&journal, mail).unwrap();
            journal.flushed([attempt(mail)]);
        }
    }

    #[test]
    fn a_full_journal_takes_the_results_of_dots_that_went_out() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(&folder.path().join("journal")).unwrap();
        let dots: Vec<i64> = (0..20_000)
            .take_while(|mail| journal.dot(attempt(*mail), [7; 16], NOW).is_ok())
            .collect();
        for mail in dots.iter().take(FOR_RESULTS) {
            journal
                .result(attempt(*mail), [7; 16], ACCEPTED, NOW)
                .unwrap();
        }
    }

    proptest! {
        #[test]
        fn damage_hides_nothing_but_the_places_it_hit(
            records in prop::collection::vec(record::tests::any_record(), 1..20),
            hits in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
            bytes.truncate(cut.index(bytes.len() + 1));
            let mut spoilt = HashSet::new();
            for (hit, change) in hits {
                if bytes.is_empty() { break; }
                let at = hit.index(bytes.len());
                bytes[at] ^= change;
                spoilt.insert(at / RECORD);
            }
            let found = recover(&bytes);
            // two hits on one byte may undo each other, so intact ones are a lower bound
            let whole = bytes.len() / RECORD;
            let intact: Vec<Record> = records[..whole]
                .iter()
                .enumerate()
                .filter(|(index, _)| !spoilt.contains(index))
                .map(|(_, record)| *record)
                .collect();
            prop_assert!(found.records.len() >= intact.len());
            for record in &intact {
                prop_assert!(found.records.contains(record));
            }
            for record in &found.records {
                prop_assert!(records.contains(record));
            }
        }
    }
}

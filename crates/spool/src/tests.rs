//! Tests that use a folder, and what they share.

mod finish;
mod left_behind;
mod limits;
mod lock;
mod model;
mod properties;
mod recovery;
mod vectors;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{
    CountingEntropy, EventId, IssueNumber, KeyId, KeyState, ManualClock, Method, Request,
    SubscriptionId, Timestamp, TokenKey, Unsubscribe,
};
use tempfile::TempDir;

use crate::disk::Disk;
use crate::{Accepted, Content, Envelope, OpenError, Spool, SpoolSettings, record};

/// A disk that fails when a test says so.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) create: AtomicBool,
    /// A new segment gets its name, which does not become durable.
    pub(crate) created: AtomicBool,
    pub(crate) write: AtomicBool,
    pub(crate) sync: AtomicBool,
    pub(crate) syncs: AtomicU64,
    /// A sync waits while a test holds it.
    pub(crate) gate: Mutex<()>,
}

fn full_disk() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl Faults {
    pub(crate) fn on_create(&self) -> io::Result<()> {
        if self.create.load(Ordering::SeqCst) {
            return Err(full_disk());
        }
        Ok(())
    }

    pub(crate) fn on_created(&self) -> io::Result<()> {
        if self.created.load(Ordering::SeqCst) {
            return Err(full_disk());
        }
        Ok(())
    }

    /// Half of the bytes arrive.
    pub(crate) fn on_write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.write.load(Ordering::SeqCst) {
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(full_disk());
        }
        Ok(())
    }

    pub(crate) fn on_sync(&self) -> io::Result<()> {
        drop(self.gate.lock().unwrap());
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        Ok(())
    }
}

/// 2026-11-24.
const START: Timestamp = Timestamp::from_millis(1_795_500_000_000);
/// A folder, a clock and a disk that outlive the spool in them.
struct Room {
    folder: TempDir,
    clock: Arc<ManualClock>,
    entropy: CountingEntropy,
    segment_bytes: u64,
    limit_bytes: u64,
    keep_archive: Option<Duration>,
}

impl Room {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(START)),
            entropy: CountingEntropy::default(),
            segment_bytes: 4096,
            limit_bytes: 1 << 20,
            keep_archive: None,
        }
    }

    fn of_stops() -> Self {
        Self {
            keep_archive: Some(crate::STOP_ARCHIVE),
            ..Self::new()
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn try_open(&self) -> Result<(Spool, Arc<Faults>), OpenError> {
        let settings = SpoolSettings {
            folder: self.path().to_owned(),
            limit_bytes: self.limit_bytes,
            keep_archive: self.keep_archive,
        };
        let disk = Disk::new(settings.folder.clone(), self.segment_bytes);
        let faults = Arc::clone(&disk.faults);
        let clock = Arc::clone(&self.clock) as Arc<dyn domain::Clock>;
        Spool::open_on(disk, settings, clock, &self.entropy).map(|spool| (spool, faults))
    }

    fn open(&self) -> Spool {
        self.try_open().unwrap().0
    }
}

fn event(number: u64) -> EventId {
    EventId::new(u128::from(number).to_be_bytes())
}

fn unsubscribe(number: u64) -> Request {
    Request::Unsubscribe(Unsubscribe {
        subscription_id: SubscriptionId::new(u128::from(number).to_be_bytes()),
        issue: IssueNumber(1),
        method: Method::OneClick,
        token: TokenKey {
            version: 1,
            kid: KeyId(1),
            state: KeyState::Current,
        },
    })
}

async fn accept(spool: &Spool, number: u64) -> Accepted {
    spool
        .accept(event(number), &unsubscribe(number))
        .await
        .unwrap()
}

/// What a seq reads as: the number of its request, or none for a tombstone.
fn numbers(envelopes: &[Envelope]) -> Vec<(u64, Option<u64>)> {
    let read = |envelope: &Envelope| {
        let decoded = record::decode_envelope(&envelope.bytes).unwrap();
        assert_eq!(decoded.seq, envelope.seq);
        let number = match decoded.content {
            Content::Accepted(accepted) => {
                assert_eq!(accepted.event_id, envelope.event_id);
                let id = u128::from_be_bytes(*accepted.event_id.as_bytes());
                let number = u64::try_from(id).unwrap();
                assert_eq!(accepted.request, unsubscribe(number));
                Some(number)
            }
            Content::Tombstone { accepted_at } => {
                assert_eq!(accepted_at, envelope.accepted_at);
                None
            }
        };
        (envelope.seq, number)
    };
    envelopes.iter().map(read).collect()
}

/// The file of a segment in the spool's own folder.
fn segment(room: &Room, first: u64) -> std::path::PathBuf {
    room.path().join(format!("{first:020}"))
}

/// Bytes of an unsubscribe's record with a seq and a number below 24.
fn record_bytes() -> usize {
    let body = record::encode_body(1, event(1), START, &unsubscribe(1));
    record::frame(&body).unwrap().len()
}

fn all(spool: &Spool) -> Vec<(u64, Option<u64>)> {
    numbers(&spool.read_after(0, usize::MAX).unwrap())
}

/// Seqs `1..=last`, each with the request of its own number.
fn whole(last: u64) -> Vec<(u64, Option<u64>)> {
    (1..=last).map(|seq| (seq, Some(seq))).collect()
}

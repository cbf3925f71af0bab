//! The spool's handle.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Entropy, EventId, Request, SpoolId, Timestamp};

use crate::{AcceptError, OpenError, ReadError};

/// Where a spool is and how large it may grow.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// Its folder; made if it is not there (mode 0700).
    pub folder: PathBuf,
    /// Bytes of records that may wait in it: [`crate::REQUEST_LIMIT_BYTES`] or
    /// [`crate::STOP_LIMIT_BYTES`].
    pub limit_bytes: u64,
    /// For how long finished segments stay in `archive/`; `None` deletes them at once. A spool of
    /// stops keeps them ([`crate::STOP_ARCHIVE`]), and one that keeps them is a spool of stops.
    pub keep_archive: Option<Duration>,
}

/// A request that is safe on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the spool, from 1, without gaps.
    pub seq: u64,
    /// When it was accepted; never earlier than the record before.
    pub accepted_at: Timestamp,
}

/// A record on its way to the registrar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its place in the spool.
    pub seq: u64,
    /// The request; zeros for a tombstone.
    pub event_id: EventId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whether it is a stop, served first.
    pub stop: bool,
    /// The record's body and the `spool_id`.
    pub bytes: Vec<u8>,
}

/// A folder of accepted requests. Clones share one writer; the folder is released with the last.
#[derive(Clone)]
pub struct Spool {
    id: SpoolId,
    _clock: Arc<dyn Clock>,
}

impl Spool {
    /// Opens or makes a spool, takes its lock and repairs what a crash left behind.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        _settings: SpoolSettings,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenError> {
        Ok(Self { id: SpoolId::new(entropy.sixteen()), _clock: clock })
    }

    /// The spool's id, made with its folder.
    #[must_use]
    pub fn spool_id(&self) -> SpoolId {
        self.id
    }

    /// Writes a request and answers once it would survive a power cut.
    ///
    /// # Errors
    /// See [`AcceptError`]: nothing was promised.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn accept(
        &self,
        _event_id: EventId,
        _request: &Request,
    ) -> Result<Accepted, AcceptError> {
        Err(AcceptError::Unavailable)
    }

    /// The records after `seq`, at most `max`, in order and without gaps: a seq that is gone or
    /// damaged comes as a tombstone. Reads the disk.
    ///
    /// # Errors
    /// [`ReadError`] when the disk refuses.
    pub fn read_after(&self, _seq: u64, _max: usize) -> Result<Vec<Envelope>, ReadError> {
        Ok(Vec::new())
    }

    /// Waits until a record with a larger seq is durable.
    pub async fn wait_beyond(&self, _seq: u64) {
        std::future::pending::<()>().await;
    }

    /// The seq of the last durable record; one less than the first seq where there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        0
    }

    /// Ends the segments whose records are all applied: deletes them or moves them to `archive/`,
    /// and prunes the archive. Works on the disk.
    ///
    /// # Errors
    /// What the disk said; calling again is safe.
    pub fn finish_upto(&self, _applied_upto: u64) -> io::Result<()> {
        Ok(())
    }

    /// When the oldest record after `applied_upto` was accepted; `None` if there is none.
    #[must_use]
    pub fn oldest_accepted_after(&self, _applied_upto: u64) -> Option<Timestamp> {
        None
    }

    /// Bytes of records in segments that are not finished.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        0
    }

    /// Bytes of records that may still come.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        0
    }
}

//! The spool's handle.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use domain::{Clock, Entropy, EventId, Request, SpoolId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::disk::{Disk, SEGMENT_BYTES};
use crate::shared::Shared;
use crate::writer::{self, Job, Writer};
use crate::{AcceptError, OpenError, ReadError, payload, recover};

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
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Spool {
    /// Opens or makes a spool, takes its lock and repairs what a crash left behind.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        settings: SpoolSettings,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenError> {
        let disk = Disk::new(settings.folder.clone(), SEGMENT_BYTES);
        Self::open_on(disk, settings, clock, entropy)
    }

    pub(crate) fn open_on(
        disk: Disk,
        settings: SpoolSettings,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenError> {
        let recovered = recover::recover(&settings, disk, entropy)?;
        let shared = Arc::new(Shared::new(
            recovered.id,
            recovered.disk,
            clock,
            settings,
            recovered.state,
        ));
        let writer = Writer {
            next_seq: shared.last_seq() + 1,
            shared: Arc::clone(&shared),
            file: recovered.file,
            last_accepted_at: recovered.last_accepted_at,
            _lock: recovered.lock,
            sound: true,
        };
        let (jobs, queue) = mpsc::channel(writer::QUEUE);
        let writer = std::thread::Builder::new()
            .name("spool-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(|source| OpenError::Io {
                folder: shared.settings.folder.clone(),
                source,
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                jobs: Some(jobs),
                writer: Some(writer),
            }),
        })
    }

    #[cfg(test)]
    pub(crate) fn inner_state(&self) -> std::sync::MutexGuard<'_, crate::shared::State> {
        self.inner.shared.state()
    }

    /// The spool's id, made with its folder.
    #[must_use]
    pub fn spool_id(&self) -> SpoolId {
        self.inner.shared.id
    }

    /// Writes a request and answers once it would survive a power cut. A caller that stops waiting
    /// may find the request accepted all the same.
    ///
    /// # Errors
    /// See [`AcceptError`]: nothing was promised.
    pub async fn accept(
        &self,
        event_id: EventId,
        request: &Request,
    ) -> Result<Accepted, AcceptError> {
        let kind = request.kind();
        let payload = payload::encode(request);
        if payload::decode(kind, &payload).is_err() {
            // A fault of the caller's: better found here than as a dead letter after a 2xx.
            error!(
                request.kind = kind,
                "a request that could not be read back was refused"
            );
            return Err(AcceptError::Unavailable);
        }
        let (answer, answered) = oneshot::channel();
        let job = Job::Accept {
            event_id,
            kind,
            payload,
            answer,
        };
        self.ask(job, answered).await?
    }

    async fn ask<T>(&self, job: Job, answered: oneshot::Receiver<T>) -> Result<T, AcceptError> {
        let jobs = self.inner.jobs.as_ref().ok_or(AcceptError::Unavailable)?;
        jobs.send(job).await.map_err(|_| AcceptError::Unavailable)?;
        answered.await.map_err(|_| AcceptError::Unavailable)
    }

    /// Makes the next record come after `seq`, where the registrar knows more of this spool than the
    /// spool itself: its folder went back to an older state, and a seq that is applied must not be
    /// given again. The seqs between read as tombstones.
    ///
    /// # Errors
    /// [`AcceptError::Unavailable`] when the disk refuses.
    pub async fn skip_beyond(&self, seq: u64) -> Result<(), AcceptError> {
        let (done, answered) = oneshot::channel();
        self.ask(Job::SkipBeyond(seq, done), answered).await?
    }

    /// The records after `seq`, at most `max`, in order and without gaps: a seq that is gone or
    /// damaged comes as a tombstone. Reads the disk.
    ///
    /// # Errors
    /// [`ReadError`] when the disk refuses.
    pub fn read_after(&self, seq: u64, max: usize) -> Result<Vec<Envelope>, ReadError> {
        self.inner.shared.read_after(seq, max)
    }

    /// Waits until a record with a larger seq is durable.
    pub async fn wait_beyond(&self, seq: u64) {
        let mut durable = self.inner.shared.durable.subscribe();
        // The sender lives as long as this handle, so this ends by a record only.
        let _ = durable.wait_for(|last| *last > seq).await;
    }

    /// The seq of the last durable record; one less than the first seq where there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.inner.shared.last_seq()
    }

    /// The seq behind which nothing is finished. The registrar's mark was at least here once, so it is
    /// where shipping starts while nobody can tell the mark.
    #[must_use]
    pub fn finished_upto(&self) -> u64 {
        self.inner.shared.state().first_waiting() - 1
    }

    /// Ends the segments whose records are all applied: deletes them or moves them to `archive/`,
    /// and prunes the archive. A segment that is not full is ended too once its first record is a
    /// day old. Works on the disk, and waits for the writer: not for async code.
    ///
    /// # Errors
    /// What the disk said; calling again is safe.
    pub fn finish_upto(&self, applied_upto: u64) -> io::Result<()> {
        let shared = &self.inner.shared;
        if shared.is_stale(applied_upto)
            && let Some(jobs) = &self.inner.jobs
        {
            let (done, closed) = std::sync::mpsc::sync_channel(1);
            let job = Job::CloseIfUpto(applied_upto, done);
            // A full queue means a busy spool, which fills its segment soon.
            if jobs.try_send(job).is_ok() {
                let _ = closed.recv();
            }
        }
        shared.finish_upto(applied_upto)
    }

    /// When the oldest record after `applied_upto` was accepted; `None` if there is none.
    #[must_use]
    pub fn oldest_accepted_after(&self, applied_upto: u64) -> Option<Timestamp> {
        self.inner.shared.oldest_accepted_after(applied_upto)
    }

    /// Bytes that count against the limit: closed segments whole, the active one as far as written.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.inner.shared.state().used_bytes()
    }

    /// Bytes that may still come.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let limit = self.inner.shared.settings.limit_bytes;
        limit.saturating_sub(self.used_bytes())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when nobody can ask it any more, and with it the lock.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A panic was logged by its own hook.
            let _ = writer.join();
        }
    }
}

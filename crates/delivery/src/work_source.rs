//! Where chunks and mails to send come from. The database is the truth; a hint only says that it is
//! worth looking now.

use std::time::Duration;

use domain::{Timestamp, WorkerId};
use service_runtime::Shutdown;
use store::{ChunkTable, MailClaim, MailStore, OwnedChunk, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::hints::Hints;

/// How often the outbox is emptied of hints.
const POLL: Duration = Duration::from_millis(200);
/// Without a hint the tables are looked at this often: for retries that fall due.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);

/// Gives out work. Every lane has its own.
#[derive(Debug, Clone)]
pub(crate) enum WorkSource {
    /// The tables, and hints from the outbox, as in embedded mode.
    Tables(Tables, watch::Receiver<u64>),
    /// The tables, and hints from the broker.
    Queue(Tables, Hints),
}

/// Work, as the tables have it.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) chunks: ChunkTable,
    pub(crate) mails: MailStore,
}

impl WorkSource {
    /// Work from the tables, and the task that turns outbox rows into wake-ups.
    pub(crate) fn tables(tables: Tables) -> (Self, HintPoll) {
        let (sender, hints) = watch::channel(0);
        let poll = HintPoll {
            chunks: tables.chunks.clone(),
            sender,
        };
        (Self::Tables(tables, hints), poll)
    }

    const fn work(&self) -> &Tables {
        match self {
            Self::Tables(tables, _) | Self::Queue(tables, _) => tables,
        }
    }

    /// The next chunk that is due, now in this worker's hands.
    pub(crate) async fn next_chunk(
        &self,
        worker: WorkerId,
        now: Timestamp,
    ) -> Result<Option<OwnedChunk>, StoreError> {
        let began = Instant::now();
        let chunk = self.work().chunks.take_due(worker, now).await?;
        self.looked(began);
        Ok(chunk)
    }

    /// The next mails that are due, claimed.
    pub(crate) async fn next_mails(
        &self,
        worker: WorkerId,
        limit: u16,
        now: Timestamp,
    ) -> Result<MailClaim, StoreError> {
        let began = Instant::now();
        let mails = self.work().mails.claim(worker, limit, now).await?;
        self.looked(began);
        Ok(mails)
    }

    fn looked(&self, began: Instant) {
        if let Self::Queue(_, hints) = self {
            hints.looked(began);
        }
    }

    /// Waits until it is worth looking again.
    pub(crate) async fn wait(&mut self, shutdown: &Shutdown) {
        match self {
            Self::Tables(_, hints) => {
                tokio::select! {
                    changed = hints.changed() => {
                        if changed.is_err() {
                            // the poll has ended: the process stops
                            shutdown.token().cancelled().await;
                        }
                    }
                    () = tokio::time::sleep(LOOK_ANYWAY) => {}
                    () = shutdown.token().cancelled() => {}
                }
            }
            Self::Queue(_, hints) => hints.wait(shutdown).await,
        }
    }
}

/// Empties the outbox and wakes the lanes.
#[derive(Debug)]
pub(crate) struct HintPoll {
    chunks: ChunkTable,
    sender: watch::Sender<u64>,
}

impl HintPoll {
    /// Polls until the process stops. A hint that is lost costs a second.
    pub(crate) async fn run(self, shutdown: &Shutdown) {
        while !shutdown.is_stopping() {
            match self.chunks.take_hints().await {
                Ok(0) => {}
                Ok(taken) => self.sender.send_modify(|count| *count += taken),
                Err(error) if error.is_temporary() => {}
                Err(error) => tracing::error!(%error, "the outbox cannot be read"),
            }
            crate::pause(POLL, shutdown).await;
        }
    }
}

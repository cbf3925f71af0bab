//! Where chunks and mails to send come from. The database is the truth; a hint only says that it is
//! worth looking now.

use std::time::Duration;

use domain::{Timestamp, WorkerId};
use service_runtime::Shutdown;
use store::{ChunkTable, MailClaim, MailStore, OwnedChunk, StoreError};
use tokio::sync::watch;

/// How often the outbox is emptied of hints.
const POLL: Duration = Duration::from_millis(200);
/// Without a hint the tables are looked at this often: for retries that fall due.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);

/// Gives out work. Every lane has its own.
#[derive(Debug, Clone)]
pub(crate) enum WorkSource {
    /// The tables themselves, as in embedded mode and through an outage of the broker.
    Tables(Tables),
}

/// Work from the tables.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    chunks: ChunkTable,
    mails: MailStore,
    hints: watch::Receiver<u64>,
}

impl WorkSource {
    /// Work from the tables, and the task that turns outbox rows into wake-ups.
    pub(crate) fn tables(chunks: ChunkTable, mails: MailStore) -> (Self, HintPoll) {
        let (sender, hints) = watch::channel(0);
        let poll = HintPoll {
            chunks: chunks.clone(),
            sender,
        };
        let tables = Tables {
            chunks,
            mails,
            hints,
        };
        (Self::Tables(tables), poll)
    }

    /// The next chunk that is due, now in this worker's hands.
    pub(crate) async fn next_chunk(
        &self,
        worker: WorkerId,
        now: Timestamp,
    ) -> Result<Option<OwnedChunk>, StoreError> {
        match self {
            Self::Tables(tables) => tables.chunks.take_due(worker, now).await,
        }
    }

    /// The next mails that are due, claimed.
    pub(crate) async fn next_mails(
        &self,
        worker: WorkerId,
        limit: u16,
        now: Timestamp,
    ) -> Result<MailClaim, StoreError> {
        match self {
            Self::Tables(tables) => tables.mails.claim(worker, limit, now).await,
        }
    }

    /// Waits until it is worth looking again.
    pub(crate) async fn wait(&mut self, shutdown: &Shutdown) {
        match self {
            Self::Tables(tables) => {
                tokio::select! {
                    changed = tables.hints.changed() => {
                        if changed.is_err() {
                            // the poll has ended: the process stops
                            shutdown.token().cancelled().await;
                        }
                    }
                    () = tokio::time::sleep(LOOK_ANYWAY) => {}
                    () = shutdown.token().cancelled() => {}
                }
            }
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

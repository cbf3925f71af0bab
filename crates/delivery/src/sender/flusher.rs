//! Writes down the results of all lanes together, and hands back chunks that are over.

use std::sync::Arc;

use service_runtime::Shutdown;

use super::Sender;
use super::desk::{Desk, Finished, Tray};
use super::settlement::insist;
use crate::journal::Attempt;

/// The one that writes.
pub(super) struct Flusher {
    sender: Arc<Sender>,
    desk: Arc<Desk>,
    shutdown: Shutdown,
}

impl Flusher {
    pub(super) const fn new(sender: Arc<Sender>, desk: Arc<Desk>, shutdown: Shutdown) -> Self {
        Self {
            sender,
            desk,
            shutdown,
        }
    }

    /// Works until the process stops and everything that was claimed is settled.
    pub(super) async fn run(self) {
        while let Some(tray) = self.desk.next_tray().await {
            self.flush(&tray).await;
            let finished = self.desk.written(&tray);
            #[cfg(feature = "failpoints")]
            if !finished.is_empty() {
                fail::fail_point!("P12", |_| std::process::abort());
            }
            for finished in finished {
                self.hand_back(finished).await;
            }
        }
    }

    /// Insists until the database has it.
    async fn flush(&self, tray: &Tray) {
        let sender = &self.sender;
        let (deliveries, worker, clock) = (&sender.deliveries, sender.worker, &sender.clock);
        let (results, released) = (&tray.results, &tray.released);
        if results.is_empty() && released.is_empty() {
            return;
        }
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P11", |_| std::process::abort());
        let written = insist("results", &self.shutdown, || async {
            deliveries.flush(worker, results, clock.now()).await?;
            if released.is_empty() {
                return Ok(0);
            }
            deliveries.release(worker, released, clock.now()).await
        })
        .await;
        if written {
            let settled = results.iter().map(|(key, _)| Attempt::Delivery(*key));
            sender.journal.flushed(settled);
        }
    }

    /// Only now, with nothing of the chunk in hand, may rows that nobody here knows be given back.
    async fn hand_back(&self, finished: Finished) {
        let sender = &self.sender;
        let (chunk, clock) = (&finished.chunk, &sender.clock);
        if finished.has_unknown {
            insist("release", &self.shutdown, || {
                sender.deliveries.release_chunk(chunk, clock.now())
            })
            .await;
        }
        insist("chunk", &self.shutdown, || sender.chunks.close(chunk)).await;
        sender.put_down(chunk);
    }
}

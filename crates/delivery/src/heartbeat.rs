//! The sign of life without which nothing is sent (`reliability.md` 1.7).
//!
//! Every five seconds a counter is committed. What a worker that has not managed that may not do is up to
//! the [`Fence`](crate::fence::Fence); after a minute others may call it dead and decide on what it had in hand.

use std::sync::Arc;
use std::time::Duration;

use service_runtime::Shutdown;
use store::{Beat, StoreError, WorkerTable};

use crate::reassertion::{ReassertError, reassert};
use crate::restoration::{Restoration, Standing};
use crate::sender::Sender;

const EVERY: Duration = Duration::from_secs(5);

/// This boot's heart.
pub(crate) struct Heartbeat {
    pub(crate) workers: WorkerTable,
    pub(crate) sender: Arc<Sender>,
    pub(crate) restoration: Arc<Restoration>,
    pub(crate) boot_id: [u8; 16],
}

impl Heartbeat {
    /// Beats until the process stops.
    pub(crate) async fn run(self, shutdown: &Shutdown) {
        let fence = &self.sender.fence;
        let mut fenced = false;
        while !shutdown.is_stopping() {
            self.beat_once().await;
            let age = fence.age().unwrap_or(Duration::MAX);
            metrics::gauge!("letterbox_worker_heartbeat_age_seconds")
                .set(age.as_secs_f64().min(1e9));
            if fenced == fence.may_send() {
                fenced = !fenced;
                if fenced {
                    metrics::counter!("letterbox_fence_trips_total").increment(1);
                    tracing::warn!("nothing is sent: /readyz?verbose says why");
                } else {
                    tracing::info!("the heart beats again");
                }
            }
            crate::pause(EVERY, shutdown).await;
        }
    }

    /// One heartbeat, and before it a look whether the database is what it was.
    pub(crate) async fn beat_once(&self) {
        let fence = &self.sender.fence;
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "the heartbeat was not committed");
            return;
        }
        let asked = fence.now();
        match self.workers.beat(self.sender.worker, &self.boot_id).await {
            Ok(Beat::Tick(tick)) => {
                self.restoration.beaten(tick);
                fence.beat(asked);
            }
            Ok(Beat::Replaced) => {
                tracing::error!("another process took this worker's place: sending is locked");
                fence.lock();
            }
            Err(error) => tracing::warn!(%error, "the heartbeat was not committed"),
        }
    }

    /// Shuts the fence while the database went back and is not made up for.
    async fn look(&self) -> Result<(), StoreError> {
        let standing = self.restoration.look().await?;
        self.sender.fence.hold(standing != Standing::Whole);
        if standing == (Standing::Restoring { reassert: true }) {
            let sender = &self.sender;
            match reassert(sender, sender.clock.now()).await {
                Ok(said) => {
                    tracing::warn!(
                        settled = said.settled,
                        in_doubt = said.in_doubt,
                        awaited = said.awaited,
                        "what this worker sent is said again to a database that forgot it"
                    );
                    if said.awaited > 0 {
                        // once the planner has written down the rest of an audience
                        return Ok(());
                    }
                }
                Err(ReassertError::Store(error)) => return Err(error),
                Err(error) => {
                    // not said, so the restore stays open: the disk must be put right
                    tracing::error!(%error, "what this worker sent cannot be said again");
                    return Ok(());
                }
            }
            self.restoration.reasserted().await?;
        }
        Ok(())
    }
}

//! The sign of life without which nothing is sent (`reliability.md` 1.7).
//!
//! Every five seconds a counter is committed. What a worker that has not managed that may not do is up to
//! the [`Fence`]; after a minute others may call it dead and decide on what it had in hand.

use std::time::Duration;

use domain::WorkerId;
use service_runtime::Shutdown;
use store::{Beat, WorkerTable};

use crate::fence::Fence;
use crate::state_dir::StateDir;

const EVERY: Duration = Duration::from_secs(5);

/// This boot's heart.
pub(crate) struct Heartbeat {
    pub(crate) workers: WorkerTable,
    pub(crate) worker: WorkerId,
    pub(crate) boot_id: [u8; 16],
}

impl Heartbeat {
    /// Beats until the process stops.
    pub(crate) async fn run(self, fence: &Fence, state_dir: &StateDir, shutdown: &Shutdown) {
        let mut fenced = false;
        while !shutdown.is_stopping() {
            self.beat_once(fence, state_dir).await;
            let age = fence.age().unwrap_or(Duration::MAX);
            metrics::gauge!("letterbox_worker_heartbeat_age_seconds")
                .set(age.as_secs_f64().min(1e9));
            if fenced == fence.may_send() {
                fenced = !fenced;
                if fenced {
                    metrics::counter!("letterbox_fence_trips_total").increment(1);
                    tracing::warn!("no heartbeat for 30 seconds: nothing is sent");
                } else {
                    tracing::info!("the heart beats again");
                }
            }
            crate::pause(EVERY, shutdown).await;
        }
    }

    /// One heartbeat. A lower tick than one seen before means that the database was restored: who
    /// unsubscribed since then may be active in it, so nothing is sent (`DESIGN.md` 2).
    pub(crate) async fn beat_once(&self, fence: &Fence, state_dir: &StateDir) {
        let asked = fence.now();
        match self.workers.beat(self.worker, &self.boot_id).await {
            Ok(Beat::Tick(tick)) if tick < state_dir.tick() => {
                tracing::error!(
                    tick,
                    seen = state_dir.tick(),
                    "the database went back in time, so it may not know who left since: sending is \
                     locked. Once every spool has shipped again, remove the file tick from the \
                     worker's folder and start it anew"
                );
                fence.lock();
            }
            Ok(Beat::Tick(tick)) => match state_dir.remember_tick(tick) {
                Ok(()) => fence.beat(asked),
                Err(error) => tracing::error!(%error, "the tick cannot be written"),
            },
            Ok(Beat::Replaced) => {
                tracing::error!("another process took this worker's place: sending is locked");
                fence.lock();
            }
            Err(error) => tracing::warn!(%error, "the heartbeat was not committed"),
        }
    }
}

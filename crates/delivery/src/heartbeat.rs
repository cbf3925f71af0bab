//! The sign of life without which nothing is sent (`reliability.md` 1.7).
//!
//! Every five seconds a counter is committed. A worker that has not managed that for 30 seconds
//! starts no mail and ends none: after 60 others may call it dead and decide on what it had in hand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::WorkerId;
use service_runtime::Shutdown;
use service_runtime::admin::CheckResult;
use store::{Beat, WorkerTable};
use tokio::time::Instant;

use crate::state_dir::StateDir;

const EVERY: Duration = Duration::from_secs(5);
const FENCE: Duration = Duration::from_secs(30);

/// Whether this worker may send.
#[derive(Debug, Default)]
pub(crate) struct Fence(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    last_beat: Option<Instant>,
    locked: bool,
}

impl Fence {
    /// Whether a `MAIL FROM` may be started and a message ended.
    pub(crate) fn may_send(&self, now: Instant) -> bool {
        let standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !standing.locked
            && standing
                .last_beat
                .is_some_and(|beat| now.duration_since(beat) < FENCE)
    }

    /// The same in words.
    pub(crate) fn check(&self, now: Instant) -> CheckResult {
        let standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.locked {
            return Err("sending is locked: read the log".to_owned());
        }
        match standing.last_beat.map(|beat| now.duration_since(beat)) {
            None => Err("none was committed yet".to_owned()),
            Some(age) if age >= FENCE => {
                Err(format!("none was committed for {} seconds", age.as_secs()))
            }
            Some(_) => Ok(()),
        }
    }

    /// A heartbeat, whose question was put at `asked`, is committed.
    pub(crate) fn beat(&self, asked: Instant) {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        standing.last_beat = Some(asked);
    }

    /// Nothing is sent any more, until somebody has looked and started the worker anew.
    fn lock(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).locked = true;
        metrics::counter!("letterbox_fence_trips_total").increment(1);
    }

    fn age(&self) -> Duration {
        let standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        standing
            .last_beat
            .map_or(Duration::MAX, |beat| beat.elapsed())
    }
}

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
            metrics::gauge!("letterbox_worker_heartbeat_age_seconds")
                .set(fence.age().as_secs_f64().min(1e9));
            if fenced == fence.may_send(Instant::now()) {
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
        let asked = Instant::now();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_heartbeat_for_30_seconds_nothing_is_sent() {
        let fence = Fence::default();
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(!fence.may_send(start), "no heartbeat yet");
        fence.beat(start);
        assert!(fence.may_send(later(29)));
        assert!(!fence.may_send(later(30)));
        fence.beat(later(31));
        assert!(fence.may_send(later(60)));
        fence.lock();
        assert!(!fence.may_send(later(32)));
    }
}

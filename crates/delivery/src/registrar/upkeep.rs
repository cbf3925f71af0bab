//! Beside the batches: how far each spool is applied, and what is due for deletion.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Clock;
use service_runtime::Shutdown;
use store::{Purge, Purged, SpoolTable, StoreError};
use tokio::sync::Notify;

use super::{PAUSES, report};

/// How often the marks are moved while nothing comes in.
const MARKS: Duration = Duration::from_secs(1);
/// And while much does: a stop's age at the barrier is right to this much.
const BREATH: Duration = Duration::from_millis(200);
/// How often what is due for deletion is deleted.
const PURGE: Duration = Duration::from_mins(10);
/// And how long after the start at the earliest: what waited while no worker ran comes first, and may be
/// the confirmation of a sign-up that expired meanwhile.
const FIRST_PURGE: Duration = Duration::from_mins(1);

/// Moves marks and deletes.
pub(super) struct Upkeep {
    pub(super) spools: SpoolTable,
    pub(super) purge: Purge,
    pub(super) clock: Arc<dyn Clock>,
}

impl Upkeep {
    /// Works until the process stops; `applied` tells of batches.
    pub(super) async fn run(self, applied: Arc<Notify>, shutdown: Shutdown) {
        let mut pause = *PAUSES.start();
        let mut purge_at = Instant::now() + FIRST_PURGE;
        while !shutdown.is_stopping() {
            tokio::select! {
                () = applied.notified() => {}
                () = tokio::time::sleep(MARKS) => {}
                () = shutdown.token().cancelled() => return,
            }
            if let Err(error) = self.spools.advance_marks().await {
                report(&error);
                crate::pause(pause, &shutdown).await;
                pause = (pause * 2).min(*PAUSES.end());
                continue;
            }
            pause = *PAUSES.start();
            if Instant::now() >= purge_at {
                purge_at = Instant::now() + PURGE;
                if let Err(error) = self.purge().await {
                    report(&error);
                }
            }
            crate::pause(BREATH, &shutdown).await;
        }
    }

    pub(super) async fn purge(&self) -> Result<Purged, StoreError> {
        let purged = self.purge.run(self.clock.now()).await?;
        for (what, number) in purged.counts() {
            metrics::counter!("letterbox_purged_total", "what" => what).increment(number);
        }
        Ok(purged)
    }
}

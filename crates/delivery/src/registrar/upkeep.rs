//! Beside the batches: how far each spool is applied, what is erased again after a restore, what an operator
//! said to the barrier, and what is due for deletion.

use std::sync::Arc;
use std::time::{Duration, Instant};

use service_runtime::Shutdown;
use store::{Purged, StoreError};
use tokio::sync::Notify;

use super::{PAUSES, Registrar, report};

/// How often the marks are moved while nothing comes in.
const MARKS: Duration = Duration::from_secs(1);
/// And while much does: a stop's age at the barrier is right to this much.
const BREATH: Duration = Duration::from_millis(200);
/// How often what is due for deletion is deleted.
const PURGE: Duration = Duration::from_mins(10);
/// And how long after the start at the earliest: what waited while no worker ran comes first, and may be
/// the confirmation of a sign-up that expired meanwhile.
const FIRST_PURGE: Duration = Duration::from_mins(1);

/// Moves marks, records and deletes.
pub(super) struct Upkeep {
    pub(super) registrar: Registrar,
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
            if let Err(error) = self.small_things().await {
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

    /// Moves the marks, erases again after a restore, and records what an operator said to the barrier.
    async fn small_things(&self) -> Result<(), StoreError> {
        let registrar = &self.registrar;
        registrar.spools.advance_marks().await?;
        registrar.erase_again().await?;
        registrar.acts.record(registrar.clock.now()).await?;
        Ok(())
    }

    pub(super) async fn purge(&self) -> Result<Purged, StoreError> {
        let purged = self.registrar.purge.run(self.registrar.clock.now()).await?;
        for (what, number) in purged.counts() {
            metrics::counter!("letterbox_purged_total", "what" => what).increment(number);
        }
        Ok(purged)
    }
}

//! Each night the worker verifies the whole ledger against the checkpoints in its own folder and in the
//! table, as `letterbox ledger verify` does.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Bad, CheckpointBook, Verified};
use service_runtime::Shutdown;
use store::{LedgerReader, StoreError};
use tokio::time::Instant;

use crate::checkpoint_file::CheckpointFile;
use crate::checkpoints::{LedgerSigner, believed, gauge};

/// After a start, so that a worker that never lives a day does it too; what waits for it comes first.
const FIRST: Duration = Duration::from_mins(1);
/// Between two.
const EVERY: Duration = Duration::from_hours(24);
/// After one that the database broke off.
const AGAIN: Duration = Duration::from_mins(5);

/// The task that verifies.
pub(crate) struct LedgerAudit {
    pub(crate) reader: LedgerReader,
    pub(crate) signer: Arc<LedgerSigner>,
    pub(crate) file: Arc<CheckpointFile>,
}

impl LedgerAudit {
    /// Verifies until the process stops.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        metrics::describe_gauge!(
            "letterbox_ledger_verified_seq",
            "The last entry up to which the ledger was verified, since the start of this worker."
        );
        metrics::describe_counter!(
            "letterbox_ledger_verify_failures_total",
            "Verifications that found the ledger changed: the log names the first bad entry."
        );
        metrics::counter!("letterbox_ledger_verify_failures_total").increment(0);
        crate::pause(FIRST, &shutdown).await;
        while !shutdown.is_stopping() {
            let next = match self.verify().await {
                Ok(_) => EVERY,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the ledger was not verified to its end"
                    );
                    AGAIN
                }
            };
            crate::pause(next, &shutdown).await;
        }
    }

    /// Verifies once, and says what was found.
    pub(crate) async fn verify(&self) -> Result<Result<Verified, Bad>, StoreError> {
        let started = Instant::now();
        let body_id = self.signer.body_id;
        let mut book = CheckpointBook::new(body_id, believed(&self.signer, &self.file));
        self.reader.add_checkpoints(&mut book).await?;
        match self.file.read() {
            Ok(outside) => outside.iter().for_each(|signed| book.add(0, signed)),
            Err(error) => tracing::error!(%error, "the worker's checkpoints cannot be read"),
        }
        let outcome = self.reader.verify(body_id, book, |_, _| {}).await?;
        let seconds = started.elapsed().as_secs_f64();
        match &outcome {
            Ok(verified) => {
                gauge("letterbox_ledger_verified_seq", verified.entries);
                tracing::info!(
                    entries = verified.entries,
                    proven_upto = verified.proven_upto,
                    checkpoints = verified.checkpoints,
                    seconds,
                    "the ledger is verified"
                );
            }
            Err(bad) => {
                metrics::counter!("letterbox_ledger_verify_failures_total").increment(1);
                gauge("letterbox_ledger_verified_seq", bad.seq.saturating_sub(1));
                tracing::error!(
                    seq = bad.seq,
                    fault = %bad.fault,
                    "the ledger has been changed: nothing from this entry on is to be believed"
                );
            }
        }
        Ok(outcome)
    }
}

//! From one spool to the inbox.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use service_runtime::Shutdown;
use spool::{Envelope, ReadError, Spool};
use store::{InboxRow, SpoolTable, StoreError};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::Route;
use crate::marks::Marks;

/// How many records travel in one statement.
const BATCH: usize = 500;

/// The first pause after a failure; each next one is twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause: that much later everything goes on when the database is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Carries one spool's records to the registrar's inbox, reports on it, and finishes its segments.
pub struct Shipper {
    pub(crate) spool: Spool,
    pub(crate) route: Route,
    pub(crate) table: SpoolTable,
    pub(crate) role: &'static str,
    pub(crate) holds_stops: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) marks: watch::Sender<Marks>,
}

#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error("the spool cannot be read")]
    Read(#[from] ReadError),
    #[error("the inbox did not take the records")]
    Store(#[from] StoreError),
}

impl Shipper {
    /// A shipper for this spool; `role` names it in the database and in metrics.
    #[must_use]
    pub fn new(
        spool: Spool,
        route: Route,
        table: SpoolTable,
        role: &'static str,
        holds_stops: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            spool,
            route,
            table,
            role,
            holds_stops,
            clock,
            marks: watch::Sender::new(Marks::default()),
        }
    }

    /// Ships and reports until the process stops. Spawn it on the process's [`Shutdown`]. What it had
    /// in hand then is shipped again by the next start and applied once.
    pub async fn run(self, shutdown: Shutdown) {
        describe_metrics();
        tokio::select! {
            () = shutdown.token().cancelled() => {}
            () = self.ship_for_ever() => {}
            () = self.report_for_ever() => {}
        }
    }

    async fn ship_for_ever(&self) {
        let mut pause = SHORTEST_PAUSE;
        let mut failing = false;
        loop {
            match self.ship_next().await {
                Ok(()) => {
                    if failing {
                        info!(spool.role = self.role, "requests are shipped again");
                    }
                    failing = false;
                    pause = SHORTEST_PAUSE;
                }
                Err(failure) => {
                    self.log_failure(&failure, failing);
                    failing = true;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Once for each time that shipping stops working.
    fn log_failure(&self, failure: &ShipError, failing: bool) {
        if failing {
            return;
        }
        let cause = std::error::Error::source(failure).map(ToString::to_string);
        let cause = cause.as_deref().unwrap_or_default();
        match failure {
            ShipError::Store(store) if store.is_temporary() => {
                warn!(spool.role = self.role, error = %failure, cause, "requests wait in the spool");
            }
            _ => {
                error!(spool.role = self.role, error = %failure, cause, "requests are not shipped");
            }
        }
    }

    /// Waits for records behind the shipped mark and ships one batch of them.
    async fn ship_next(&self) -> Result<(), ShipError> {
        let mut changes = self.marks.subscribe();
        let from = loop {
            let marks = *changes.borrow_and_update();
            if marks.registered && self.spool.last_seq() > marks.shipped {
                break marks.shipped;
            }
            // The sender is ours, so `changed` does not end by it being dropped.
            tokio::select! {
                _ = changes.changed() => {}
                () = self.spool.wait_beyond(marks.shipped), if marks.registered => {}
            }
        };
        let reading = self.spool.clone();
        let envelopes = tokio::task::spawn_blocking(move || reading.read_after(from, BATCH))
            .await
            .map_err(|error| ReadError::Io(std::io::Error::other(error)))??;
        let Some(last) = envelopes.last().map(|envelope| envelope.seq) else {
            return Ok(());
        };
        let rows: Vec<InboxRow> = envelopes
            .into_iter()
            .map(|envelope| self.row(envelope))
            .collect();
        self.route.inbox.ship(&rows, self.clock.now()).await?;
        metrics::counter!("letterbox_requests_shipped_total", "role" => self.role)
            .increment(rows.len() as u64);
        self.marks.send_modify(|marks| marks.ship(from, last));
        Ok(())
    }

    fn row(&self, envelope: Envelope) -> InboxRow {
        InboxRow {
            spool_id: self.spool.spool_id(),
            seq: envelope.seq,
            stop: envelope.stop,
            envelope: envelope.bytes,
        }
    }
}

fn describe_metrics() {
    metrics::describe_gauge!(
        "letterbox_spool_records",
        "Accepted requests that the registrar's mark has not passed, by role"
    );
    metrics::describe_gauge!(
        "letterbox_spool_oldest_unapplied_seconds",
        metrics::Unit::Seconds,
        "Age of the oldest request that the registrar's mark has not passed, by role"
    );
    metrics::describe_gauge!(
        "letterbox_spool_free_bytes",
        metrics::Unit::Bytes,
        "Bytes that may still be accepted before the spool is full, by role"
    );
    metrics::describe_counter!(
        "letterbox_requests_shipped_total",
        "Records put into the inbox, repetitions counted, by role"
    );
}

//! The registrar: applies what the web roles accepted.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `reading` | a request decoded, a sign-up's box opened for its codes |
//! | `working_set` | a batch in memory; `sign_ups`, `stops` and `mails` beneath it are its rules |
//! | `subject` | one subscription: its facts, its state, its row |
//!
//! A walk: up to 500 requests are read from the inbox, stops first, and the boxes of sign-ups opened,
//! outside of any transaction. A turn begins; it holds out requests that were applied before. All
//! that the rest may touch is loaded by sets, each request adds its facts in memory, and each
//! subscription's state is computed anew from all of its facts (`domain::state_of`), so the order in
//! which they came does not matter. Facts, rows, ledger entries, mails and the mark of each request
//! are written and committed together: that is exactly once.

mod reading;
mod subject;
mod working_set;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Clock, Entropy, Timestamp};
use service_runtime::Shutdown;
use store::{
    Changes, Database, Dead, InboxRow, Place, Purge, Purged, RegistrarStore, SpoolTable, StoreError,
};

use self::reading::{Found, Reading};
use self::working_set::{Inapplicable, WorkingSet, wanted};
use crate::Keys;

/// At most this many requests in one transaction.
const BATCH: u16 = 500;
/// How often an empty inbox is looked at: an unsubscribe waits this long at most.
const IDLE: Duration = Duration::from_millis(50);
/// When a request of a newer version is looked at again.
const LATER: Duration = Duration::from_secs(30);
/// Pauses while the database is away: from the first to the last, doubling.
const PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(5);
/// How often the marks are moved while nothing comes in.
const MARKS: Duration = Duration::from_secs(1);
/// How often what is due for deletion is deleted.
const PURGE: Duration = Duration::from_mins(10);

/// Applies requests. Several may run at once, in one process or in many.
#[derive(Clone)]
pub struct Registrar {
    store: RegistrarStore,
    spools: SpoolTable,
    purge: Purge,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Registrar {
    /// A registrar of this database.
    #[must_use]
    pub fn new(
        database: &Database,
        keys: Arc<Keys>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store: database.registrar(),
            spools: database.spools(),
            purge: database.purge(),
            keys,
            clock,
            entropy,
        }
    }

    /// Applies requests, and deletes what is due, until the process stops. While the database is
    /// away it waits for it.
    pub async fn run(self, shutdown: Shutdown) {
        describe_metrics();
        let mut pause = *PAUSES.start();
        let mut last = Last::default();
        while !shutdown.is_stopping() {
            let wait = match self.step(&mut last).await {
                Ok(0) => {
                    pause = *PAUSES.start();
                    IDLE
                }
                Ok(_) => continue,
                Err(error) => {
                    let now = pause;
                    pause = (pause * 2).min(*PAUSES.end());
                    report(&error);
                    now
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.token().cancelled() => {}
            }
        }
    }

    async fn step(&self, last: &mut Last) -> Result<usize, StoreError> {
        let applied = self.apply_batch().await?;
        if applied > 0 || is_due(last.marks, MARKS) {
            self.spools.advance_marks().await?;
            last.marks = Some(Instant::now());
        }
        // Not in front of many requests that wait; and a failure must not slow down the next stop.
        if applied < usize::from(BATCH) && is_due(last.purge, PURGE) {
            last.purge = Some(Instant::now());
            if let Err(error) = self.purge().await {
                report(&error);
            }
        }
        Ok(applied)
    }

    /// Deletes what the notices promise to delete, if its time has come.
    ///
    /// # Errors
    /// Those of the database; what is left is deleted by the next call.
    pub async fn purge(&self) -> Result<Purged, StoreError> {
        let purged = self.purge.run(self.clock.now()).await?;
        for (what, number) in purged.counts() {
            metrics::counter!("letterbox_purged_total", "what" => what).increment(number);
        }
        Ok(purged)
    }

    /// Applies one batch, stops first. Gives the number of requests that left the inbox; 0 where it
    /// is empty, or where another registrar was faster.
    ///
    /// # Errors
    /// Those of the database; the batch is then applied whole by a later call or was already.
    pub async fn apply_batch(&self) -> Result<usize, StoreError> {
        let waiting = self.store.waiting(BATCH, self.clock.now()).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let started = Instant::now();
        let readings = self.read(waiting).await;
        let left = self.apply(&readings).await?;
        metrics::histogram!("letterbox_registrar_batch_seconds")
            .record(started.elapsed().as_secs_f64());
        Ok(left)
    }

    /// Decodes and opens on a thread that may take its time.
    async fn read(&self, waiting: Vec<InboxRow>) -> Vec<Reading> {
        let keys = Arc::clone(&self.keys);
        let task = tokio::task::spawn_blocking(move || {
            waiting
                .into_iter()
                .map(|row| reading::read(row, &keys))
                .collect()
        });
        match task.await {
            Ok(readings) => readings,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Applies these in one transaction. Where the tables refuse it, the halves are tried, and so
    /// on: one request that cannot be applied is set aside and holds up no other.
    async fn apply(&self, readings: &[Reading]) -> Result<usize, StoreError> {
        match self.turn(readings, None).await {
            Err(StoreError::Refused(_) | StoreError::Inconsistent(_)) if readings.len() > 1 => {
                let (first, second) = readings.split_at(readings.len() / 2);
                let left = Box::pin(self.apply(first)).await?;
                Ok(left + Box::pin(self.apply(second)).await?)
            }
            Err(error @ (StoreError::Refused(_) | StoreError::Inconsistent(_))) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a request cannot be applied and was set aside"
                );
                self.turn(readings, Some("the tables refuse it")).await
            }
            other => other,
        }
    }

    /// One transaction over these requests. With a reason, none is applied and all are set aside.
    async fn turn(
        &self,
        readings: &[Reading],
        set_aside: Option<&'static str>,
    ) -> Result<usize, StoreError> {
        let mut turn = self
            .store
            .take_turn(readings.iter().map(|reading| reading.row.place()))
            .await?;
        let now = self.clock.now();
        let fresh: Vec<&Reading> = readings
            .iter()
            .filter(|reading| turn.fresh().contains(&reading.row.place()))
            .collect();
        let events = fresh.iter().filter_map(|reading| match &reading.found {
            Found::Readable(event) => Some(event.as_ref()),
            _ => None,
        });
        let known = turn.load(&wanted(events), now).await?;
        let mut set = WorkingSet::new(
            known,
            turn.ledger_head(),
            &self.keys.address,
            self.entropy.as_ref(),
            now,
        );
        let mut outcome = Outcome::default();
        for reading in fresh {
            outcome.add(reading, &mut set, set_aside, now);
        }
        let changes = Changes {
            applied: outcome.applied,
            dead: outcome.dead,
            later: outcome.later,
            ..set.finish()
        };
        let left = turn.repeated() + changes.applied.len() + changes.dead.len();
        turn.finish(&changes, now).await?;
        count(&outcome.kinds, &changes);
        Ok(left)
    }
}

fn describe_metrics() {
    metrics::describe_counter!(
        "letterbox_requests_applied_total",
        "Requests that took effect in the database, by kind."
    );
    metrics::describe_counter!(
        "letterbox_requests_dead_total",
        "Requests that could not be read or applied and were set aside: look at dead_request."
    );
    metrics::describe_counter!(
        "letterbox_ledger_entries_total",
        "Entries appended to the unsubscribe ledger, by method and effect."
    );
    metrics::describe_counter!(
        "letterbox_purged_total",
        "Rows and addresses deleted because their time was over, by what."
    );
    metrics::describe_histogram!(
        "letterbox_registrar_batch_seconds",
        metrics::Unit::Seconds,
        "Reading, opening and applying one batch of requests."
    );
}

/// When something was last done; never, after a start.
#[derive(Debug, Default)]
struct Last {
    marks: Option<Instant>,
    purge: Option<Instant>,
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// What becomes of each request of a turn.
#[derive(Debug, Default)]
struct Outcome {
    applied: Vec<Place>,
    dead: Vec<Dead>,
    later: Vec<(Place, Timestamp)>,
    kinds: BTreeMap<&'static str, u64>,
}

impl Outcome {
    fn add(
        &mut self,
        reading: &Reading,
        set: &mut WorkingSet<'_>,
        set_aside: Option<&'static str>,
        now: Timestamp,
    ) {
        let reason = match (&reading.found, set_aside) {
            (Found::Later, _) => {
                self.later.push((reading.row.place(), now.plus(LATER)));
                return;
            }
            (Found::Dead(reason), _) => Some(*reason),
            (_, Some(reason)) => Some(reason),
            (Found::Tombstone, None) => None,
            (Found::Readable(event), None) => match set.apply(event) {
                Ok(()) => {
                    *self.kinds.entry(event.request.kind()).or_default() += 1;
                    None
                }
                Err(Inapplicable(reason)) => Some(reason),
            },
        };
        match reason {
            None => self.applied.push(reading.row.place()),
            Some(reason) => self.dead.push(Dead {
                place: reading.row.place(),
                stop: reading.row.stop,
                reason,
                envelope: reading.row.envelope.clone(),
            }),
        }
    }
}

/// After the commit, so that what was rolled back is not counted.
fn count(kinds: &BTreeMap<&'static str, u64>, changes: &Changes) {
    for (kind, number) in kinds {
        metrics::counter!("letterbox_requests_applied_total", "kind" => *kind).increment(*number);
    }
    for entry in &changes.ledger {
        metrics::counter!(
            "letterbox_ledger_entries_total",
            "method" => entry.method.label(), "effect" => entry.effect.label()
        )
        .increment(1);
    }
    for dead in &changes.dead {
        tracing::error!(
            reason = dead.reason,
            "a request was set aside as unreadable"
        );
        metrics::counter!("letterbox_requests_dead_total").increment(1);
    }
}

fn report(error: &StoreError) {
    let error_chain = error as &dyn std::error::Error;
    if error.is_temporary() {
        tracing::warn!(error = error_chain, "the registrar waits for the database");
    } else {
        tracing::error!(
            error = error_chain,
            "the registrar cannot go on and tries again"
        );
    }
}

//! From one spool to the registrar.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::Clock;
use queue::PublishError;
use service_runtime::Shutdown;
use spool::{Envelope, ReadError, Spool};
use store::{InboxRow, SpoolTable, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::Route;
use crate::marks::Marks;
use crate::way::{Passage, Way};

/// How many records travel in one statement, or between two waits for confirms.
const BATCH: usize = 500;

/// The first pause after a failure; each next one is twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause: that much later everything goes on when the database is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// For how long a broker that takes nothing is waited for before requests go to the inbox
/// (`DESIGN.md` 2).
const INBOX_AFTER: Duration = Duration::from_mins(1);

/// Carries one spool's records to the registrar, reports on it, and finishes its segments.
pub struct Shipper {
    pub(crate) spool: Spool,
    pub(crate) route: Route,
    pub(crate) table: SpoolTable,
    pub(crate) role: &'static str,
    pub(crate) holds_stops: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) marks: watch::Sender<Marks>,
    pub(crate) passage: watch::Sender<Passage>,
    pub(crate) patience: Duration,
    /// The last seq there was at the start.
    pub(crate) found: u64,
    /// Seqs whose requests are accepted again.
    pub(crate) displaced: Mutex<Option<Range<u64>>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ShipError {
    #[error("the spool cannot be read")]
    Read(#[from] ReadError),
    #[error("the broker did not take the records")]
    Publish(#[from] PublishError),
    #[error("the inbox did not take the records")]
    Store(#[from] StoreError),
}

/// A batch to be shipped.
struct Turn {
    way: Way,
    from: u64,
    most: usize,
    marks: Marks,
}

type Inserts = JoinSet<Result<(), StoreError>>;

impl Shipper {
    /// A shipper for this spool, made before anything is accepted into it; `role` names it in the
    /// database and in metrics. A spool that holds stops ships everything to the stops queue.
    #[must_use]
    pub fn new(
        spool: Spool,
        route: Route,
        table: SpoolTable,
        role: &'static str,
        holds_stops: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let passage = match route.broker {
            Some(_) => Passage::to_a_broker(Instant::now()),
            None => Passage::without_broker(),
        };
        Self {
            marks: watch::Sender::new(Marks::starting_at(spool.finished_upto())),
            found: spool.last_seq(),
            displaced: Mutex::default(),
            spool,
            route,
            table,
            role,
            holds_stops,
            clock,
            passage: watch::Sender::new(passage),
            patience: INBOX_AFTER,
        }
    }

    /// The same shipper, which turns to the inbox after another time than a minute without the broker.
    #[must_use]
    pub fn with_inbox_after(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Ships and reports until the process stops. Spawn it on the process's [`Shutdown`]. What it had
    /// in hand then is shipped again by the next start and applied once.
    pub async fn run(self, shutdown: Shutdown) {
        describe_metrics();
        self.tell_way();
        tokio::select! {
            () = shutdown.token().cancelled() => {}
            () = self.ship_for_ever() => {}
            () = self.report_for_ever() => {}
            () = self.watch_the_connection() => {}
            () = self.try_the_queue() => {}
        }
    }

    async fn ship_for_ever(&self) {
        let mut inserts = Inserts::new();
        let mut pause = SHORTEST_PAUSE;
        let mut failing = false;
        loop {
            match self.ship_next(&mut inserts).await {
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
                    let mut passages = self.passage.subscribe();
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                        // Another way, or the broker is there again.
                        _ = passages.changed() => {}
                    }
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
        let is_temporary = match failure {
            ShipError::Publish(_) => true,
            ShipError::Store(store) => store.is_temporary(),
            ShipError::Read(_) => false,
        };
        if is_temporary {
            warn!(spool.role = self.role, error = %failure, cause, "requests wait in the spool");
        } else {
            error!(spool.role = self.role, error = %failure, cause, "requests are not shipped");
        }
    }

    /// Waits for records to ship and ships one batch of them.
    async fn ship_next(&self, inserts: &mut Inserts) -> Result<(), ShipError> {
        let turn = self.next_turn().await;
        let envelopes = self.read(turn.from, turn.most).await?;
        let Some(last) = envelopes.last().map(|envelope| envelope.seq) else {
            return Ok(());
        };
        let count = envelopes.len() as u64;
        self.tries(last);
        match turn.way {
            Way::Queue => self.publish(envelopes).await?,
            Way::Inbox => {
                if !self.insert(inserts, envelopes).await? {
                    return Ok(());
                }
            }
        }
        metrics::counter!(
            "letterbox_requests_shipped_total", "role" => self.role, "route" => turn.way.label()
        )
        .increment(count);
        self.marks.send_modify(|marks| {
            if turn.marks.again {
                marks.went_again(last, turn.marks.set_back);
            } else {
                marks.ship(last, turn.marks.set_back);
            }
        });
        Ok(())
    }

    /// Notes what was sent, or will be in a moment. Nobody waits for that.
    pub(crate) fn tries(&self, upto: u64) {
        self.marks.send_if_modified(|marks| {
            marks.tried = marks.tried.max(upto);
            false
        });
    }

    /// Waits until there is something to ship and a way to ship it.
    async fn next_turn(&self) -> Turn {
        let mut changes = self.marks.subscribe();
        let mut passages = self.passage.subscribe();
        loop {
            let marks = *changes.borrow_and_update();
            let passage = *passages.borrow_and_update();
            let way = passage.way();
            // The queue needs no database: what the registrar makes of a spool that is not registered
            // yet does not differ.
            let is_open = match way {
                Way::Queue => passage.is_up(),
                Way::Inbox => marks.registered,
            };
            if is_open && marks.again {
                let most = usize::try_from(marks.shipped - marks.applied).unwrap_or(BATCH);
                return Turn {
                    way,
                    from: marks.applied,
                    most: most.min(BATCH),
                    marks,
                };
            }
            if is_open && self.spool.last_seq() > marks.shipped {
                return Turn {
                    way,
                    from: marks.shipped,
                    most: BATCH,
                    marks,
                };
            }
            // The senders are ours, so `changed` does not end by them being dropped.
            tokio::select! {
                _ = changes.changed() => {}
                _ = passages.changed() => {}
                () = self.spool.wait_beyond(marks.shipped), if is_open => {}
            }
        }
    }

    pub(crate) async fn read(&self, from: u64, most: usize) -> Result<Vec<Envelope>, ReadError> {
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || spool.read_after(from, most))
            .await
            .map_err(|error| ReadError::Io(std::io::Error::other(error)))?
    }

    /// Puts a batch into the inbox. Gives false where the queue became the way meanwhile: a database
    /// that keeps silent does not hold up a broker that is back. The statement runs on in its task, since
    /// dropping it would leave its connection in the middle of it.
    async fn insert(
        &self,
        inserts: &mut Inserts,
        envelopes: Vec<Envelope>,
    ) -> Result<bool, StoreError> {
        let rows: Vec<InboxRow> = envelopes.into_iter().map(|one| self.row(one)).collect();
        let (inbox, now) = (self.route.inbox.clone(), self.clock.now());
        let ours = inserts
            .spawn(async move { inbox.ship(&rows, now).await })
            .id();
        let mut passages = self.passage.subscribe();
        loop {
            tokio::select! {
                Some(ended) = inserts.join_next_with_id() => match ended {
                    Ok((id, inserted)) if id == ours => return inserted.map(|()| true),
                    // One that was left behind: its batch went by the queue.
                    Ok(_) => {}
                    Err(failure) => std::panic::resume_unwind(failure.into_panic()),
                },
                _ = passages.wait_for(|passage| passage.way() == Way::Queue) => return Ok(false),
            }
        }
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
    metrics::describe_gauge!(
        "letterbox_shipping_route",
        "1 for the way that requests go at present, by role and route (queue or inbox)"
    );
    metrics::describe_counter!(
        "letterbox_requests_shipped_total",
        "Records that a queue confirmed or the inbox took, repetitions counted, by role and route"
    );
}

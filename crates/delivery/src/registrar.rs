//! The registrar: applies what the web roles accepted.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `feed` | brings batches from a queue or the inbox, stops and others each by their own way |
//! | `arrival`, `reading` | a request as it came; decoded, a sign-up's box opened for its codes |
//! | `turn` | one batch in one transaction |
//! | `working_set` | a batch in memory; `sign_ups`, `stops` and `mails` beneath it are its rules |
//! | `erasures` | an erasure, in a turn of its own |
//! | `subject` | one subscription: its facts, its state, its row |
//! | `settling` | what the broker is told afterwards |
//! | `upkeep` | marks and deletion, beside the batches |
//!
//! A walk: a feed takes up to 500 requests from its queue, or reads them from the inbox, and has the
//! boxes of sign-ups opened, outside of any transaction and while the batch before is applied. A batch
//! of stops is applied whenever there is one, else one of the others. A turn begins; it holds out
//! requests that were applied before. All that the rest may touch is loaded by sets, each request adds
//! its facts in memory, and each subscription's state is computed anew from all of its facts
//! (`domain::state_of`), so the order in which they came does not matter. Facts, rows, ledger entries,
//! mails and the mark of each request are written and committed together: that is exactly once. Only
//! then is the broker told; if it never hears it, the requests come again and are held out.

mod arrival;
mod erasures;
mod feed;
mod reading;
mod settling;
mod subject;
mod turn;
mod upkeep;
mod working_set;

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Entropy};
use queue::{Broker, Consumer, Link, Publisher, Queue};
use service_runtime::Shutdown;
use store::{
    BarrierActs, Database, Lane, Purge, Purged, RegistrarStore, RestoreTable, SeenTick, SpoolTable,
    StoreError,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::arrival::Arrival;
use self::feed::{InboxFeed, QueueFeed, Ready, Receipt};
use self::settling::settling;
use self::upkeep::Upkeep;
use crate::Keys;
use crate::erasure_journal::ErasureJournal;

/// At most this many requests in one transaction.
const BATCH: u16 = 500;
/// How often an empty inbox is looked at, where all requests come by it: an unsubscribe waits this
/// long at most.
const ONLY_WAY: Duration = Duration::from_millis(50);
/// The same beside a broker, which is the way of most.
const SIDE_WAY: Duration = Duration::from_millis(500);
/// Messages that the broker delivers ahead: two batches of stops.
const STOPS_AHEAD: u16 = 1_000;
/// A batch being applied, one ready, one being opened and one on its way.
const REQUESTS_AHEAD: u16 = 2_000;
/// Pauses while the database is away: from the first to the last, doubling.
const PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(5);

/// Applies requests. Several may run at once, in one process or in many.
#[derive(Clone)]
pub struct Registrar {
    store: RegistrarStore,
    spools: SpoolTable,
    restores: RestoreTable,
    acts: BarrierActs,
    purge: Purge,
    journal: Option<Arc<ErasureJournal>>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// The registrar's connections to the broker.
pub struct Post {
    stops: Consumer,
    requests: Consumer,
    publisher: Publisher,
    in_use: Arc<DropGuard>,
}

impl Post {
    /// Opens them on the tasks of `shutdown`. They outlive the tasks that use them, so that a batch
    /// which is being applied when the process is asked to stop is still acknowledged.
    #[must_use]
    pub fn open(broker: &Broker, shutdown: &Shutdown) -> Self {
        let stop = CancellationToken::new();
        let (publisher, connection) = broker.publisher(stop.clone());
        shutdown.spawn("publishing connection", connection);
        let (stops, connection) = broker.consumer(Queue::Stops, STOPS_AHEAD, stop.clone());
        shutdown.spawn("stops connection", connection);
        let (requests, connection) = broker.consumer(Queue::Requests, REQUESTS_AHEAD, stop.clone());
        shutdown.spawn("requests connection", connection);
        Self {
            stops,
            requests,
            publisher,
            in_use: Arc::new(stop.drop_guard()),
        }
    }

    /// The one that publishes, for whoever else has something to send; it ends with the registrar.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// Whether they work, each with its name.
    #[must_use]
    pub fn links(&self) -> [(&'static str, watch::Receiver<Link>); 3] {
        [
            ("publishing", self.publisher.link()),
            (Queue::Stops.label(), self.stops.link()),
            (Queue::Requests.label(), self.requests.link()),
        ]
    }
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
            restores: database.restores(),
            acts: database.barrier_acts(),
            purge: database.purge(),
            journal: None,
            keys,
            clock,
            entropy,
        }
    }

    /// The same beside a worker that watches for a database that went back: nothing is applied to one
    /// before that is recorded, and erasures go into the worker's journal.
    pub(crate) fn beside(self, seen: SeenTick, journal: Arc<ErasureJournal>) -> Self {
        Self {
            store: self.store.not_before(seen),
            journal: Some(journal),
            ..self
        }
    }

    /// Applies requests from the queues, where there is a broker, and from the inbox, and deletes what
    /// is due, until the process stops. While the database is away it waits for it.
    pub async fn run(self, post: Option<Post>, shutdown: Shutdown) {
        describe_metrics();
        let applied = Arc::new(Notify::new());
        shutdown.spawn(
            "upkeep",
            self.upkeep().run(Arc::clone(&applied), shutdown.clone()),
        );
        let (mut stops, mut others) = self.feeds(post, &shutdown);
        let mut held: [Option<Ready>; 2] = [None, None];
        let mut pause = *PAUSES.start();
        while let Some(ready) = next(&mut held, &mut stops, &mut others, &shutdown).await {
            match self.apply(&ready.readings).await {
                Ok(outcome) => {
                    pause = *PAUSES.start();
                    applied.notify_one();
                    match ready.receipt {
                        Receipt::Inbox(in_hand) => in_hand.put_down(&ready.readings),
                        Receipt::Queue(delivered, settler) => {
                            settler.applied(delivered, &ready.readings, &outcome);
                        }
                    }
                }
                Err(error) => {
                    report(&error);
                    let place = usize::from(ready.lane == Lane::Others);
                    held[place] = Some(ready);
                    crate::pause(pause, &shutdown).await;
                    pause = (pause * 2).min(*PAUSES.end());
                }
            }
        }
    }

    /// Starts what brings requests: stops, and the others.
    fn feeds(
        &self,
        post: Option<Post>,
        shutdown: &Shutdown,
    ) -> (mpsc::Receiver<Ready>, mpsc::Receiver<Ready>) {
        // One ready batch for each of a lane's two feeds.
        let (to_stops, stops) = mpsc::channel(2);
        let (to_others, others) = mpsc::channel(2);
        let every = if post.is_some() { SIDE_WAY } else { ONLY_WAY };
        for (lane, ready) in [(Lane::Stops, &to_stops), (Lane::Others, &to_others)] {
            let feed = InboxFeed {
                store: self.store.clone(),
                lane,
                keys: Arc::clone(&self.keys),
                clock: Arc::clone(&self.clock),
                every,
            };
            shutdown.spawn("inbox", feed.run(ready.clone(), shutdown.clone()));
        }
        if let Some(post) = post {
            for (lane, consumer, ready) in [
                (Lane::Stops, post.stops, to_stops),
                (Lane::Others, post.requests, to_others),
            ] {
                let queue = consumer.queue();
                let (settler, settlements) =
                    settling(queue, post.publisher.clone(), consumer.link());
                let (task, in_use) = (shutdown.clone(), Arc::clone(&post.in_use));
                shutdown.spawn("settlements", async move {
                    settlements.run(task).await;
                    drop(in_use);
                });
                let feed = QueueFeed {
                    consumer,
                    lane,
                    keys: Arc::clone(&self.keys),
                    settler,
                };
                shutdown.spawn("queue", feed.run(ready, shutdown.clone()));
            }
        }
        (stops, others)
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep {
            registrar: self.clone(),
        }
    }

    /// Deletes what the notices promise to delete, if its time has come.
    ///
    /// # Errors
    /// Those of the database; what is left is deleted by the next call.
    pub async fn purge(&self) -> Result<Purged, StoreError> {
        self.upkeep().purge().await
    }

    /// Applies one batch from the inbox: stops if there are any, else of the others. Gives the number
    /// of requests that are done with; 0 where it is empty.
    ///
    /// # Errors
    /// Those of the database; the batch is then applied whole by a later call or was already.
    pub async fn apply_batch(&self) -> Result<usize, StoreError> {
        for lane in [Lane::Stops, Lane::Others] {
            let rows = self.store.waiting_in(lane, BATCH, self.clock.now()).await?;
            if !rows.is_empty() {
                let arrivals = rows.into_iter().map(Arrival::of_row).collect();
                let readings = reading::read_all(arrivals, &self.keys).await;
                return Ok(self.apply(&readings).await?.places);
            }
        }
        Ok(0)
    }
}

/// The next batch: what could not be applied before, and stops first of either. None once the process
/// is to stop.
async fn next(
    held: &mut [Option<Ready>; 2],
    stops: &mut mpsc::Receiver<Ready>,
    others: &mut mpsc::Receiver<Ready>,
    shutdown: &Shutdown,
) -> Option<Ready> {
    if shutdown.is_stopping() {
        return None;
    }
    if let Some(ready) = held[0].take().or_else(|| stops.try_recv().ok()) {
        return Some(ready);
    }
    if let Some(ready) = held[1].take() {
        return Some(ready);
    }
    tokio::select! {
        biased;
        () = shutdown.token().cancelled() => None,
        ready = stops.recv() => ready,
        ready = others.recv() => ready,
    }
}

fn describe_metrics() {
    metrics::describe_counter!(
        "letterbox_requests_applied_total",
        "Requests that took effect in the database, by kind."
    );
    metrics::describe_counter!(
        "letterbox_requests_dead_total",
        "Requests that could not be read or applied and were set aside: `letterbox dead-letters`."
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
        "Applying one batch of requests, once they are read and opened."
    );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registrar::feed::InHand;

    fn ready(lane: Lane) -> Ready {
        Ready {
            lane,
            readings: Vec::new(),
            receipt: Receipt::Inbox(InHand::default()),
        }
    }

    #[tokio::test]
    async fn stops_are_next_whatever_else_waits() {
        let shutdown = Shutdown::new();
        let (to_stops, mut stops) = mpsc::channel(2);
        let (to_others, mut others) = mpsc::channel(2);
        let mut held = [None, Some(ready(Lane::Others))];
        for _ in 0..2 {
            assert!(to_others.try_send(ready(Lane::Others)).is_ok());
            assert!(to_stops.try_send(ready(Lane::Stops)).is_ok());
        }
        let mut order = Vec::new();
        for _ in 0..5 {
            let batch = next(&mut held, &mut stops, &mut others, &shutdown).await;
            order.push(batch.unwrap().lane);
        }
        let [stop, other] = [Lane::Stops, Lane::Others];
        assert_eq!(order, [stop, stop, other, other, other]);
        // one that could not be applied is before those that came later
        held[0] = Some(ready(stop));
        assert!(to_stops.try_send(ready(stop)).is_ok());
        let first = next(&mut held, &mut stops, &mut others, &shutdown).await;
        assert!(first.is_some() && held[0].is_none() && stops.try_recv().is_ok());
        shutdown.begin();
        assert!(to_others.try_send(ready(other)).is_ok());
        let none = next(&mut held, &mut stops, &mut others, &shutdown).await;
        assert!(none.is_none());
    }
}

//! Brings requests, read and opened, to where they are applied: from a queue or from the inbox, stops
//! and others each by their own way, so that a flood of the one holds up none of the other.
//!
//! A feed works ahead: while a batch is applied, the next is read and opened.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Clock;
use queue::Consumer;
use service_runtime::Shutdown;
use store::{Lane, Place, RegistrarStore};
use tokio::sync::mpsc;

use super::arrival::Arrival;
use super::reading::{Reading, read_all};
use super::settling::{Delivered, Settler};
use super::{BATCH, PAUSES, report};
use crate::Keys;

/// A batch that can be applied.
pub(super) struct Ready {
    pub(super) lane: Lane,
    pub(super) readings: Vec<Reading>,
    pub(super) receipt: Receipt,
}

/// What is owed to whoever brought a batch, once it is applied.
pub(super) enum Receipt {
    /// Its places are no longer in hand.
    Inbox(InHand),
    /// The broker is told.
    Queue(Delivered, Settler),
}

/// Places that were read from the inbox and are not applied yet.
#[derive(Debug, Clone, Default)]
pub(super) struct InHand(Arc<Mutex<BTreeSet<Place>>>);

impl InHand {
    fn places(&self) -> MutexGuard<'_, BTreeSet<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// They are applied.
    pub(super) fn put_down<'a>(&self, readings: impl IntoIterator<Item = &'a Reading>) {
        let mut places = self.places();
        for reading in readings {
            places.remove(&reading.place);
        }
    }
}

/// Feeds from a queue.
pub(super) struct QueueFeed {
    pub(super) consumer: Consumer,
    pub(super) lane: Lane,
    pub(super) keys: Arc<Keys>,
    pub(super) settler: Settler,
}

impl QueueFeed {
    /// Feeds until the process stops.
    pub(super) async fn run(mut self, ready: mpsc::Sender<Ready>, shutdown: Shutdown) {
        let link = self.consumer.link();
        // Room first: the longer a batch is not asked for, the more of it has arrived.
        while let Ok(room) = ready.reserve().await {
            let arrived = tokio::select! {
                arrived = self.consumer.next(usize::from(BATCH)) => arrived,
                () = shutdown.token().cancelled() => None,
            };
            let Some(batch) = arrived else {
                return;
            };
            let arrivals = batch
                .messages()
                .iter()
                .map(|message| Arrival::of_message(message, self.lane))
                .collect();
            let readings = read_all(arrivals, &self.keys).await;
            let delivered = Delivered::new(batch, *link.borrow());
            room.send(Ready {
                lane: self.lane,
                readings,
                receipt: Receipt::Queue(delivered, self.settler.clone()),
            });
        }
    }
}

/// Feeds from the inbox.
pub(super) struct InboxFeed {
    pub(super) store: RegistrarStore,
    pub(super) lane: Lane,
    pub(super) keys: Arc<Keys>,
    pub(super) clock: Arc<dyn Clock>,
    /// How often an empty inbox is looked at.
    pub(super) every: Duration,
}

impl InboxFeed {
    /// Feeds until the process stops.
    pub(super) async fn run(self, ready: mpsc::Sender<Ready>, shutdown: Shutdown) {
        let in_hand = InHand::default();
        let mut pause = *PAUSES.start();
        while let Ok(room) = ready.reserve().await {
            if shutdown.is_stopping() {
                return;
            }
            // Before the look: what is applied between the two is in the answer, and not new.
            let held = in_hand.places().clone();
            let limit = usize::from(BATCH) + held.len();
            let limit = u16::try_from(limit).unwrap_or(u16::MAX);
            let looked = self
                .store
                .waiting_in(self.lane, limit, self.clock.now())
                .await;
            let mut rows = match looked {
                Ok(rows) => rows,
                Err(error) => {
                    // who applies and who moves the marks complain of a database that is away
                    if !error.is_temporary() {
                        report(&error);
                    }
                    crate::pause(pause, &shutdown).await;
                    pause = (pause * 2).min(*PAUSES.end());
                    continue;
                }
            };
            pause = *PAUSES.start();
            rows.retain(|row| !held.contains(&row.place()));
            rows.truncate(usize::from(BATCH));
            if rows.is_empty() {
                drop(room);
                crate::pause(self.every, &shutdown).await;
                continue;
            }
            let arrivals = rows.into_iter().map(Arrival::of_row).collect();
            let readings = read_all(arrivals, &self.keys).await;
            in_hand
                .places()
                .extend(readings.iter().map(|reading| reading.place));
            room.send(Ready {
                lane: self.lane,
                readings,
                receipt: Receipt::Inbox(in_hand.clone()),
            });
        }
    }
}

//! The way by the broker: publishing batches, watching the connection, and finding out whether a
//! broker that was given up takes requests again.

use std::time::{Duration, Instant};

use queue::{Link, Message, PublishError, Publisher, Queue};
use spool::Envelope;
use tracing::{info, warn};

use crate::Shipper;
use crate::marks::Marks;
use crate::shipper::ShipError;
use crate::way::{Connection, Passage, Way};

/// How long to wait before a broker that does not confirm is tried again.
const TRY_EVERY: Duration = Duration::from_secs(5);

impl Shipper {
    /// Publishes a batch; done when the broker has confirmed each message.
    pub(crate) async fn publish(&self, envelopes: Vec<Envelope>) -> Result<(), ShipError> {
        let Some(publisher) = &self.route.broker else {
            return Err(PublishError::Down.into());
        };
        let outcome = self.publish_by(publisher, envelopes).await;
        match outcome {
            Ok(()) => self.confirmed(),
            Err(_) => self.failed(),
        }
        Ok(outcome?)
    }

    async fn publish_by(
        &self,
        publisher: &Publisher,
        envelopes: Vec<Envelope>,
    ) -> Result<(), PublishError> {
        // In a spool of stops a tombstone was a stop too.
        let (stops, others): (Vec<Envelope>, Vec<Envelope>) = envelopes
            .into_iter()
            .partition(|envelope| self.holds_stops || envelope.stop);
        for (queue, envelopes) in [(Queue::Stops, stops), (Queue::Requests, others)] {
            if envelopes.is_empty() {
                continue;
            }
            let messages = envelopes.into_iter().map(|one| self.message(one));
            publisher.publish(queue, messages.collect()).await?;
        }
        Ok(())
    }

    fn message(&self, envelope: Envelope) -> Message {
        Message {
            message_id: format!("{}:{}", self.spool.spool_id(), envelope.seq),
            body: envelope.bytes,
        }
    }

    /// Follows the connection, and turns to the inbox when it is time.
    pub(crate) async fn watch_the_connection(&self) {
        let Some(publisher) = &self.route.broker else {
            return std::future::pending().await;
        };
        let mut link = publisher.link();
        let mut passages = self.passage.subscribe();
        let mut lives = true;
        loop {
            let now = *link.borrow_and_update();
            self.see(if lives {
                now
            } else {
                // Nobody connects any more.
                let since = Instant::now();
                Link::Down { since }
            });
            let gives_up_at = passages.borrow_and_update().gives_up_at(self.patience);
            tokio::select! {
                changed = link.changed(), if lives => lives = changed.is_ok(),
                _ = passages.changed() => {}
                () = sleep_until(gives_up_at) => self.give_up(),
            }
        }
    }

    fn see(&self, link: Link) {
        let mut connection = Connection::Same;
        self.change(|passage| connection = passage.see(link, Instant::now()));
        if connection == Connection::Another && self.holds_stops {
            // The broker may have come back empty, and the barrier is not to wait until a mark that
            // stands still tells.
            self.marks.send_modify(Marks::ship_again);
        }
    }

    fn give_up(&self) {
        let mut given_up = false;
        self.change(|passage| given_up = passage.give_up(self.patience, Instant::now()));
        if given_up {
            warn!(
                spool.role = self.role,
                "the broker takes no requests; they go to the inbox in the database until it does"
            );
            self.tell_way();
            if self.holds_stops {
                // What it confirmed before lies where nobody may reach it.
                self.marks.send_modify(Marks::ship_again);
            }
        }
    }

    /// Publishes one record whenever it is not known that the broker works and no batch shows it: in
    /// the time of the inbox, or while nothing waits. To get a record twice is harmless.
    pub(crate) async fn try_the_queue(&self) {
        let Some(publisher) = &self.route.broker else {
            return std::future::pending().await;
        };
        let mut passages = self.passage.subscribe();
        loop {
            // The sender is ours, so this ends by a passage only.
            let way = match passages.wait_for(Passage::is_doubtful).await {
                Ok(passage) => passage.way(),
                Err(_) => return,
            };
            let waits = self.spool.last_seq() > self.marks.borrow().shipped;
            if way == Way::Queue && waits {
                // The next batch tells. A single record must not speak for it: a batch that is refused
                // again and again could then never go to the inbox.
                tokio::select! {
                    _ = passages.changed() => {}
                    () = tokio::time::sleep(TRY_EVERY) => {}
                }
                continue;
            }
            if self.try_with_one(publisher).await.is_ok() {
                self.confirmed();
            } else {
                self.failed();
                tokio::time::sleep(TRY_EVERY).await;
            }
        }
    }

    async fn try_with_one(&self, publisher: &Publisher) -> Result<(), ShipError> {
        let Some(before_last) = self.spool.last_seq().checked_sub(1) else {
            // An empty spool: the first record tells.
            return Ok(());
        };
        // The oldest that waits, else the last one there was.
        let from = self.marks.borrow().applied.min(before_last);
        let one = self.read(from, 1).await?;
        self.tries(from + 1);
        Ok(self.publish_by(publisher, one).await?)
    }

    fn confirmed(&self) {
        let mut is_back = false;
        self.change(|passage| is_back = passage.confirmed());
        if is_back {
            info!(
                spool.role = self.role,
                "the broker takes requests again; they go to its queues"
            );
            self.tell_way();
        }
    }

    fn failed(&self) {
        self.change(|passage| passage.failed(Instant::now()));
    }

    /// Wakes whoever waits only if something changed.
    fn change(&self, change: impl FnOnce(&mut Passage)) {
        self.passage.send_if_modified(|passage| {
            let before = *passage;
            change(passage);
            *passage != before
        });
    }

    pub(crate) fn tell_way(&self) {
        let now = self.passage.borrow().way();
        for way in Way::ALL {
            metrics::gauge!("letterbox_shipping_route", "role" => self.role, "route" => way.label())
                .set(if way == now { 1.0 } else { 0.0 });
        }
    }
}

/// For ever where there is no time.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

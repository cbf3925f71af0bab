//! What a consumer gives: a run of messages that are settled together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicRejectOptions};
use lapin::types::ShortString;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::dial::close_channel;
use crate::{Queue, metrics};

/// Telling the broker, at most.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// A message as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// What its sender called it, if anything.
    pub message_id: Option<String>,
    /// The bytes.
    pub body: Vec<u8>,
    /// Whether it may have been delivered before. Never to be relied on: a wiped broker forgets.
    pub redelivered: bool,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("message_id", &self.message_id)
            .field("bytes", &self.body.len())
            .field("redelivered", &self.redelivered)
            .finish()
    }
}

/// Whether the broker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was, as far as this side can know: the broker does not answer, and may still be lost before
    /// it reads.
    Yes,
    /// The connection was gone: the messages come again.
    Lost,
}

/// The oldest messages that were not given out yet, in their order. Several batches may be held at
/// once. One that is dropped unsettled makes the connection be made anew, so that its messages, and
/// those of every other batch of that connection, come again.
#[must_use = "messages come again until they are settled"]
pub struct Batch {
    messages: Vec<Received>,
    first: u64,
    queue: Queue,
    books: Arc<Books>,
    settled: bool,
}

impl Batch {
    /// A batch of deliveries whose numbers follow each other.
    pub(crate) fn new(queue: Queue, books: Arc<Books>, deliveries: Vec<Delivery>) -> Option<Self> {
        let first = deliveries.first()?.delivery_tag;
        let messages = deliveries.into_iter().map(|delivery| Received {
            message_id: delivery
                .properties
                .message_id()
                .as_ref()
                .map(ToString::to_string),
            body: delivery.data,
            redelivered: delivery.redelivered,
        });
        let messages = messages.collect();
        books.orders().outstanding += 1;
        Some(Self {
            messages,
            first,
            queue,
            books,
            settled: false,
        })
    }

    /// The messages.
    #[must_use]
    pub fn messages(&self) -> &[Received] {
        &self.messages
    }

    /// Tells the broker that all of them are done, in five seconds at most.
    pub async fn ack(self) -> Settled {
        self.settle(&[]).await
    }

    /// Tells the broker that all are done but these (positions in [`Self::messages`]), which it moves
    /// to the dead letter queue. It takes five seconds at most.
    pub async fn settle(mut self, dead: &[usize]) -> Settled {
        let number = self.messages.len();
        let dead: BTreeSet<usize> = dead.iter().copied().filter(|nth| *nth < number).collect();
        let telling = self.books.settle(self.first, number, &dead);
        match timeout(SETTLE_LIMIT, telling).await {
            Ok(Ok(())) => {
                self.settled = true;
                metrics::consumed(self.queue, number);
                metrics::dead_lettered(self.queue, dead.len());
                Settled::Yes
            }
            // Dropped unsettled: whatever the broker has heard of it, the rest comes again.
            Ok(Err(_)) | Err(_) => Settled::Lost,
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.books.orders().outstanding -= 1;
        self.books.settled.notify_one();
        if !self.settled {
            self.books.renew.cancel();
        }
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("queue", &self.queue)
            .field("first", &self.first)
            .field("messages", &self.messages.len())
            .finish_non_exhaustive()
    }
}

/// What is known of one channel: which deliveries were settled.
pub(crate) struct Books {
    channel: Channel,
    orders: Mutex<Orders>,
    /// Cancelled when the channel must be made anew.
    pub(crate) renew: CancellationToken,
    settled: Notify,
}

struct Orders {
    /// Everything before this number is settled.
    next: u64,
    /// Settled runs beyond it, by their first number: batches may be settled in any order.
    beyond: BTreeMap<u64, u64>,
    /// Batches that are held.
    outstanding: usize,
}

impl Orders {
    fn settle(&mut self, first: u64, end: u64) {
        self.beyond.insert(first, end);
        while let Some(end) = self.beyond.remove(&self.next) {
            self.next = end;
        }
    }
}

impl Books {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            channel,
            orders: Mutex::new(Orders {
                next: 1,
                beyond: BTreeMap::new(),
                outstanding: 0,
            }),
            renew: CancellationToken::new(),
            settled: Notify::new(),
        }
    }

    /// Waits until no batch is held.
    pub(crate) async fn all_settled(&self) {
        while self.orders().outstanding > 0 {
            self.settled.notified().await;
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn settle(&self, first: u64, number: usize, dead: &BTreeSet<usize>) -> lapin::Result<()> {
        let tag = |nth: usize| first + nth as u64;
        for nth in dead {
            // `reject`, not `nack`: only this counts as a delivery on every version of RabbitMQ.
            let options = BasicRejectOptions { requeue: false };
            self.channel.basic_reject(tag(*nth), options).await?;
        }
        let good: Vec<usize> = (0..number).filter(|nth| !dead.contains(nth)).collect();
        // One ack for all of a batch, where the usual advice is never `multiple`: that acknowledges
        // everything older too, which other work may not have finished. Here nothing older is open:
        // a batch is the contiguous run of oldest deliveries of its channel, and `next` says that
        // all before it were settled. One by one they cost 65 to 96 µs each.
        let multiple = self.orders().next == first;
        match good.last() {
            // The last good one, not the last: an ack must name a delivery that is still open.
            Some(last) if multiple => self.ack(tag(*last), true).await?,
            _ => {
                for nth in good {
                    self.ack(tag(nth), false).await?;
                }
            }
        }
        self.orders().settle(first, first + number as u64);
        Ok(())
    }

    /// Asks for no more deliveries.
    pub(crate) async fn cancel(&self, consumer: ShortString) -> lapin::Result<()> {
        let options = BasicCancelOptions::default();
        self.channel.basic_cancel(consumer, options).await
    }

    /// Says good-bye to the broker.
    pub(crate) async fn close(&self) {
        close_channel(&self.channel).await;
    }

    async fn ack(&self, tag: u64, multiple: bool) -> lapin::Result<()> {
        self.channel
            .basic_ack(tag, BasicAckOptions { multiple })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_passes_over_runs_only_when_all_before_them_are_settled() {
        let mut orders = Orders {
            next: 1,
            beyond: BTreeMap::new(),
            outstanding: 0,
        };
        orders.settle(4, 7);
        assert_eq!(orders.next, 1);
        orders.settle(7, 9);
        assert_eq!(orders.next, 1);
        orders.settle(1, 4);
        assert_eq!(orders.next, 9);
        assert!(orders.beyond.is_empty());
    }
}

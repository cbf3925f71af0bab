//! The handle that receives.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapin::message::Delivery;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::batch::Books;
use crate::{Batch, Link, Queue};

/// Receives the messages of one queue over a connection of its own.
pub struct Consumer {
    queue: Queue,
    inbox: Arc<Inbox>,
    link: watch::Receiver<Link>,
    stop: CancellationToken,
}

impl Consumer {
    pub(crate) const fn new(
        queue: Queue,
        inbox: Arc<Inbox>,
        link: watch::Receiver<Link>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            queue,
            inbox,
            link,
            stop,
        }
    }

    /// The queue.
    #[must_use]
    pub const fn queue(&self) -> Queue {
        self.queue
    }

    /// Whether the connection works; changes can be waited for.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Waits for one message at least, then gives what has arrived, at most `max`, oldest first. None
    /// once the consumer was stopped. Nothing is lost when the future is dropped before it is done.
    pub async fn next(&mut self, max: usize) -> Option<Batch> {
        loop {
            // A permit is kept for news that come between the look and the wait.
            if let Some(batch) = self.try_next(max) {
                return Some(batch);
            }
            if self.stop.is_cancelled() || self.inbox.stock().closed {
                return None;
            }
            self.inbox.news.notified().await;
        }
    }

    /// What has arrived, at most `max`; none if nothing has, or the consumer was stopped.
    pub fn try_next(&mut self, max: usize) -> Option<Batch> {
        if self.stop.is_cancelled() {
            return None;
        }
        let mut stock = self.inbox.stock();
        let books = Arc::clone(stock.books.as_ref()?);
        let run = stock.contiguous(max.max(1));
        let deliveries = stock.deliveries.drain(..run).collect();
        drop(stock);
        Batch::new(self.queue, books, deliveries)
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// What was delivered and not yet given out. The broker's prefetch bounds it.
#[derive(Default)]
pub(crate) struct Inbox {
    stock: Mutex<Stock>,
    news: Notify,
}

#[derive(Default)]
struct Stock {
    /// The channel of the deliveries; none while there is no connection.
    books: Option<Arc<Books>>,
    deliveries: VecDeque<Delivery>,
    closed: bool,
}

impl Stock {
    /// How many of the oldest deliveries follow each other by number: all of them, as long as a
    /// channel has one consumer; a batch depends on it.
    fn contiguous(&self, max: usize) -> usize {
        let Some(first) = self.deliveries.front() else {
            return 0;
        };
        let follows =
            |(nth, delivery): &(u64, &Delivery)| delivery.delivery_tag == first.delivery_tag + nth;
        (0..)
            .zip(&self.deliveries)
            .take(max)
            .take_while(follows)
            .count()
    }
}

impl Inbox {
    /// A new channel delivers.
    pub(crate) fn begin(&self, books: Arc<Books>) {
        let mut stock = self.stock();
        stock.deliveries.clear();
        stock.books = Some(books);
    }

    pub(crate) fn put(&self, delivery: Delivery) {
        self.stock().deliveries.push_back(delivery);
        self.news.notify_one();
    }

    /// The channel is gone: what it delivered will be delivered again.
    pub(crate) fn clear(&self) {
        let mut stock = self.stock();
        stock.deliveries.clear();
        stock.books = None;
    }

    /// Nothing will come any more.
    pub(crate) fn close(&self) {
        self.clear();
        self.stock().closed = true;
        self.news.notify_one();
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The handle that receives.

use std::time::Instant;

use tokio::sync::watch;

use crate::{Batch, Link, Queue};

/// Receives the messages of one queue over a connection of its own.
#[derive(Debug)]
pub struct Consumer {
    queue: Queue,
    link: watch::Receiver<Link>,
}

impl Consumer {
    pub(crate) fn unconnected(queue: Queue) -> Self {
        let since = Instant::now();
        Self {
            queue,
            link: watch::channel(Link::Down { since }).1,
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
        let _ = max;
        std::future::pending().await
    }

    /// What has arrived, at most `max`; none if nothing has.
    pub fn try_next(&mut self, max: usize) -> Option<Batch> {
        let _ = max;
        None
    }
}

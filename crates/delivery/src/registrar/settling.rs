//! Tells the broker what became of its messages: after the commit, in the order they came, and beside
//! the next batch rather than before it.

use queue::{Batch, Link, Publisher, Queue};
use service_runtime::Shutdown;
use tokio::sync::{mpsc, watch};

use super::reading::{Found, Reading};
use super::turn::Applied;
use crate::postponed::Postponed;

/// A batch of messages, and the connection that brought it.
pub(super) struct Delivered {
    batch: Batch,
    link: Link,
}

impl Delivered {
    pub(super) const fn new(batch: Batch, link: Link) -> Self {
        Self { batch, link }
    }
}

struct Settling {
    delivered: Delivered,
    /// Positions in the batch.
    dead: Vec<usize>,
    later: Postponed,
}

/// Takes what is owed to one queue. Never makes its caller wait: what is outstanding is bounded by
/// what the broker delivers ahead.
#[derive(Clone)]
pub(super) struct Settler(mpsc::UnboundedSender<Settling>);

/// Tells the broker.
pub(super) struct Settlements {
    received: mpsc::UnboundedReceiver<Settling>,
    queue: Queue,
    publisher: Publisher,
    link: watch::Receiver<Link>,
}

/// The two ends of settling what `queue` brought.
pub(super) fn settling(
    queue: Queue,
    publisher: Publisher,
    link: watch::Receiver<Link>,
) -> (Settler, Settlements) {
    let (sender, received) = mpsc::unbounded_channel();
    let settlements = Settlements {
        received,
        queue,
        publisher,
        link,
    };
    (Settler(sender), settlements)
}

impl Settler {
    /// The batch is applied. What cannot be read goes to the dead letters, what only a newer version
    /// can read comes again in half a minute, and all else is done with.
    pub(super) fn applied(&self, delivered: Delivered, readings: &[Reading], applied: &Applied) {
        let mut dead = Vec::new();
        let mut later = Postponed::default();
        for (position, reading) in readings.iter().enumerate() {
            if matches!(reading.found, Found::Dead(_)) || applied.dead.contains(&reading.place) {
                dead.push(position);
            } else if matches!(reading.found, Found::Later)
                && applied.later.contains(&reading.place)
            {
                later.add(&delivered.batch.messages()[position]);
            }
        }
        let settling = Settling {
            delivered,
            dead,
            later,
        };
        // a closed channel: the process stops, and the broker delivers them again
        let _ = self.0.send(settling);
    }
}

impl Settlements {
    /// Settles until nothing more can come.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        while let Some(settling) = self.received.recv().await {
            let Delivered { batch, link } = settling.delivered;
            let put_back = settling
                .later
                .put_back(self.queue, &self.publisher, link, &self.link, &shutdown)
                .await;
            if put_back {
                batch.settle(&settling.dead).await;
            }
        }
    }
}

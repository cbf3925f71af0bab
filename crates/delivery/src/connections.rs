//! The worker's connections to the broker: one to publish, and one for each queue that it reads.

use queue::{Broker, Consumer, Link, Publisher, Queue};
use service_runtime::Shutdown;
use tokio::sync::watch;

use crate::registrar::Post;

/// Hints for mails that are delivered ahead; many are answered by one look.
const MAILS_AHEAD: u16 = 256;
/// Hints for chunks that are delivered ahead, for each lane: the more one worker holds, the longer
/// another's free lanes wait.
const CHUNKS_AHEAD: usize = 2;

/// All of them.
pub(crate) struct Connections {
    /// What the registrar reads.
    pub(crate) post: Post,
    /// What the senders read, and the way there.
    pub(crate) work: WorkQueues,
}

/// The work queues.
pub(crate) struct WorkQueues {
    pub(crate) publisher: Publisher,
    pub(crate) bulk: Consumer,
    pub(crate) confirm: Consumer,
}

impl Connections {
    /// Opens them on the tasks of `shutdown`, for a worker with so many lanes.
    pub(crate) fn open(broker: &Broker, lanes: usize, shutdown: &Shutdown) -> Self {
        let post = Post::open(broker, shutdown);
        let publisher = post.publisher();
        let bulk_ahead = u16::try_from(lanes * CHUNKS_AHEAD).unwrap_or(u16::MAX);
        let (bulk, connection) = broker.consumer(Queue::Bulk, bulk_ahead, shutdown.token().clone());
        shutdown.spawn("bulk connection", connection);
        let (confirm, connection) =
            broker.consumer(Queue::Confirm, MAILS_AHEAD, shutdown.token().clone());
        shutdown.spawn("confirm connection", connection);
        Self {
            post,
            work: WorkQueues {
                publisher,
                bulk,
                confirm,
            },
        }
    }

    /// Whether they work, each with its name.
    pub(crate) fn links(&self) -> Vec<(&'static str, watch::Receiver<Link>)> {
        self.post
            .links()
            .into_iter()
            .chain([
                (Queue::Bulk.label(), self.work.bulk.link()),
                (Queue::Confirm.label(), self.work.confirm.link()),
            ])
            .collect()
    }
}

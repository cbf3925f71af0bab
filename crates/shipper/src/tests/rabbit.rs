//! A virtual host of the test broker, behind a door, and somebody who takes what comes to its queues.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::SpoolId;
use queue::{Broker, BrokerSettings, Consumer, Publisher, Queue, Received};
use service_runtime::{OsEntropy, Shutdown};
use spool::DecodedEnvelope;

use super::door::Door;
use super::until;

/// How many virtual hosts `deploy/dev/services` makes for tests.
const VIRTUAL_HOSTS: usize = 16;

/// A virtual host that no other test uses meanwhile.
pub(super) struct Rabbit {
    pub(super) door: Door,
    user: String,
    host: String,
    port: u16,
    name: String,
    /// Held until this is dropped.
    _lock: File,
}

impl Rabbit {
    /// Behind a shut door.
    pub(super) async fn take() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test has no settings")]
        let address = std::env::var("LETTERBOX_TEST_BROKER")
            .expect("LETTERBOX_TEST_BROKER: eval \"$(deploy/dev/services env)\"");
        let (user, place) = address
            .strip_prefix("amqp://")
            .and_then(|rest| rest.split_once('@'))
            .expect("amqp://USER:PASSWORD@HOST:PORT");
        let (host, port) = place.split_once(':').expect("a port");
        let port = port.parse().expect("a port");
        let (name, lock) = take_virtual_host().await;
        Self {
            door: Door::to(host, port),
            user: user.to_owned(),
            host: host.to_owned(),
            port,
            name,
            _lock: lock,
        }
    }

    fn broker(&self, host: &str, port: u16) -> Broker {
        let address = format!("amqp://{}@{host}:{port}/{}", self.user, self.name);
        let settings = BrokerSettings::parse(&[address], None, None, true).unwrap();
        Broker::new(settings, "test", Arc::new(OsEntropy))
    }

    /// One that goes through the door.
    pub(super) fn publisher(&self, shutdown: &Shutdown) -> Publisher {
        let broker = self.broker("127.0.0.1", self.door.port);
        let (publisher, connection) = broker.publisher(shutdown.token().clone());
        shutdown.spawn("broker", connection);
        publisher
    }

    /// One that does not.
    pub(super) fn consumer(&self, queue: Queue, shutdown: &Shutdown) -> Consumer {
        let broker = self.broker(&self.host, self.port);
        let (consumer, connection) = broker.consumer(queue, 2000, shutdown.token().clone());
        shutdown.spawn("consumer", connection);
        consumer
    }

    /// Takes everything from a queue that this spool sends there, for ever: as far as the spool can
    /// see, a registrar that does nothing, or a broker whose data is deleted.
    pub(super) fn receive(&self, queue: Queue, spool_id: SpoolId) -> Receiver {
        let receiver = Receiver {
            shutdown: Shutdown::new(),
            came: Arc::default(),
        };
        let mut consumer = self.consumer(queue, &receiver.shutdown);
        let came = Arc::clone(&receiver.came);
        receiver.shutdown.spawn("receiver", async move {
            while let Some(batch) = consumer.next(500).await {
                let read = |received: &Received| read(received, spool_id);
                for envelope in batch.messages().iter().filter_map(read) {
                    *came.lock().unwrap().entry(envelope.seq).or_default() += 1;
                }
                batch.ack().await;
            }
        });
        receiver
    }
}

async fn take_virtual_host() -> (String, File) {
    let folder = std::env::temp_dir().join("letterbox-test-vhosts");
    fs::create_dir_all(&folder).unwrap();
    loop {
        for number in 1..=VIRTUAL_HOSTS {
            let name = format!("test-{number}");
            let lock = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(folder.join(&name))
                .unwrap();
            if lock.try_lock().is_ok() {
                return (name, lock);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a message of this spool brings; none for what another test left in the queue.
pub(super) fn read(received: &Received, spool_id: SpoolId) -> Option<DecodedEnvelope> {
    let envelope = spool::record::decode_envelope(&received.body).ok()?;
    if envelope.spool_id != spool_id {
        return None;
    }
    assert_eq!(
        received.message_id.as_deref(),
        Some(&*format!("{spool_id}:{}", envelope.seq))
    );
    Some(envelope)
}

/// How often each seq came.
pub(super) struct Receiver {
    shutdown: Shutdown,
    came: Arc<Mutex<BTreeMap<u64, usize>>>,
}

impl Receiver {
    pub(super) fn times(&self, seq: u64) -> usize {
        self.came.lock().unwrap().get(&seq).copied().unwrap_or(0)
    }

    /// Waits until each of these came so often at least.
    pub(super) async fn until_came(&self, seqs: std::ops::RangeInclusive<u64>, times: usize) {
        until("they came", async || {
            seqs.clone().all(|seq| self.times(seq) >= times)
        })
        .await;
    }

    pub(super) async fn stop(self) {
        super::stop(self.shutdown).await;
    }
}

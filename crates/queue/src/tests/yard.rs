//! A broker for one test: a virtual host that nobody else uses meanwhile, with no queue in it.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use domain::{CountingEntropy, Entropy};
use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::topology::Limits;
use crate::{Broker, BrokerSettings, Consumer, Link, Message, Publisher, Queue};

/// Everything a test waits for comes within it, or the test fails.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

const DEAD: &str = "letterbox.dead.v1";
const DELAY: &str = "letterbox.delay.v1";

/// The virtual host, and what runs on it.
pub(super) struct Yard {
    /// `guest:guest@HOST:PORT`
    authority: String,
    virtual_host: String,
    pub(super) limits: Limits,
    pub(super) stop: CancellationToken,
    running: JoinSet<()>,
    direct: Connection,
    // Unlocked when the yard is gone.
    _lock: File,
}

impl Yard {
    pub(super) async fn open() -> Self {
        let authority = authority();
        let (lock, virtual_host) = tokio::task::spawn_blocking(free_virtual_host)
            .await
            .unwrap();
        let address = format!("amqp://{authority}/{virtual_host}");
        let direct = Connection::connect(&address, ConnectionProperties::default())
            .await
            .unwrap();
        let yard = Self {
            authority,
            virtual_host,
            limits: Limits::default(),
            stop: CancellationToken::new(),
            running: JoinSet::new(),
            direct,
            _lock: lock,
        };
        yard.raze().await;
        yard
    }

    /// Where the broker listens: `HOST:PORT`.
    pub(super) fn listens_on(&self) -> &str {
        self.authority.rsplit_once('@').unwrap().1
    }

    /// The same broker behind other addresses.
    pub(super) fn address_through(&self, listener: &str) -> String {
        let login = self.authority.rsplit_once('@').unwrap().0;
        format!("amqp://{login}@{listener}/{}", self.virtual_host)
    }

    pub(super) fn broker_at(&self, addresses: &[String]) -> Broker {
        self.broker_with(BrokerSettings::parse(addresses, None, None, false).unwrap())
    }

    pub(super) fn broker_with(&self, settings: BrokerSettings) -> Broker {
        let entropy: Arc<dyn Entropy> = Arc::new(CountingEntropy::default());
        let mut broker = Broker::new(settings, "test", entropy);
        broker.limits = self.limits;
        broker
    }

    pub(super) fn broker(&self) -> Broker {
        self.broker_at(&[self.address_through(self.listens_on())])
    }

    pub(super) fn publisher_of(&mut self, broker: &Broker) -> Publisher {
        let (publisher, running) = broker.publisher(self.stop.clone());
        self.running.spawn(running);
        publisher
    }

    pub(super) fn consumer_of(&mut self, broker: &Broker, queue: Queue) -> Consumer {
        let (consumer, running) = broker.consumer(queue, 100, self.stop.clone());
        self.running.spawn(running);
        consumer
    }

    /// A publisher and a consumer of `queue`, both connected.
    pub(super) async fn pair(&mut self, queue: Queue) -> (Publisher, Consumer) {
        let broker = self.broker();
        let publisher = self.publisher_of(&broker);
        let consumer = self.consumer_of(&broker, queue);
        up(&mut publisher.link()).await;
        up(&mut consumer.link()).await;
        (publisher, consumer)
    }

    /// Everything that was spawned ends.
    pub(super) async fn stopped(&mut self) {
        self.stop.cancel();
        let all = async { while self.running.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, all).await.expect("it stops");
    }

    pub(super) async fn channel(&self) -> Channel {
        self.direct.create_channel().await.unwrap()
    }

    /// Messages in a queue that wait for a consumer.
    pub(super) async fn waiting(&self, queue: &'static str) -> u32 {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let channel = self.channel().await;
        let found = channel.queue_declare(queue.into(), options, FieldTable::default());
        found.await.unwrap().message_count()
    }

    pub(super) async fn waiting_dead(&self) -> u32 {
        self.waiting(DEAD).await
    }

    pub(super) async fn delete(&self, queue: &'static str) {
        let channel = self.channel().await;
        let gone = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        gone.await.unwrap();
    }

    /// Declares a queue of this name that is not ours.
    pub(super) async fn declare_otherwise(&self, queue: &'static str) {
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let channel = self.channel().await;
        let made = channel.queue_declare(queue.into(), options, FieldTable::default());
        made.await.unwrap();
    }

    async fn raze(&self) {
        for queue in Queue::ALL.map(Queue::name).into_iter().chain([DEAD, DELAY]) {
            self.delete(queue).await;
        }
        for exchange in ["letterbox.work", "letterbox.delay", "letterbox.dead"] {
            let channel = self.channel().await;
            let gone = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
            gone.await.unwrap();
        }
    }
}

/// Waits until a link is up, and gives its generation.
pub(super) async fn up(link: &mut watch::Receiver<Link>) -> u64 {
    match *reaches(link, Link::is_up).await {
        Link::Up { generation } => generation,
        other => panic!("{other:?}"),
    }
}

/// Waits until a link is up again, by a later connection than this.
pub(super) async fn newer(link: &mut watch::Receiver<Link>, than: u64) {
    let newer = |link| matches!(link, Link::Up { generation } if generation > than);
    reaches(link, newer).await;
}

/// Waits until a link is as wanted.
pub(super) async fn reaches(
    link: &mut watch::Receiver<Link>,
    wanted: impl Fn(Link) -> bool,
) -> watch::Ref<'_, Link> {
    let reaching = link.wait_for(|link| wanted(*link));
    tokio::time::timeout(PATIENCE, reaching)
        .await
        .expect("the link changes in time")
        .unwrap()
}

/// Waits until a condition of the broker holds.
pub(super) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let holding = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holding).await.expect(what);
}

/// Messages named `prefix0`, `prefix1`, …, whose bodies say the same.
pub(super) fn messages(prefix: &str, number: usize) -> Vec<Message> {
    (0..number)
        .map(|nth| Message {
            message_id: format!("{prefix}{nth}"),
            body: format!("{prefix}{nth}").into_bytes(),
        })
        .collect()
}

/// The next `number` bodies, each batch acknowledged.
pub(super) async fn receive(consumer: &mut Consumer, number: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    let receiving = async {
        while bodies.len() < number {
            let batch = consumer.next(number - bodies.len()).await.unwrap();
            bodies.extend(said(&batch));
            batch.ack().await;
        }
    };
    tokio::time::timeout(PATIENCE, receiving)
        .await
        .expect("messages arrive in time");
    bodies
}

/// The bodies of a batch.
pub(super) fn said(batch: &crate::Batch) -> Vec<String> {
    let bodies = batch.messages().iter().map(|message| message.body.clone());
    bodies
        .map(|body| String::from_utf8(body).unwrap())
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment where the broker is"
)]
fn authority() -> String {
    let address = std::env::var("LETTERBOX_TEST_BROKER").expect(
        "no broker to test against: run `deploy/dev/services up` and `eval \"$(deploy/dev/services env)\"`",
    );
    let authority = address.strip_prefix("amqp://").unwrap();
    authority.trim_end_matches('/').to_owned()
}

/// One of the virtual hosts that were made for tests, locked for this test. All rooms lock alike.
fn free_virtual_host() -> (File, String) {
    let folder = std::env::temp_dir().join("letterbox-test-vhosts");
    fs::create_dir_all(&folder).unwrap();
    loop {
        for number in 1..=16 {
            let name = format!("test-{number}");
            let lock = File::create(folder.join(&name)).unwrap();
            if lock.try_lock().is_ok() {
                return (lock, name);
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

//! A virtual host of the test broker that no other test uses meanwhile, what a shipper does there, and
//! registrars that can be killed.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use delivery::registrar::{Post, Registrar};
use domain::{CountingEntropy, Entropy};
use queue::{Broker, Consumer, Message, Publisher, Queue};
use service_runtime::{OsEntropy, Shutdown};
use sqlx::postgres::PgPoolOptions;
use store::{Database, InboxRow};

use crate::virtual_host;
use crate::world::World;

/// Whatever a test waits for comes within it, or the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct PostOffice {
    pub(crate) broker: Broker,
    pub(crate) publisher: Publisher,
    _tasks: Tasks,
    /// Held until this is dropped.
    _lock: File,
}

/// Tasks that end with what they work for.
struct Tasks(Shutdown);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.begin();
    }
}

impl PostOffice {
    /// With nothing in the queues of requests.
    pub(crate) async fn open() -> Self {
        let (broker, lock) = virtual_host::take().await;
        let shutdown = Shutdown::new();
        let (publisher, connection) = broker.publisher(shutdown.token().clone());
        shutdown.spawn("publisher", connection);
        let mut link = publisher.link();
        let up = link.wait_for(|link| link.is_up());
        tokio::time::timeout(PATIENCE, up).await.unwrap().unwrap();
        let office = Self {
            broker,
            publisher,
            _tasks: Tasks(shutdown),
            _lock: lock,
        };
        for queue in [Queue::Stops, Queue::Requests] {
            office.left_in(queue).await;
        }
        office
    }

    /// Takes all out of a queue; how many messages that were.
    pub(crate) async fn left_in(&self, queue: Queue) -> usize {
        virtual_host::take_out(&self.broker, queue).await
    }

    /// Somebody who reads a queue.
    pub(crate) async fn consumer(&self, queue: Queue) -> (Consumer, Shutdown) {
        virtual_host::consumer(&self.broker, queue).await
    }

    /// Publishes requests as a shipper does.
    pub(crate) async fn ship(&self, rows: &[InboxRow]) {
        for (queue, stop) in [(Queue::Stops, true), (Queue::Requests, false)] {
            let messages: Vec<Message> = rows
                .iter()
                .filter(|row| row.stop == stop)
                .map(|row| Message {
                    message_id: format!("{}:{}", HEXLOWER.encode(row.spool_id.as_bytes()), row.seq),
                    body: row.envelope.clone(),
                })
                .collect();
            for part in messages.chunks(1_000) {
                self.publisher.publish(queue, part.to_vec()).await.unwrap();
            }
        }
    }

    /// Publishes anything.
    pub(crate) async fn put(&self, queue: Queue, messages: Vec<Message>) {
        self.publisher.publish(queue, messages).await.unwrap();
    }

    /// A registrar at work. Its ids are other than those of any other registrar.
    pub(crate) async fn employ(&self, world: &World) -> Clerk {
        let (connected, ready) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shutdown = Shutdown::new();
        let (broker, task) = (self.broker.clone(), shutdown.clone());
        let options = world.pool.connect_options().as_ref().clone();
        let (keys, clock) = (Arc::clone(&world.keys), world.clock.clone());
        runtime.spawn(async move {
            // Its connections are its own, as those of a process are: they end with it.
            let pool = PgPoolOptions::new().max_connections(8);
            let database = Database::from_pool(pool.connect_lazy_with(options));
            let registrar = Registrar::new(&database, keys, clock, Arc::new(OsEntropy));
            let post = Post::open(&broker, &task);
            for (_, mut link) in post.links() {
                link.wait_for(|link| link.is_up()).await.unwrap();
            }
            connected.send(()).unwrap();
            task.spawn("registrar", registrar.run(Some(post), task.clone()));
        });
        tokio::time::timeout(PATIENCE, ready)
            .await
            .unwrap()
            .unwrap();
        Clerk {
            runtime: Some(runtime),
            shutdown,
        }
    }
}

/// A registrar in a runtime of its own.
pub(crate) struct Clerk {
    runtime: Option<tokio::runtime::Runtime>,
    shutdown: Shutdown,
}

impl Clerk {
    /// Stops it as SIGTERM would.
    pub(crate) async fn stop(mut self) {
        let finished = self.shutdown.finish(PATIENCE).await;
        assert_eq!((finished.cut_short, finished.task_panicked), (0, false));
        self.kill();
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Clerk {
    // A runtime must not be dropped within another one.
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until so many requests of the world's spool are applied without a gap.
pub(crate) async fn until_applied(world: &World, number: u64) {
    let spools = world.database.spools();
    until("all is applied", async || {
        spools
            .beat(crate::world::SPOOL, None, world.now())
            .await
            .unwrap()
            >= Some(number)
    })
    .await;
}

/// Numbers that are the same in each run.
pub(crate) fn chance() -> impl FnMut(usize) -> usize {
    let entropy = CountingEntropy::default();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= u64::from(entropy.sixteen()[0]) + 1;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}

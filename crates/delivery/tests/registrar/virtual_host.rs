//! A virtual host of the test broker that no other test uses meanwhile.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use domain::Entropy;
use queue::{Broker, BrokerSettings, Consumer, Message, Queue, Received};
use service_runtime::{OsEntropy, Shutdown};

/// How many `deploy/dev/services` makes for tests.
const VIRTUAL_HOSTS: usize = 16;
/// Whatever a test waits for comes within it, or the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// One that is free, as a broker; it is taken for as long as the file is open.
pub(crate) async fn take() -> (Broker, File) {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings")]
    let address = std::env::var("LETTERBOX_TEST_BROKER")
        .expect("LETTERBOX_TEST_BROKER: eval \"$(deploy/dev/services env)\"");
    let (name, lock) = take_free().await;
    let settings = BrokerSettings::parse(&[format!("{address}/{name}")], None, None, true);
    let broker = Broker::new(settings.unwrap(), "test", Arc::new(OsEntropy));
    (broker, lock)
}

async fn take_free() -> (String, File) {
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

/// Somebody who reads a queue.
pub(crate) async fn consumer(broker: &Broker, queue: Queue) -> (Consumer, Shutdown) {
    let shutdown = Shutdown::new();
    let (consumer, connection) = broker.consumer(queue, 2_000, shutdown.token().clone());
    shutdown.spawn("consumer", connection);
    let mut link = consumer.link();
    let up = link.wait_for(|link| link.is_up());
    tokio::time::timeout(PATIENCE, up).await.unwrap().unwrap();
    (consumer, shutdown)
}

/// Takes all out of a queue; how many messages that were.
pub(crate) async fn take_out(broker: &Broker, queue: Queue) -> usize {
    all_in(broker, queue).await.len()
}

/// Takes all out of a queue. What is put in last tells where the end is, however slow the machine.
pub(crate) async fn all_in(broker: &Broker, queue: Queue) -> Vec<Received> {
    let (mut consumer, shutdown) = consumer(broker, queue).await;
    let (publisher, connection) = broker.publisher(shutdown.token().clone());
    shutdown.spawn("publisher", connection);
    let mut link = publisher.link();
    let up = link.wait_for(|link| link.is_up());
    tokio::time::timeout(PATIENCE, up).await.unwrap().unwrap();
    let end = HEXLOWER.encode(&OsEntropy.sixteen());
    let message = Message {
        message_id: end.clone(),
        body: b"the end".to_vec(),
    };
    publisher.publish(queue, vec![message]).await.unwrap();
    let mut all = Vec::new();
    loop {
        let batch = tokio::time::timeout(PATIENCE, consumer.next(1_000)).await;
        let batch = batch.unwrap().unwrap();
        all.extend_from_slice(batch.messages());
        batch.ack().await;
        let others = all.len();
        all.retain(|message| message.message_id.as_ref() != Some(&end));
        if all.len() < others {
            break;
        }
    }
    shutdown.finish(PATIENCE).await;
    all
}

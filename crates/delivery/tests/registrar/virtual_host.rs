//! A virtual host of the test broker that no other test uses meanwhile.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use queue::{Broker, BrokerSettings, Consumer, Queue};
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
    let (mut consumer, shutdown) = consumer(broker, queue).await;
    let mut left = 0;
    // what is there is delivered at once
    while let Ok(Some(batch)) =
        tokio::time::timeout(Duration::from_millis(500), consumer.next(1_000)).await
    {
        left += batch.messages().len();
        batch.ack().await;
    }
    shutdown.finish(PATIENCE).await;
    left
}

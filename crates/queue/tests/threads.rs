//! A broker that accepts connections and then says nothing must not cost a thread for each attempt:
//! lapin's own would stay for ever. Alone in its process, so that the threads can be counted.

use std::sync::Arc;
use std::time::Duration;

use domain::CountingEntropy;
use queue::{Broker, BrokerSettings, Queue};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Threads of lapin in this process.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux says which threads run");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_broker_costs_one_thread_an_attempt_and_only_while_it_lasts() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("amqp://guest:guest@{}", mute.local_addr().unwrap());
    let settings = BrokerSettings::parse(&[address], None, None, false).unwrap();
    let broker = Broker::new(settings, "test", Arc::new(CountingEntropy::default()));
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    let (_publisher, connection) = broker.publisher(stop.clone());
    running.spawn(connection);
    let (_consumer, connection) = broker.consumer(Queue::Stops, 10, stop.clone());
    running.spawn(connection);

    // Two connections are tried; the third attempt means that one was given up.
    let mut attempts = Vec::new();
    let tried = async {
        while attempts.len() < 4 {
            attempts.push(mute.accept().await.unwrap());
        }
    };
    tokio::time::timeout(Duration::from_mins(1), tried)
        .await
        .expect("it is tried again");
    assert!(threads() <= 3, "{} threads after four attempts", threads());

    stop.cancel();
    while running.join_next().await.is_some() {}
    let gone = async {
        while threads() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .expect("all threads end");
}

//! Work by way of a real broker: hints get lost, repeated and broken, and nobody gets two mails or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{CountingEntropy, SpoolId};
use queue::{Broker, BrokerSettings, Message, Publisher, Queue};
use service_runtime::Shutdown;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use store::{Database, InDoubtPolicy};

use super::house::{House, stop};
use super::virtual_host;
use crate::connections::Connections;
use crate::hints::hints;
use crate::relay::{LIMIT, Relay, Step};

const WORK: [Queue; 2] = [Queue::Bulk, Queue::Confirm];

/// A broker with nothing in its work queues.
async fn quiet_broker() -> (Broker, std::fs::File) {
    let (broker, lock) = virtual_host::take().await;
    for queue in WORK {
        virtual_host::take_out(&broker, queue).await;
    }
    (broker, lock)
}

async fn publisher(broker: &Broker) -> (Publisher, Shutdown) {
    let shutdown = Shutdown::new();
    let (publisher, connection) = broker.publisher(shutdown.token().clone());
    shutdown.spawn("publisher", connection);
    publisher
        .link()
        .wait_for(|link| link.is_up())
        .await
        .unwrap();
    (publisher, shutdown)
}

/// A worker with a folder of this name, whose hints come from the broker.
async fn start_with(house: &House, broker: &Broker, folder: &str) -> Shutdown {
    let worker = house.worker_on(&house.database, folder, house.caught());
    worker.recover().await.unwrap();
    let shutdown = Shutdown::new();
    let connections = Connections::open(broker, 3, &shutdown);
    worker.spawn(Some(connections.work), &shutdown);
    // the publishing connection is the registrar's, which this worker has not
    let (task, post) = (shutdown.clone(), connections.post);
    shutdown.spawn("post", async move {
        task.token().cancelled().await;
        drop(post);
    });
    shutdown
}

fn message(name: String, body: impl Into<Vec<u8>>) -> Message {
    Message {
        message_id: name,
        body: body.into(),
    }
}

/// Every message of the work queues, by name, and how often it was there.
async fn all_hints(broker: &Broker) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for queue in WORK {
        for message in virtual_host::all_in(broker, queue).await {
            *found.entry(message.message_id.unwrap()).or_default() += 1;
        }
    }
    found
}

/// Whether a queue has nothing that is not with a consumer already. What there is goes back.
async fn nothing_waits_in(broker: &Broker, queue: Queue) -> bool {
    let (mut consumer, shutdown) = virtual_host::consumer(broker, queue).await;
    let found = tokio::time::timeout(Duration::from_millis(500), consumer.next(1)).await;
    let nothing = !matches!(found, Ok(Some(_)));
    drop(found);
    stop(shutdown).await;
    nothing
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn relays_that_are_killed_again_and_again_lose_no_hint(pool: PgPool) {
    const ROWS: usize = 5_000;
    let house = House::open(pool).await;
    let (broker, _lock) = quiet_broker().await;
    house
        .execute(
            "INSERT INTO outbox (topic, body, created_at)
             SELECT 1 + n % 2, '{\"v\":1,\"mail\":' || n || '}', now() FROM generate_series(1, 5000) n",
        )
        .await;
    let waiting = async || {
        house
            .database
            .outbox()
            .backlog(house.now())
            .await
            .unwrap()
            .rows
    };
    // Each is killed once it got somewhere, in the middle of whatever it does next.
    let mut killed = 0;
    while waiting().await > 0 {
        let before = waiting().await;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = house.pool.connect_options().as_ref().clone();
        let (broker, clock) = (broker.clone(), house.clock.clone());
        runtime.spawn(async move {
            let pool = PgPoolOptions::new().connect_lazy_with(options);
            let (publisher, shutdown) = publisher(&broker).await;
            let relay = Relay {
                outbox: Database::from_pool(pool).outbox(),
                publisher,
                clock,
            };
            relay.run(&shutdown).await;
        });
        while before - waiting().await.min(before) < 500 && waiting().await > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        runtime.shutdown_background();
        killed += 1;
        // what it held is free again
        house.clock.advance(Duration::from_secs(31));
    }
    // Two at once do the rest.
    let (publisher, shutdown) = publisher(&broker).await;
    let relay = || Relay {
        outbox: house.database.outbox(),
        publisher: publisher.clone(),
        clock: house.clock.clone(),
    };
    let (one, two) = (relay(), relay());
    let empty = async |relay: &Relay| while relay.step().await.unwrap() != Step::Idle {};
    tokio::join!(empty(&one), empty(&two));
    stop(shutdown).await;
    assert_eq!(waiting().await, 0);
    let mut hints = all_hints(&broker).await;
    // A broker may give back late what an earlier test of this virtual host held.
    let ours: BTreeSet<String> = (1..=ROWS).map(|id| format!("outbox:{id}")).collect();
    hints.retain(|name, _| ours.contains(name));
    assert_eq!(hints.len(), ROWS, "each came");
    // What one held when it was killed comes again, and nothing else.
    let published: usize = hints.values().sum();
    let most = ROWS + killed * usize::from(LIMIT);
    assert!(
        published <= most,
        "{published} for {ROWS} hints, {killed} killed"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_claim_of_a_dead_relay_is_nobodys_until_it_runs_out(pool: PgPool) {
    let house = House::open(pool).await;
    let (broker, _lock) = quiet_broker().await;
    house
        .execute(
            "INSERT INTO outbox (topic, body, created_at)
             SELECT 2, '{\"v\":1,\"mail\":' || n || '}', now() FROM generate_series(1, 30) n",
        )
        .await;
    let (publisher, shutdown) = publisher(&broker).await;
    let outbox = house.database.outbox();
    let lease = Duration::from_secs(30);
    assert_eq!(
        outbox.claim(20, house.now(), lease).await.unwrap().len(),
        20
    );
    let relay = Relay {
        outbox,
        publisher,
        clock: house.clock.clone(),
    };
    assert_eq!(relay.step().await.unwrap(), Step::Carried);
    assert_eq!(relay.step().await.unwrap(), Step::Idle);
    house.clock.advance(lease);
    assert_eq!(relay.step().await.unwrap(), Step::Carried);
    assert_eq!(relay.step().await.unwrap(), Step::Idle);
    // Without a broker a hint is given back at once.
    house
        .execute("INSERT INTO outbox (topic, body, created_at) VALUES (1, '{}', now())")
        .await;
    stop(shutdown).await;
    for _ in 0..2 {
        assert_eq!(relay.step().await.unwrap(), Step::NotTaken);
    }
    assert_eq!(all_hints(&broker).await.len(), 30);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_hint_is_acknowledged_once_somebody_has_looked(pool: PgPool) {
    drop(pool);
    let (broker, _lock) = quiet_broker().await;
    let (publisher, publishing) = publisher(&broker).await;
    let hint = || message("hint".into(), r#"{"v":1,"issue":1,"chunk":0}"#);
    publisher.publish(Queue::Bulk, vec![hint()]).await.unwrap();
    for looks in [false, true] {
        let (consumer, connection) = virtual_host::consumer(&broker, Queue::Bulk).await;
        let (lane, feed) = hints(consumer, publisher.clone(), 3);
        let task = Shutdown::new();
        let before = tokio::time::Instant::now();
        task.spawn("hints", feed.run(task.clone()));
        lane.wait(&task).await;
        // A look that began before the hint came does not count.
        lane.looked(before);
        if looks {
            lane.looked(tokio::time::Instant::now());
            connection.begin();
            stop(task).await;
        } else {
            // the process dies
            stop(connection).await;
            stop(task).await;
        }
        let left = virtual_host::take_out(&broker, Queue::Bulk).await;
        assert_eq!(left, usize::from(!looks));
        publisher.publish(Queue::Bulk, vec![hint()]).await.unwrap();
    }
    stop(publishing).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn hints_five_times_and_shuffled_send_nobody_two(pool: PgPool) {
    let house = House::open(pool).await;
    let mut readers = house.readers(900).await;
    let (broker, _lock) = quiet_broker().await;
    let (publisher, publishing) = publisher(&broker).await;
    let mut workers = Vec::new();
    for folder in ["one", "two", "three"] {
        workers.push(start_with(&house, &broker, folder).await);
    }
    let issue = house.approve(InDoubtPolicy::Skip).await;
    for round in 0..5 {
        let hints = (0..10).map(|nth| {
            let chunk = (nth * 7 + round * 3) % 10;
            let body = format!(r#"{{"v":1,"issue":{},"chunk":{chunk}}}"#, issue.0);
            message(format!("{round}-{nth}"), body)
        });
        publisher
            .publish(Queue::Bulk, hints.collect())
            .await
            .unwrap();
    }
    let done = house.finished(issue).await;
    for worker in workers {
        stop(worker).await;
    }
    stop(publishing).await;
    assert_eq!((done.counts.audience, done.counts.accepted), (900, 900));
    readers.sort();
    assert_eq!(house.recipients(), readers);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn broken_hints_stop_nobody(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(20).await;
    let (broker, _lock) = quiet_broker().await;
    let (publisher, publishing) = publisher(&broker).await;
    // Hints for chunks are taken a few at a time, so fewer of them.
    for (queue, number) in [(Queue::Bulk, 200), (Queue::Confirm, 800)] {
        let poison = (0..number).map(|nth| {
            let body: Vec<u8> = match nth % 6 {
                0 => Vec::new(),
                1 => b"not json".to_vec(),
                2 => br#"{"v":99,"more":true}"#.to_vec(),
                3 => br#"{"v":1,"issue":4000000000,"chunk":9}"#.to_vec(),
                4 => vec![0xff; 30],
                _ => vec![b'x'; 20_000],
            };
            message(format!("poison-{nth}"), body)
        });
        publisher.publish(queue, poison.collect()).await.unwrap();
    }
    let worker = start_with(&house, &broker, "state").await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    house.finished(issue).await;
    house
        .until("the confirmation came", async || {
            house
                .recipients()
                .contains(&"new@residents.example".to_owned())
        })
        .await;
    // What is dead went to the dead letters, what is newer to the delay queue, and what named nothing
    // was looked for.
    for queue in WORK {
        house
            .until("the poison is gone", async || {
                nothing_waits_in(&broker, queue).await
            })
            .await;
    }
    stop(worker).await;
    stop(publishing).await;
    for queue in WORK {
        assert_eq!(virtual_host::take_out(&broker, queue).await, 0);
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn while_the_broker_is_away_the_inbox_and_the_tables_are_enough(pool: PgPool) {
    let house = House::open(pool).await;
    let nobody = "amqp://guest:guest@127.0.0.1:1".to_owned();
    let settings = BrokerSettings::parse(&[nobody], None, None, true).unwrap();
    let broker = Broker::new(settings, "test", Arc::new(CountingEntropy::default()));
    let spools = house.database.spools();
    let spool = SpoolId::new([0x5b; 16]);
    let now = house.now();
    spools.register(spool, "intake", false, now).await.unwrap();
    let deliver = Shutdown::new();
    let checks = crate::run(
        &house.database,
        Some(&broker),
        house.keys(),
        house.caught(),
        house.settings("state"),
        house.clock.clone(),
        house.entropy.clone(),
        &deliver,
    );
    assert_eq!(checks.unwrap().len(), 3);
    let box_id = house.sign_up("new@residents.example", &house.news).await;
    house
        .until("the confirmation came", async || {
            house.recipients() == ["new@residents.example"]
        })
        .await;
    house.confirm(box_id).await;
    house
        .until("the sign-up is confirmed", async || {
            spools.beat(spool, None, now).await.unwrap() == Some(2)
        })
        .await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    let done = house.finished(issue).await;
    assert_eq!(done.counts.accepted, 1);
    stop(deliver).await;
}

//! What happens when the network or the broker fails in the middle of things.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::tests::proxy::{Proxy, Weather};
use crate::tests::yard::{Yard, messages, newer, reaches, receive, up};
use crate::{Link, PublishError, Queue, Settled};

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_made_anew() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let mut consumer = yard.consumer_of(&broker, Queue::Requests);
    let (mut sending, mut receiving) = (publisher.link(), consumer.link());
    let generations = (up(&mut sending).await, up(&mut receiving).await);
    let sent = publisher
        .publish(Queue::Requests, messages("before", 2))
        .await;
    assert_eq!(sent, Ok(()));
    let held = consumer.next(1).await.unwrap();

    proxy.cut();
    newer(&mut sending, generations.0).await;
    newer(&mut receiving, generations.1).await;
    assert_eq!(held.ack().await, Settled::Lost);
    let sent = publisher
        .publish(Queue::Requests, messages("after", 1))
        .await;
    assert_eq!(sent, Ok(()));
    let bodies = receive(&mut consumer, 3).await;
    assert_eq!(bodies, ["before0", "before1", "after0"]);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_broker_closes_is_made_anew() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let mut consumer = yard.consumer_of(&broker, Queue::Requests);
    let (mut sending, mut receiving) = (publisher.link(), consumer.link());
    let generations = (up(&mut sending).await, up(&mut receiving).await);

    proxy.say_close();
    newer(&mut sending, generations.0).await;
    newer(&mut receiving, generations.1).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 2)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(receive(&mut consumer, 2).await, ["m0", "m1"]);
    yard.stopped().await;
}

/// F13: the network swallows everything and nobody is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_is_noticed_by_publisher_and_consumer() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let mut consumer = yard.consumer_of(&broker, Queue::Requests);
    let (mut sending, mut receiving) = (publisher.link(), consumer.link());
    let generations = (up(&mut sending).await, up(&mut receiving).await);

    proxy.turns(Weather::Silent);
    let sent = publisher.publish(Queue::Requests, messages("m", 2)).await;
    assert_eq!(sent, Err(PublishError::Unconfirmed));
    reaches(&mut sending, |link| !link.is_up()).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 2)).await;
    assert_eq!(sent, Err(PublishError::Down), "it is known to be down");
    reaches(&mut receiving, |link| !link.is_up()).await;

    proxy.turns(Weather::Fair);
    newer(&mut sending, generations.0).await;
    newer(&mut receiving, generations.1).await;
    let sent = publisher.publish(Queue::Requests, messages("n", 2)).await;
    assert_eq!(sent, Ok(()));
    // Those that were swallowed may arrive late, which is harmless.
    let mut bodies = receive(&mut consumer, 2).await;
    while !bodies.contains(&"n1".to_owned()) {
        bodies.extend(receive(&mut consumer, 1).await);
    }
    yard.stopped().await;
}

/// F14: the broker is out of memory or disk, says so, and reads no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_publisher_gives_up_in_time_and_goes_on_when_there_is_room() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let mut link = publisher.link();
    let generation = up(&mut link).await;

    proxy.turns(Weather::BrokerOnly);
    let (sent, ()) = tokio::join!(
        publisher.publish(Queue::Requests, messages("m", 2)),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.say_blocked();
        }
    );
    assert_eq!(sent, Err(PublishError::Unconfirmed));
    reaches(&mut link, |link| matches!(link, Link::Down { .. })).await;
    // It waits for room on the connection it has.
    let connections = proxy.accepted();
    let sent = publisher.publish(Queue::Requests, messages("m", 2)).await;
    assert_eq!(sent, Err(PublishError::Down));
    assert_eq!(proxy.accepted(), connections);

    proxy.turns(Weather::Fair);
    proxy.say_unblocked();
    newer(&mut link, generation).await;
    let sent = publisher.publish(Queue::Requests, messages("n", 2)).await;
    assert_eq!(sent, Ok(()));
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_is_blocked_while_idle_is_down_at_once_and_can_be_stopped() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let mut link = publisher.link();
    up(&mut link).await;
    proxy.say_blocked();
    // Before heartbeats end the connection, which they would after twenty seconds: lapin sends none now.
    let down = reaches(&mut link, |link| matches!(link, Link::Down { .. }));
    tokio::time::timeout(Duration::from_secs(10), down)
        .await
        .expect("it is down at once");
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_are_not_published() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let mut link = publisher.link();
    let generation = up(&mut link).await;
    proxy.refuse_all(true);
    let sent = publisher.publish(Queue::Stops, messages("m", 20)).await;
    assert_eq!(sent, Err(PublishError::Unconfirmed));
    proxy.refuse_all(false);
    let sent = publisher.publish(Queue::Stops, messages("m", 20)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(up(&mut link).await, generation);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_passed_over() {
    let mut yard = Yard::open().await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let broker = yard.broker_at(&[
        yard.address_through(&closed),
        yard.address_through(yard.listens_on()),
    ]);
    let publisher = yard.publisher_of(&broker);
    up(&mut publisher.link()).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 1)).await;
    assert_eq!(sent, Ok(()));
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_accepts_and_says_nothing_is_passed_over() {
    let mut yard = Yard::open().await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[
        yard.address_through(&mute.local_addr().unwrap().to_string()),
        yard.address_through(&proxy.address),
    ]);
    let publisher = yard.publisher_of(&broker);
    let mut link = publisher.link();
    let generation = up(&mut link).await;

    // The address that worked is tried first from now on: the mute one would take ten seconds.
    let (mute_again, lost) = (mute.accept(), Instant::now());
    let _first = mute_again.await.unwrap();
    proxy.cut();
    newer(&mut link, generation).await;
    let second = tokio::time::timeout(Duration::from_millis(10), mute.accept()).await;
    assert!(
        second.is_err(),
        "it was asked again {:?} later",
        lost.elapsed()
    );
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_no_connection() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let address = yard.address_through(&proxy.address);
    let address = address.replace("guest:guest@", "guest:wrong@");
    let broker = yard.broker_at(&[address]);
    let publisher = yard.publisher_of(&broker);
    crate::tests::yard::eventually("it is tried again", async || proxy.accepted() >= 2).await;
    assert!(matches!(*publisher.link().borrow(), Link::Down { .. }));
    let sent = publisher.publish(Queue::Stops, messages("m", 1)).await;
    assert_eq!(sent, Err(PublishError::Down));
    yard.stopped().await;
}

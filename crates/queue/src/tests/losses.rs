//! What happens when somebody deletes or changes what is on the broker.

use std::time::Duration;

use crate::tests::proxy::{Proxy, Weather};
use crate::tests::yard::{Yard, messages, newer, reaches, receive, up};
use crate::{Link, Queue};

/// F15, first half.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_deleted_under_its_consumer_is_made_anew() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Stops).await;
    let mut link = consumer.link();
    let generation = up(&mut link).await;
    yard.delete(Queue::Stops.name()).await;
    newer(&mut link, generation).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 2)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(receive(&mut consumer, 2).await, ["m0", "m1"]);
    yard.stopped().await;
}

/// F15, second half.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_declared_otherwise_is_named_until_it_is_removed() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let mut stops = yard.consumer_of(&broker, Queue::Stops);
    let requests = yard.consumer_of(&broker, Queue::Requests);
    let links = [publisher.link(), stops.link(), requests.link()];
    let mut generations = Vec::new();
    for mut link in links.clone() {
        generations.push(up(&mut link).await);
    }

    // Nobody of ours is connected while it is changed.
    proxy.turns(Weather::Down);
    for mut link in links.clone() {
        reaches(&mut link, |link| !link.is_up()).await;
    }
    yard.delete(Queue::Stops.name()).await;
    yard.declare_otherwise(Queue::Stops.name()).await;
    proxy.turns(Weather::Fair);

    let [mut sending, mut stopping, mut requesting] = links;
    let named =
        |link| matches!(link, Link::Misdeclared { queue, .. } if queue == "letterbox.stops.v1");
    reaches(&mut sending, named).await;
    reaches(&mut stopping, named).await;
    // It is no business of another queue's consumer.
    newer(&mut requesting, generations[2]).await;

    // It is tried again now and then, not in a loop.
    let connections = proxy.accepted();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let attempts = proxy.accepted() - connections;
    assert!(attempts <= 20, "{attempts} connections in three seconds");

    yard.delete(Queue::Stops.name()).await;
    newer(&mut sending, generations[0]).await;
    newer(&mut stopping, generations[1]).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 2)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(receive(&mut stops, 2).await, ["m0", "m1"]);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_still_there_when_everybody_comes_back() {
    let mut yard = Yard::open().await;
    let (publisher, consumer) = yard.pair(Queue::Requests).await;
    drop(consumer);
    let sent = publisher.publish(Queue::Requests, messages("m", 5)).await;
    assert_eq!(sent, Ok(()));
    yard.stopped().await;
    yard.stop = tokio_util::sync::CancellationToken::new();
    let (_publisher, mut consumer) = yard.pair(Queue::Requests).await;
    assert_eq!(receive(&mut consumer, 5).await.len(), 5);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_says_good_bye() {
    let mut yard = Yard::open().await;
    let proxy = Proxy::to(yard.listens_on()).await;
    let broker = yard.broker_at(&[yard.address_through(&proxy.address)]);
    let publisher = yard.publisher_of(&broker);
    let consumer = yard.consumer_of(&broker, Queue::Stops);
    up(&mut publisher.link()).await;
    up(&mut consumer.link()).await;
    yard.stopped().await;
    assert_eq!(proxy.farewells(), 2);
}

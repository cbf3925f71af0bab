//! How queues are declared, by declaring them again by hand.

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};

use crate::tests::yard::{Yard, messages, newer, up};
use crate::{Link, PublishError, Queue};

async fn is_declared_with(yard: &Yard, queue: &'static str, arguments: &[(&str, AMQPValue)]) {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let channel = yard.channel().await;
    let same = channel.queue_declare(queue.into(), options, table).await;
    assert!(same.is_ok(), "{queue}: {same:?}");
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_what_the_plan_says() {
    let mut yard = Yard::open().await;
    let publisher = yard.publisher_of(&yard.broker());
    up(&mut publisher.link()).await;
    let number = AMQPValue::LongLongInt;
    for queue in [Queue::Stops, Queue::Requests] {
        let arguments = [
            ("x-queue-type", text("quorum")),
            ("x-dead-letter-exchange", text("letterbox.dead")),
            ("x-overflow", text("reject-publish")),
            ("x-delivery-limit", number(1_000_000_000)),
        ];
        is_declared_with(&yard, queue.name(), &arguments).await;
    }
    for queue in [Queue::Bulk, Queue::Confirm] {
        let arguments = [
            ("x-queue-type", text("quorum")),
            ("x-dead-letter-exchange", text("letterbox.dead")),
            ("x-overflow", text("reject-publish")),
            ("x-delivery-limit", number(50)),
            ("x-max-length", number(200_000)),
        ];
        is_declared_with(&yard, queue.name(), &arguments).await;
    }
    let dead = [
        ("x-queue-type", text("quorum")),
        ("x-max-length", number(100_000)),
        ("x-overflow", text("drop-head")),
    ];
    is_declared_with(&yard, "letterbox.dead.v1", &dead).await;
    let delay = [
        ("x-queue-type", text("quorum")),
        ("x-message-ttl", number(30_000)),
        ("x-dead-letter-exchange", text("letterbox.work")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ];
    is_declared_with(&yard, "letterbox.delay.v1", &delay).await;
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_only_publish_waits_for_one_who_may_declare() {
    let mut yard = Yard::open().await;
    let as_web = yard.address_through(yard.listens_on());
    let as_web = as_web.replace("guest:guest@", "test-web:test-web@");
    let web = yard.broker_at(&[as_web]);
    let publisher = yard.publisher_of(&web);
    let mut link = publisher.link();
    // It is refused, it looks, and finds nothing.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(matches!(*link.borrow(), Link::Down { .. }));
    let sent = publisher.publish(Queue::Stops, messages("m", 1)).await;
    assert_eq!(sent, Err(PublishError::Down));

    let deliver = yard.publisher_of(&yard.broker());
    up(&mut deliver.link()).await;
    let generation = up(&mut link).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 3)).await;
    assert_eq!(sent, Ok(()));

    // A queue that goes away is waited for again.
    yard.delete(Queue::Stops.name()).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 3)).await;
    assert_eq!(sent, Err(PublishError::Unconfirmed));
    let again = yard.consumer_of(&yard.broker(), Queue::Stops);
    up(&mut again.link()).await;
    newer(&mut link, generation).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 3)).await;
    assert_eq!(sent, Ok(()));
    yard.stopped().await;
}

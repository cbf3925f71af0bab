//! How queues are declared, by declaring them again by hand.

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};

use crate::Queue;
use crate::tests::yard::{Yard, up};

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

//! What a publisher promises while the broker is well.

use crate::tests::yard::{Yard, eventually, messages, newer, receive, said, up};
use crate::{Message, PublishError, Queue};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_is_in_the_queue_in_its_order() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 2_500));
    assert_eq!(sent.await, Ok(()));
    assert_eq!(yard.waiting(Queue::Stops.name()).await, 0);
    let expected: Vec<String> = (0..2_500).map(|nth| format!("m{nth}")).collect();
    assert_eq!(receive(&mut consumer, 2_500).await, expected);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_the_same_time_are_each_confirmed() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Stops).await;
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..20 {
        let publisher = publisher.clone();
        calls.spawn(async move {
            let sent = messages(&format!("{caller}-"), 50);
            publisher.publish(Queue::Stops, sent).await
        });
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap(), Ok(()));
    }
    let mut bodies = receive(&mut consumer, 1_000).await;
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 1_000);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_larger_than_a_frame_arrives_whole() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let body: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let message = Message {
        message_id: "large".to_owned(),
        body: body.clone(),
    };
    let sent = publisher.publish(Queue::Requests, vec![message]);
    assert_eq!(sent.await, Ok(()));
    let batch = consumer.next(10).await.unwrap();
    assert!(batch.messages()[0].body == body);
    assert_eq!(batch.messages()[0].message_id.as_deref(), Some("large"));
    batch.ack().await;
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_messages_come_to_their_queue_after_the_delay() {
    let mut yard = Yard::open().await;
    yard.limits.delay = 1_000;
    let (publisher, mut consumer) = yard.pair(Queue::Stops).await;
    let sent = publisher.publish_later(Queue::Stops, messages("later", 3));
    assert_eq!(sent.await, Ok(()));
    assert!(consumer.try_next(10).is_none());
    assert_eq!(
        receive(&mut consumer, 3).await,
        ["later0", "later1", "later2"]
    );
    assert_eq!(yard.waiting(Queue::Requests.name()).await, 0);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_publish_is_published() {
    let mut yard = Yard::open().await;
    let (publisher, _consumer) = yard.pair(Queue::Stops).await;
    assert_eq!(publisher.publish(Queue::Stops, Vec::new()).await, Ok(()));
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_the_connection_goes_on() {
    let mut yard = Yard::open().await;
    yard.limits.hints = 3;
    let broker = yard.broker();
    let publisher = yard.publisher_of(&broker);
    let generation = up(&mut publisher.link()).await;
    // A quorum queue notices a little later that it is full.
    eventually("it is full", async || {
        let sent = publisher.publish(Queue::Bulk, messages("hint", 50)).await;
        sent == Err(PublishError::Unconfirmed)
    })
    .await;
    // Another queue is not full, and the channel is the same.
    let sent = publisher.publish(Queue::Stops, messages("stop", 50)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(up(&mut publisher.link()).await, generation);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_takes_nothing_from_a_call_beside_it() {
    let mut yard = Yard::open().await;
    yard.limits.hints = 3;
    let broker = yard.broker();
    let publisher = yard.publisher_of(&broker);
    up(&mut publisher.link()).await;
    let full = async {
        let mut sent = Ok(());
        while sent.is_ok() {
            sent = publisher.publish(Queue::Bulk, messages("hint", 500)).await;
        }
        sent
    };
    let fine = publisher.publish(Queue::Stops, messages("stop", 500));
    let (full, fine) = tokio::join!(full, fine);
    assert_eq!(full, Err(PublishError::Unconfirmed));
    assert_eq!(fine, Ok(()));
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_queue_is_not_published_and_the_queue_is_made_anew() {
    let mut yard = Yard::open().await;
    let broker = yard.broker();
    let publisher = yard.publisher_of(&broker);
    let mut link = publisher.link();
    let generation = up(&mut link).await;
    yard.delete(Queue::Confirm.name()).await;
    let sent = publisher.publish(Queue::Confirm, messages("lost", 3)).await;
    assert_eq!(sent, Err(PublishError::Unconfirmed));

    newer(&mut link, generation).await;
    let sent = publisher.publish(Queue::Confirm, messages("again", 3));
    assert_eq!(sent.await, Ok(()));
    assert_eq!(yard.waiting(Queue::Confirm.name()).await, 3);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_publisher_publishes_nothing() {
    let mut yard = Yard::open().await;
    let (publisher, _consumer) = yard.pair(Queue::Stops).await;
    yard.stopped().await;
    let sent = publisher.publish(Queue::Stops, messages("late", 1)).await;
    assert_eq!(sent, Err(PublishError::Down));
    assert!(!publisher.link().borrow().is_up());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_settled_waits_for_the_next_consumer() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 5)).await;
    assert_eq!(sent, Ok(()));
    let batch = consumer.next(3).await.unwrap();
    assert_eq!(said(&batch).len(), batch.messages().len());
    drop(batch);
    yard.stopped().await;
    eventually("all wait again", async || {
        yard.waiting(Queue::Requests.name()).await == 5
    })
    .await;
}

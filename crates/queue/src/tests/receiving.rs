//! What a consumer promises while the broker is well.

use std::time::Duration;

use crate::tests::yard::{Yard, eventually, messages, newer, receive, said, up};
use crate::{Queue, Settled};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_gone() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 10)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(receive(&mut consumer, 10).await.len(), 10);
    yard.stopped().await;
    assert_eq!(yard.waiting(Queue::Requests.name()).await, 0);
    assert_eq!(yard.waiting_dead().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_dead_of_a_batch_go_to_the_dead_letter_queue() {
    for dead in [vec![0], vec![1, 3], vec![4], vec![0, 1, 2, 3, 4]] {
        let mut yard = Yard::open().await;
        let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
        let sent = publisher.publish(Queue::Requests, messages("m", 5)).await;
        assert_eq!(sent, Ok(()));
        eventually("five are there", async || {
            consumer_has(&yard, Queue::Requests).await
        })
        .await;
        let batch = whole_batch(&mut consumer, 5).await;
        assert_eq!(batch.settle(&dead).await, Settled::Yes);
        let number = u32::try_from(dead.len()).unwrap();
        eventually("the dead are in their queue", async || {
            yard.waiting_dead().await == number
        })
        .await;
        // The channel is still good, so no ack named a delivery that was closed already.
        let sent = publisher.publish(Queue::Requests, messages("n", 1)).await;
        assert_eq!(sent, Ok(()));
        assert_eq!(receive(&mut consumer, 1).await, ["n0"]);
        yard.stopped().await;
        assert_eq!(yard.waiting(Queue::Requests.name()).await, 0, "{dead:?}");
    }
}

/// Nothing waits in the queue, since all was delivered.
async fn consumer_has(yard: &Yard, queue: Queue) -> bool {
    yard.waiting(queue.name()).await == 0
}

async fn whole_batch(consumer: &mut crate::Consumer, number: usize) -> crate::Batch {
    // Deliveries arrive one by one: give what came first back by waiting for the rest.
    tokio::time::timeout(crate::tests::yard::PATIENCE, async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Some(batch) = consumer.try_next(number) {
                assert_eq!(batch.messages().len(), number);
                return batch;
            }
        }
    })
    .await
    .expect("all are delivered")
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_may_be_settled_in_any_order() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 40)).await;
    assert_eq!(sent, Ok(()));
    let mut held = Vec::new();
    let mut bodies = Vec::new();
    while bodies.len() < 40 {
        let batch = consumer.next(10).await.unwrap();
        bodies.extend(said(&batch));
        held.push(batch);
    }
    assert_eq!(bodies, (0..40).map(|n| format!("m{n}")).collect::<Vec<_>>());
    // The last first: it must not take the others with it.
    let last = held.pop().unwrap();
    let kept: usize = held.iter().map(|batch| batch.messages().len()).sum();
    assert_eq!(last.ack().await, Settled::Yes);
    assert!(kept > 0, "there are several batches");
    held.clear();
    yard.stopped().await;
    let kept = u32::try_from(kept).unwrap();
    eventually("the others wait again", async || {
        yard.waiting(Queue::Requests.name()).await == kept
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_settled_out_of_order_are_all_settled() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 60)).await;
    assert_eq!(sent, Ok(()));
    let mut held = Vec::new();
    let mut number = 0;
    while number < 60 {
        let batch = consumer.next(7).await.unwrap();
        number += batch.messages().len();
        held.push(batch);
    }
    // Every second one, then the rest, then new ones by one ack for all.
    let (even, odd): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
    for (_, batch) in odd.into_iter().chain(even) {
        assert_eq!(batch.ack().await, Settled::Yes);
    }
    let sent = publisher.publish(Queue::Requests, messages("n", 5)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(receive(&mut consumer, 5).await.len(), 5);
    yard.stopped().await;
    assert_eq!(yard.waiting(Queue::Requests.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_batch_comes_again() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Stops).await;
    let mut link = consumer.link();
    let generation = up(&mut link).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 3)).await;
    assert_eq!(sent, Ok(()));
    drop(consumer.next(1).await.unwrap());
    newer(&mut link, generation).await;
    assert_eq!(receive(&mut consumer, 3).await, ["m0", "m1", "m2"]);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefetch_bounds_what_is_held() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 150)).await;
    assert_eq!(sent, Ok(()));
    eventually("a hundred are delivered", async || {
        yard.waiting(Queue::Requests.name()).await == 50
    })
    .await;
    assert_eq!(receive(&mut consumer, 150).await.len(), 150);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_may_be_given_up_at_any_moment() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sending = async {
        for nth in 0..100 {
            let one = messages(&format!("{nth}-"), 1);
            assert_eq!(publisher.publish(Queue::Requests, one).await, Ok(()));
        }
    };
    let receiving = async {
        let mut bodies = Vec::new();
        while bodies.len() < 100 {
            let short = Duration::from_micros(300);
            if let Ok(batch) = tokio::time::timeout(short, consumer.next(3)).await {
                let batch = batch.unwrap();
                bodies.extend(said(&batch));
                batch.ack().await;
            }
        }
        bodies
    };
    let all = async { tokio::join!(sending, receiving).1 };
    let bodies = tokio::time::timeout(crate::tests::yard::PATIENCE, all)
        .await
        .unwrap();
    assert_eq!(
        bodies,
        (0..100).map(|n| format!("{n}-0")).collect::<Vec<_>>()
    );
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_consumer_says_so_and_lets_the_last_batch_be_settled() {
    let mut yard = Yard::open().await;
    let (publisher, mut consumer) = yard.pair(Queue::Requests).await;
    let sent = publisher.publish(Queue::Requests, messages("m", 8)).await;
    assert_eq!(sent, Ok(()));
    let batch = consumer.next(3).await.unwrap();
    let held = u32::try_from(batch.messages().len()).unwrap();
    yard.stop.cancel();
    assert!(consumer.next(3).await.is_none());
    assert_eq!(batch.ack().await, Settled::Yes);
    yard.stopped().await;
    eventually("the rest waits for others", async || {
        yard.waiting(Queue::Requests.name()).await == 8 - held
    })
    .await;
    assert!(consumer.next(3).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_never_connected_stops_too() {
    let mut yard = Yard::open().await;
    let nowhere = yard.broker_at(&[yard.address_through("127.0.0.1:9")]);
    let mut consumer = yard.consumer_of(&nowhere, Queue::Stops);
    let stop = yard.stop.clone();
    let (received, ()) = tokio::join!(consumer.next(1), async { stop.cancel() });
    assert!(received.is_none());
    yard.stopped().await;
}

//! Requests from the broker: each takes effect once, stops first, and what cannot be read harms no
//! neighbour.

use queue::{Message, Queue};
use sqlx::PgPool;
use store::{Barrier, InboxRow};

use crate::post_office::{PostOffice, until, until_applied};
use crate::world::{SPOOL, World, at};

async fn know_spool(world: &World) {
    let spools = world.database.spools();
    spools
        .register(SPOOL, "unsubscribe", true, world.now())
        .await
        .unwrap();
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_the_queues_bring_is_applied_once_and_acknowledged(pool: PgPool) {
    let mut world = World::new(pool).await;
    know_spool(&world).await;
    let office = PostOffice::open().await;
    let clerk = office.employ(&world).await;
    let mut requests = Vec::new();
    for person in 0..600 {
        let sign_up = world.sign_up(&format!("p{person}@example.org"), &[0, 1], at(0));
        let confirm = world.confirm(sign_up.event_id, at(1));
        requests.extend([confirm, sign_up]);
    }
    let rows = world.rows(&requests);
    // Twice, as after a lost confirm; and some by the inbox too.
    office.ship(&rows).await;
    office.ship(&rows).await;
    world.ship_rows(&rows[..100]).await;
    until_applied(&world, 1_200).await;
    let active = "SELECT count(*) FROM subscription WHERE state = 1";
    assert_eq!(world.number(active).await, 1_200);

    let mut leaves = Vec::new();
    for person in 0..600 {
        let address = format!("p{person}@example.org");
        let id = world.subscription_id(&address, 0).await;
        leaves.push(world.leave(id, at(2)));
    }
    let rows = world.rows(&leaves);
    office.ship(&rows).await;
    office.ship(&rows).await;
    until_applied(&world, 1_800).await;
    assert_eq!(world.number(active).await, 600);
    assert_eq!(world.ledger().await.len(), 600);
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 0);
    until("the inbox is empty", async || {
        world.number("SELECT count(*) FROM request_inbox").await == 0
    })
    .await;

    // One more for each queue: once these are applied, the second copies before them were taken.
    let last = world.sign_up("last@example.org", &[0], at(3));
    let id = world.subscription_id("p0@example.org", 1).await;
    let last = [last, world.leave(id, at(3))];
    let rows = world.rows(&last);
    office.ship(&rows).await;
    until_applied(&world, 1_802).await;
    clerk.stop().await;
    for queue in [Queue::Stops, Queue::Requests] {
        assert_eq!(office.left_in(queue).await, 0, "{queue:?} was acknowledged");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stop_does_not_wait_for_a_flood_of_sign_ups(pool: PgPool) {
    let mut world = World::new(pool).await;
    know_spool(&world).await;
    world.subscriber("ada@example.org", &[0]).await;
    let id = world.subscription_id("ada@example.org", 0).await;
    let office = PostOffice::open().await;
    // Both ways are flooded before anybody works, and the stops come last.
    let flood: Vec<_> = (0..6_000)
        .map(|person| world.sign_up(&format!("flood{person}@example.org"), &[0], at(1)))
        .collect();
    let rows = world.rows(&flood);
    office.ship(&rows[..3_000]).await;
    world.ship_rows(&rows[3_000..]).await;
    let leave = world.leave(id, at(2));
    let undo = world.undo(leave.event_id, at(3));
    let rows = world.rows(&[leave, undo]);
    office.ship(&rows[..1]).await;
    world.ship_rows(&rows[1..]).await;
    let clerk = office.employ(&world).await;
    until("the stops are applied", async || {
        world.number("SELECT count(*) FROM ledger_entry").await == 2
    })
    .await;
    let waiting = 6_000 - world.number("SELECT count(*) FROM sign_up").await;
    assert!(waiting > 0, "the stops came after all {waiting} sign-ups");
    until_applied(&world, 6_004).await;
    clerk.stop().await;
}

/// What nobody can read, with what a queue says of it.
fn poison(world: &mut World, nth: usize) -> Message {
    let good = world.sign_up(&format!("poison{nth}@example.org"), &[0], at(0));
    let row = world.rows(std::slice::from_ref(&good)).remove(0);
    let name = format!(
        "{}:{}",
        data_encoding::HEXLOWER.encode(SPOOL.as_bytes()),
        row.seq
    );
    let body = match nth % 8 {
        0 => Vec::new(),
        1 => vec![0xff; 40],
        // an envelope cut short, and one with a byte too many
        2 => row.envelope[..row.envelope.len() - 1].to_vec(),
        3 => [&[0][..], &row.envelope].concat(),
        4 => b"{\"v\":1}".to_vec(),
        5 => vec![0x61; 70_000],
        // a version that never was
        6 => [&[0xa1, 0x61, b'v', 0x00][..], SPOOL.as_bytes()].concat(),
        // its box does not open
        _ => {
            let mut moved = good;
            moved.event_id = world.event_id();
            crate::world::row(row.seq, &moved).envelope
        }
    };
    Message {
        message_id: if nth.is_multiple_of(2) {
            name
        } else {
            format!("nameless-{nth}")
        },
        body,
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn poison_is_set_aside_and_its_neighbours_are_applied(pool: PgPool) {
    let mut world = World::new(pool).await;
    know_spool(&world).await;
    let office = PostOffice::open().await;
    let clerk = office.employ(&world).await;
    let mut good = 0;
    for part in 0..10 {
        let mut messages = Vec::new();
        for nth in 0..100 {
            let sign_up = world.sign_up(&format!("good{part}.{nth}@example.org"), &[0], at(0));
            let row = world.rows(&[sign_up]).remove(0);
            messages.push(Message {
                message_id: format!("good-{}", row.seq),
                body: row.envelope,
            });
            messages.push(poison(&mut world, part * 100 + nth));
            good += 1;
        }
        office.put(Queue::Requests, messages).await;
    }
    until("the neighbours are applied", async || {
        world.number("SELECT count(*) FROM sign_up").await == good
    })
    .await;
    // Of the eight sorts four have a name and two differ by their bytes: 125 of each are set aside.
    // The two that are all alike and nameless are one each.
    let dead = "SELECT count(*) FROM dead_request";
    until("all poison is set aside", async || {
        world.number(dead).await == 6 * 125 + 2
    })
    .await;
    let barrier = || async {
        let deliveries = world.database.deliveries();
        deliveries.barrier(world.now()).await.unwrap()
    };
    assert_ne!(barrier().await, Barrier::Closed("dead_letter"), "no stop");
    let longest = "SELECT max(octet_length(envelope))::bigint FROM dead_request";
    assert_eq!(world.number(longest).await, 65_536, "its beginning is kept");

    // A stop among them keeps the barrier closed until somebody has looked.
    let name = format!(
        "{}:{}",
        data_encoding::HEXLOWER.encode(SPOOL.as_bytes()),
        9_999
    );
    for _ in 0..2 {
        let stop = Message {
            message_id: name.clone(),
            body: b"a stop that nobody can read".to_vec(),
        };
        office.put(Queue::Stops, vec![stop]).await;
    }
    let dead_stops = "SELECT count(*) FROM dead_request WHERE stop";
    until("the stop is set aside", async || {
        world.number(dead_stops).await == 1
    })
    .await;
    assert_eq!(barrier().await, Barrier::Closed("dead_letter"));
    let letters = world.database.dead_letters();
    for letter in letters.list().await.unwrap() {
        if letter.stop {
            assert_eq!((letter.spool_id, letter.seq), (SPOOL, 9_999));
            assert!(letters.seen(letter.number, world.now()).await.unwrap());
        }
    }
    assert_ne!(barrier().await, Barrier::Closed("dead_letter"));

    clerk.stop().await;
    for queue in [Queue::Stops, Queue::Requests] {
        assert_eq!(office.left_in(queue).await, 0, "{queue:?} is done with");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_newer_version_waits_for_its_reader_and_is_in_nobodys_way(pool: PgPool) {
    let mut world = World::new(pool).await;
    know_spool(&world).await;
    let office = PostOffice::open().await;
    let clerk = office.employ(&world).await;
    let newer = |seq: u8| InboxRow {
        spool_id: SPOOL,
        seq: u64::from(seq),
        stop: seq == 1,
        envelope: [
            &[0xa2, 0x61, b'v', 0x02, 0x61, b'n', seq][..],
            SPOOL.as_bytes(),
        ]
        .concat(),
    };
    office.ship(&[newer(1), newer(2)]).await;
    let sign_up = world.sign_up("ada@example.org", &[0], at(0));
    let mut row = world.rows(&[sign_up]).remove(0);
    row = InboxRow { seq: 3, ..row };
    row.envelope = {
        let sign_up = world.sign_up("ada@example.org", &[0], at(0));
        crate::world::row(3, &sign_up).envelope
    };
    office.ship(&[row]).await;
    until("its neighbour is applied", async || {
        world.number("SELECT count(*) FROM sign_up").await == 1
    })
    .await;
    clerk.stop().await;
    // Not dead, not applied, not here: in the delay queue, for half a minute.
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 0);
    let applied = "SELECT (SELECT count(*) FROM applied_request WHERE seq < 3)
                        + (SELECT coalesce(sum(applied_upto), 0)::bigint FROM spool)";
    assert_eq!(world.number(applied).await, 0);
    for queue in [Queue::Stops, Queue::Requests] {
        assert_eq!(office.left_in(queue).await, 0, "{queue:?} was put by");
    }
    for queue in [Queue::Stops, Queue::Requests] {
        let (mut consumer, shutdown) = office.consumer(queue).await;
        let batch = consumer.next(10).await.unwrap();
        let expected = newer(if queue == Queue::Stops { 1 } else { 2 });
        assert_eq!(batch.messages().len(), 1);
        assert_eq!(batch.messages()[0].body, expected.envelope);
        batch.ack().await;
        shutdown.finish(std::time::Duration::from_secs(10)).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn killed_between_commit_and_acknowledgement_a_batch_is_applied_once(pool: PgPool) {
    let mut world = World::new(pool).await;
    know_spool(&world).await;
    let office = PostOffice::open().await;
    let requests: Vec<_> = (0..40)
        .map(|person| world.sign_up(&format!("p{person}@example.org"), &[0], at(0)))
        .collect();
    let rows = world.rows(&requests);
    office.ship(&rows).await;
    // Somebody takes them, applies them, and is gone before the broker hears of it.
    let (mut consumer, shutdown) = office.consumer(Queue::Requests).await;
    let mut taken = Vec::new();
    while taken
        .iter()
        .map(|batch: &queue::Batch| batch.messages().len())
        .sum::<usize>()
        < 40
    {
        taken.push(consumer.next(100).await.unwrap());
    }
    world.ship_rows(&rows).await;
    assert_eq!(world.drain().await, 40);
    drop(taken);
    shutdown.finish(std::time::Duration::from_secs(10)).await;
    let before = world.number("SELECT count(*) FROM mail").await;
    let clerk = office.employ(&world).await;
    until_applied(&world, 40).await;
    // And one more, to see that the broker delivered what was before it.
    let last = world.sign_up("last@example.org", &[0], at(0));
    let rows = world.rows(&[last]);
    office.ship(&rows).await;
    until_applied(&world, 41).await;
    clerk.stop().await;
    assert_eq!(office.left_in(Queue::Requests).await, 0);
    assert_eq!(world.number("SELECT count(*) FROM consent").await, 41);
    assert_eq!(world.number("SELECT count(*) FROM mail").await, before + 1);
}

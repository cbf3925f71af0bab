//! The way by the broker: which queue, and what comes again.

use std::fs;
use std::time::Duration;

use domain::Clock as _;
use queue::Queue;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::Place;

use super::door::Door;
use super::rabbit::Rabbit;
use super::{House, accept, accept_other, through, until};
use crate::way::Way;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn requests_flow_while_the_database_is_away(
    pool_options: PgPoolOptions,
    options: PgConnectOptions,
) {
    let door = Door::to(options.get_host(), options.get_port());
    let database = through(door.port, &options);
    let house = House::new(&pool_options.connect_with(options).await.unwrap());
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    let spool = house.spool();
    let stops = rabbit.receive(Queue::Stops, spool.spool_id());
    let role = house.ship_by(&spool, &database, Some(&rabbit));
    for number in 1..=1200 {
        accept(&spool, number).await;
    }
    stops.until_came(1..=1200, 1).await;
    role.until_shipped(1200).await;
    assert!(house.inbox().await.is_empty());
    assert!(!role.marks.borrow().registered);
    role.stop().await;
    drop(spool);

    // Restarted, it cannot know what was applied, so all that is not finished comes again.
    let spool = house.spool();
    let role = house.ship_by(&spool, &database, Some(&rabbit));
    accept(&spool, 1201).await;
    stops.until_came(1..=1200, 2).await;
    stops.until_came(1201..=1201, 1).await;
    role.until_shipped(1201).await;

    // The database comes and knows more than the finished segments tell: nothing comes a third time.
    let spool_id = spool.spool_id();
    let all = (1..=1201).map(|seq| Place { spool_id, seq });
    house.apply_places(all.collect()).await;
    door.open();
    until("the spool is registered", async || {
        role.marks.borrow().registered
    })
    .await;
    until("the mark is known", async || {
        house.database.spools().advance_marks().await.unwrap();
        role.applied() == 1201
    })
    .await;
    house.clock.advance(Duration::from_hours(25));
    let archive = house.folder.path().join("spool/archive");
    until("the segment is archived", async || {
        fs::read_dir(&archive).unwrap().count() == 1
    })
    .await;
    role.stop().await;
    drop(spool);

    // From then on the folder itself says where to start.
    door.shut();
    let spool = house.spool();
    let role = house.ship_by(&spool, &database, Some(&rabbit));
    assert_eq!(accept(&spool, 1202).await.seq, 1202);
    stops.until_came(1202..=1202, 1).await;
    assert!((1..=1201).all(|seq| stops.times(seq) <= 2));
    role.stop().await;
    stops.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spool_of_stops_has_its_queue_and_other_requests_have_theirs(pool: PgPool) {
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    for holds_stops in [true, false] {
        let mut house = House::new(&pool);
        house.holds_stops = holds_stops;
        let spool = house.spool();
        accept(&spool, 1).await;
        accept_other(&spool, 2).await;
        accept_other(&spool, 3).await;
        drop(spool);
        // The second record becomes a tombstone. Of one in a spool of stops nobody can say that it was
        // no stop.
        let segment = house.folder.path().join("spool/00000000000000000001");
        let mut bytes = fs::read(&segment).unwrap();
        let length = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize + 8;
        bytes[length + 20] ^= 1;
        fs::write(&segment, bytes).unwrap();

        let spool = house.spool();
        let stops = rabbit.receive(Queue::Stops, spool.spool_id());
        let requests = rabbit.receive(Queue::Requests, spool.spool_id());
        let role = house.ship_by(&spool, &house.database, Some(&rabbit));
        role.until_shipped(3).await;
        if holds_stops {
            stops.until_came(1..=3, 1).await;
            assert!((1..=3).all(|seq| requests.times(seq) == 0));
        } else {
            // Each record by what it is: an unsubscribe is a stop wherever it stands.
            stops.until_came(1..=1, 1).await;
            requests.until_came(2..=3, 1).await;
            assert_eq!((stops.times(2), requests.times(1)), (0, 0));
        }
        role.stop().await;
        stops.stop().await;
        requests.stop().await;
    }
    assert!(House::new(&pool).inbox().await.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_broker_lost_that_was_wiped_comes_again(pool: PgPool) {
    let house = House::new(&pool);
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    let spool = house.spool();
    let stops = rabbit.receive(Queue::Stops, spool.spool_id());
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    for number in 1..=5 {
        accept(&spool, number).await;
    }
    stops.until_came(1..=5, 1).await;
    role.until_shipped(5).await;
    let spool_id = spool.spool_id();
    let two = (1..=2).map(|seq| Place { spool_id, seq });
    house.apply_places(two.collect()).await;
    until("the mark is known", async || role.applied() == 2).await;
    // The receiver took all of them, so nothing is left there; the clock stands still.
    rabbit.door.shut();
    rabbit.door.open();
    stops.until_came(3..=5, 2).await;
    assert_eq!((stops.times(1), stops.times(2)), (1, 1), "from the mark");
    role.stop().await;
    stops.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_broker_confirmed_is_kept_until_the_mark_has_passed_it(pool: PgPool) {
    let mut house = House::new(&pool);
    house.holds_stops = false;
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    let spool = house.spool();
    let queue = rabbit.receive(Queue::Requests, spool.spool_id());
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    for number in 1..=5 {
        accept_other(&spool, number).await;
    }
    queue.until_came(1..=5, 1).await;
    role.until_shipped(5).await;
    until("it is registered", async || role.marks.borrow().registered).await;
    let kept = spool.read_after(0, 10).unwrap();
    // A segment that is a day old is ended even if it is not full, once its records are applied.
    house.clock.advance(Duration::from_hours(25));
    for _ in 0..2 {
        house.clock.advance(Duration::from_secs(1));
        let now = house.clock.now().to_date_time();
        until("it reports", async || {
            #[expect(clippy::disallowed_methods, reason = "no room needs to look at this")]
            let moved = sqlx::query_scalar::<_, bool>("SELECT moved_at >= $1 FROM spool")
                .bind(now)
                .fetch_one(&house.pool);
            moved.await.unwrap()
        })
        .await;
    }
    assert_eq!(spool.read_after(0, 10).unwrap(), kept, "all of it is there");
    let spool_id = spool.spool_id();
    let all = (1..=5).map(|seq| Place { spool_id, seq });
    house.apply_places(all.collect()).await;
    until("it is ended", async || spool.finished_upto() == 5).await;
    role.stop().await;
    queue.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn other_requests_that_a_broker_lost_come_again_when_the_mark_stands_still(pool: PgPool) {
    let mut house = House::new(&pool);
    house.holds_stops = false;
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    let spool = house.spool();
    let queue = rabbit.receive(Queue::Requests, spool.spool_id());
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    for number in 1..=1200 {
        accept_other(&spool, number).await;
    }
    queue.until_came(1..=1200, 1).await;
    role.until_shipped(1200).await;
    rabbit.door.shut();
    rabbit.door.open();
    accept_other(&spool, 1201).await;
    queue.until_came(1201..=1201, 1).await;
    role.until_shipped(1201).await;
    // (The first was taken to see whether the broker works.)
    assert!((2..=1200).all(|seq| queue.times(seq) == 1), "not yet");

    // A minute later one batch comes, to see whether anybody is there …
    until("it is registered", async || role.marks.borrow().registered).await;
    house.clock.advance(Duration::from_mins(2));
    queue.until_came(1..=500, 2).await;
    until("that is known", async || !role.marks.borrow().again).await;
    // (Whatever else comes again would come before the next request.)
    accept_other(&spool, 1202).await;
    queue.until_came(1202..=1202, 1).await;
    assert!((501..=1201).all(|seq| queue.times(seq) == 1));
    // … and when it is applied, the rest.
    let spool_id = spool.spool_id();
    let batch = (1..=500).map(|seq| Place { spool_id, seq });
    house.apply_places(batch.collect()).await;
    queue.until_came(501..=1201, 2).await;
    assert!((2..=500).all(|seq| queue.times(seq) == 2));
    role.stop().await;
    queue.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_database_that_went_back_gets_the_archive_by_the_queue(pool: PgPool) {
    let house = House::new(&pool);
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    let spool = house.spool();
    let stops = rabbit.receive(Queue::Stops, spool.spool_id());
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    for number in 1..=5 {
        accept(&spool, number).await;
    }
    stops.until_came(1..=5, 1).await;
    let spool_id = spool.spool_id();
    let all = || (1..=5).map(|seq| Place { spool_id, seq }).collect();
    house.apply_places(all()).await;
    until("the mark is known", async || role.applied() == 5).await;
    house.clock.advance(Duration::from_hours(25));
    let archive = house.folder.path().join("spool/archive");
    until("the segment is archived", async || {
        fs::read_dir(&archive).unwrap().count() == 1
    })
    .await;
    house.tamper("UPDATE spool SET applied_upto = 2").await;
    stops.until_came(3..=5, 2).await;
    assert_eq!((stops.times(1), stops.times(2)), (1, 1));
    house.apply_places(all()).await;
    until("the mark is known", async || role.applied() == 5).await;
    house
        .tamper("DELETE FROM spool; DELETE FROM applied_request")
        .await;
    stops.until_came(1..=2, 2).await;
    stops.until_came(3..=5, 3).await;
    role.stop().await;
    stops.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_batch_whose_confirm_was_lost_is_published_again(pool: PgPool) {
    let mut house = House::new(&pool);
    // Stops would come again with the new connection anyway.
    house.holds_stops = false;
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    let spool = house.spool();
    let queue = rabbit.receive(Queue::Requests, spool.spool_id());
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    // The first is what a shipper tries a broker with: it may come at any time.
    accept_other(&spool, 1).await;
    role.until_shipped(1).await;
    rabbit.door.silence();
    accept_other(&spool, 2).await;
    queue.until_came(2..=2, 1).await;
    assert_eq!(role.shipped(), 1, "it came, and nothing says so");
    rabbit.door.shut();
    rabbit.door.open();
    queue.until_came(2..=2, 2).await;
    role.until_shipped(2).await;

    // The same, and the process is killed while it waits.
    rabbit.door.silence();
    accept_other(&spool, 3).await;
    queue.until_came(3..=3, 1).await;
    role.kill().await;
    drop(spool);
    rabbit.door.shut();
    rabbit.door.open();
    let spool = house.spool();
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    queue.until_came(3..=3, 2).await;
    role.until_shipped(3).await;
    assert_eq!(role.passage.borrow().way(), Way::Queue);
    role.stop().await;
    queue.stop().await;
}

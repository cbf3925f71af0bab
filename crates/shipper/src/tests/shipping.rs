//! Nothing that was accepted is lost, and the barrier is told the truth.

use std::fs;
use std::time::Duration;

use domain::EventId;
use spool::Content;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::Barrier;

use super::door::Door;
use super::{House, accept, stop, through, until};

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_accepted_while_the_database_is_away_is_shipped_later(
    pool_options: PgPoolOptions,
    options: PgConnectOptions,
) {
    let door = Door::to(options.get_host(), options.get_port());
    let database = through(door.port, &options);
    let house = House::new(&pool_options.connect_with(options).await.unwrap());
    let spool = house.spool();
    let shutdown = house.ship(&spool, &database);
    for number in 1..=1200 {
        accept(&spool, number).await;
    }
    assert!(house.inbox().await.is_empty());
    door.open();
    house.until_inbox_holds(1..=1200).await;
    house.apply(700).await;

    door.shut();
    for number in 1201..=1210 {
        accept(&spool, number).await;
    }
    house.apply(1200).await;
    assert!(house.inbox().await.is_empty());
    door.open();
    house.until_inbox_holds(1201..=1210).await;

    // The connection breaks again and again while records come.
    let coming = spool.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        for number in 1211..=3000 {
            accept(&coming, number).await;
        }
    });
    for _ in 0..20 {
        door.shut();
        tokio::task::yield_now().await;
        door.open();
        spool.wait_beyond((spool.last_seq() + 50).min(2999)).await;
    }
    tasks.join_next().await.unwrap().unwrap();
    house.until_inbox_holds(1201..=3000).await;
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_restarted_role_goes_on_from_the_mark(pool: PgPool) {
    let house = House::new(&pool);
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    for number in 1..=3 {
        accept(&spool, number).await;
    }
    house.until_inbox_holds(1..=3).await;
    house.apply(2).await;
    stop(shutdown).await;
    drop(spool);

    let spool = house.spool();
    assert_eq!(accept(&spool, 4).await.seq, 4);
    let shutdown = house.ship(&spool, &house.database);
    assert_eq!(accept(&spool, 5).await.seq, 5);
    house.until_inbox_holds(3..=5).await;
    house.apply(5).await;
    assert!(house.inbox().await.is_empty());
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_database_that_went_back_gets_everything_again(pool: PgPool) {
    let house = House::new(&pool);
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    for number in 1..=5 {
        accept(&spool, number).await;
    }
    house.until_inbox_holds(1..=5).await;
    house.apply(5).await;
    // A day later the segment goes to the archive, from where it comes again.
    house.clock.advance(Duration::from_hours(25));
    let archive = house.folder.path().join("spool/archive");
    until("the segment is archived", async || {
        fs::read_dir(&archive).unwrap().count() == 1
    })
    .await;
    house.tamper("UPDATE spool SET applied_upto = 2").await;
    house.until_inbox_holds(3..=5).await;
    house.apply(5).await;
    // A backup from before the spool was made.
    house
        .tamper("DELETE FROM spool; DELETE FROM applied_request")
        .await;
    house.until_inbox_holds(1..=5).await;
    house.apply(5).await;
    assert_eq!(accept(&spool, 6).await.seq, 6);
    house.until_inbox_holds(6..=6).await;
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn records_that_the_inbox_lost_are_shipped_again_when_the_mark_stands_still(pool: PgPool) {
    let house = House::new(&pool);
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    for number in 1..=3 {
        accept(&spool, number).await;
    }
    house.until_inbox_holds(1..=3).await;
    house.tamper("DELETE FROM request_inbox").await;
    house.clock.advance(Duration::from_mins(2));
    house.until_inbox_holds(1..=3).await;
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stop_that_waits_closes_the_barrier_and_an_applied_one_opens_it(pool: PgPool) {
    let house = House::new(&pool);
    let barrier = async || {
        use domain::Clock as _;
        let now = house.clock.now();
        house.database.deliveries().barrier(now).await.unwrap()
    };
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    accept(&spool, 1).await;
    house.until_inbox_holds(1..=1).await;
    assert_eq!(barrier().await, Barrier::Open);
    house.clock.advance(Duration::from_secs(6));
    until("the barrier closes", async || {
        barrier().await == Barrier::Closed("waiting_stop")
    })
    .await;
    house.apply(1).await;
    until("the barrier opens", async || {
        barrier().await == Barrier::Open
    })
    .await;
    stop(shutdown).await;
    house.clock.advance(Duration::from_secs(11));
    assert_eq!(barrier().await, Barrier::Closed("silent_spool"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spool_without_stops_leaves_the_barrier_alone(pool: PgPool) {
    let mut house = House::new(&pool);
    house.holds_stops = false;
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    accept(&spool, 1).await;
    house.until_inbox_holds(1..=1).await;
    // It says all the same what waits: a confirmation, say, whose sign-up must not be deleted.
    let says = "SELECT FROM spool WHERE oldest_stop_at IS NOT NULL";
    until("the spool says what waits", async || {
        let row = sqlx::raw_sql(says).fetch_optional(&house.pool).await;
        row.unwrap().is_some()
    })
    .await;
    stop(shutdown).await;
    let later = super::START.plus(Duration::from_hours(1));
    let barrier = house.database.deliveries().barrier(later).await;
    assert_eq!(barrier.unwrap(), Barrier::Open);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_folder_that_went_back_goes_on_behind_the_mark(pool: PgPool) {
    let house = House::new(&pool);
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    for number in 1..=5 {
        accept(&spool, number).await;
    }
    house.until_inbox_holds(1..=5).await;
    house.apply(5).await;
    stop(shutdown).await;
    drop(spool);
    let segment = house.folder.path().join("spool/00000000000000000001");
    fs::remove_file(&segment).unwrap();

    let spool = house.spool();
    assert_eq!(spool.last_seq(), 0);
    let shutdown = house.ship(&spool, &house.database);
    spool.wait_beyond(4).await;
    assert_eq!(accept(&spool, 6).await.seq, 6);
    house.until_inbox_holds(6..=6).await;
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_request_accepted_before_its_seq_turned_out_to_be_taken_is_not_lost(
    pool_options: PgPoolOptions,
    options: PgConnectOptions,
) {
    let door = Door::to(options.get_host(), options.get_port());
    let database = through(door.port, &options);
    let house = House::new(&pool_options.connect_with(options).await.unwrap());
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    accept(&spool, 1).await;
    house.until_inbox_holds(1..=1).await;
    drop(spool);
    stop(shutdown).await;
    let segment = house.folder.path().join("spool/00000000000000000001");
    let snapshot = fs::read(&segment).unwrap();
    let spool = house.spool();
    let shutdown = house.ship(&spool, &house.database);
    for number in 2..=4 {
        accept(&spool, number).await;
    }
    house.until_inbox_holds(1..=4).await;
    house.apply(4).await;
    stop(shutdown).await;
    drop(spool);

    for (mark, accepted) in [(4, [5, 6].as_slice()), (6, &[7, 8, 9, 10])] {
        // The machine is set back, and people come before the database does: fewer than there were
        // before, and more. The first of them get seqs that are applied.
        fs::write(&segment, &snapshot).unwrap();
        for entry in fs::read_dir(house.folder.path().join("spool")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path > segment && path.file_name().unwrap().len() == 20 {
                fs::remove_file(path).unwrap();
            }
        }
        let spool = house.spool();
        assert_eq!(spool.last_seq(), 1);
        let shutdown = house.ship(&spool, &database);
        for number in accepted {
            assert!(accept(&spool, *number).await.seq > 1);
        }
        door.open();
        let expected: Vec<EventId> = accepted
            .iter()
            .map(|number| EventId::new(u128::from(*number).to_be_bytes()))
            .collect();
        until(
            "each is in the inbox, under a seq that is not applied",
            async || {
                let mut found = Vec::new();
                for envelope in house.inbox_envelopes().await {
                    let read = spool::record::decode_envelope(&envelope).unwrap();
                    if let Content::Accepted(accepted) = read.content
                        && read.seq > mark
                    {
                        found.push(accepted.event_id);
                    }
                }
                expected.iter().all(|event| found.contains(event))
            },
        )
        .await;
        house.apply(u64::MAX).await;
        door.shut();
        stop(shutdown).await;
    }
}

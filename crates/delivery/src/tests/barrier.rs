//! While an accepted unsubscribe could be waiting unapplied, bulk waits and confirmations go on.

use std::time::Duration;

use domain::{Clock, SpoolId};
use sqlx::PgPool;
use store::{Barrier, InDoubtPolicy};

use super::house::{House, stop};

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_silent_role_stops_bulk_but_no_confirmation(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    let spool = SpoolId::new([7; 16]);
    let spools = house.database.spools();
    spools
        .register(spool, "unsubscribe", true, house.clock.now())
        .await
        .unwrap();
    house.clock.advance(Duration::from_secs(11));
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(house.caught()).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    house
        .until("the confirmation came", async || {
            house.recipients().len() == 1
        })
        .await;
    assert_eq!(house.recipients(), ["new@residents.example"]);
    assert_eq!(house.progress(issue).await.counts.waiting, 2);
    assert_eq!(house.states().await, [0, 0]);
    // the role writes again
    spools.beat(spool, None, house.clock.now()).await.unwrap();
    house.finished(issue).await;
    stop(worker).await;
    let mut all = readers;
    all.push("new@residents.example".into());
    all.sort();
    assert_eq!(house.recipients(), all);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_barrier_closes_for_each_of_its_reasons(pool: PgPool) {
    let house = House::open(pool).await;
    let store = house.database.deliveries();
    let barrier = async || store.barrier(house.clock.now()).await.unwrap();
    assert_eq!(barrier().await, Barrier::Open, "no role yet");
    let spool = SpoolId::new([7; 16]);
    let spools = house.database.spools();
    let start = house.clock.now();
    spools
        .register(spool, "unsubscribe", true, start)
        .await
        .unwrap();
    house.clock.advance(Duration::from_secs(10));
    assert_eq!(barrier().await, Barrier::Open, "10 seconds are allowed");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(barrier().await, Barrier::Closed("silent_spool"));
    let now = house.clock.now();
    spools.beat(spool, Some(now), now).await.unwrap();
    house.clock.advance(Duration::from_secs(5));
    assert_eq!(barrier().await, Barrier::Open, "5 seconds are allowed");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(barrier().await, Barrier::Closed("waiting_stop"));
    let now = house.clock.now();
    let ahead = now.plus(Duration::from_secs(11));
    spools.beat(spool, None, ahead).await.unwrap();
    let wrong_clock = "it would seem alive long after its death";
    assert_eq!(
        barrier().await,
        Barrier::Closed("silent_spool"),
        "{wrong_clock}"
    );
    spools.beat(spool, Some(now), now).await.unwrap();
    house.clock.advance(Duration::from_secs(6));
    assert_eq!(barrier().await, Barrier::Closed("waiting_stop"));
    house.execute("UPDATE spool SET retired_at = now()").await;
    assert_eq!(barrier().await, Barrier::Open, "a role that is gone");
    house
        .execute(
            "INSERT INTO dead_request (spool_id, seq, stop, reason, envelope, died_at)
             VALUES ('\\x07070707070707070707070707070707', 1, true, 'test', '', now())",
        )
        .await;
    assert_eq!(barrier().await, Barrier::Closed("dead_letter"));
    house
        .execute("UPDATE dead_request SET seen_at = now()")
        .await;
    assert_eq!(barrier().await, Barrier::Open);
}

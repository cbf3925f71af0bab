//! What is deleted, and when: by the newsletter's own retention.

use std::time::Duration;

use domain::SubscriptionId;
use service_runtime::Shutdown;
use sqlx::PgPool;

use crate::world::{SPOOL, World, at};

const DAY: Duration = Duration::from_hours(24);

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sign_up_that_is_not_confirmed_goes_with_its_record(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("ada@example.org", &[0], at(0));
    let id = sign_up.event_id;
    world.apply(&[sign_up]).await;
    world.clock.set(at(0).plus(7 * DAY));
    assert_eq!(world.registrar.purge().await.unwrap().sign_ups, 0);

    // A confirm that was accepted in the last minute may still be on its way: a role is silent.
    world
        .clock
        .set(at(0).plus(7 * DAY + Duration::from_hours(2)));
    let spools = world.database.spools();
    spools
        .register(SPOOL, "intake", false, at(0))
        .await
        .unwrap();
    assert_eq!(world.registrar.purge().await.unwrap().sign_ups, 0);
    // It reports, and says that it shipped one that nobody has applied: it lies in a queue, say.
    let pressed = at(0).plus(7 * DAY);
    spools
        .beat(SPOOL, Some(pressed), world.now())
        .await
        .unwrap();
    assert_eq!(world.registrar.purge().await.unwrap().sign_ups, 0);
    spools.beat(SPOOL, None, world.now()).await.unwrap();
    assert_eq!(world.registrar.purge().await.unwrap().sign_ups, 1);
    let known = world.known("ada@example.org", &[id]).await;
    assert!(known.sign_ups.is_empty() && known.consents.is_empty());

    // However silent, not for ever.
    let sign_up = world.sign_up("bob@example.org", &[0], at(0));
    world.apply(&[sign_up]).await;
    world.clock.set(at(0).plus(9 * DAY));
    assert_eq!(world.registrar.purge().await.unwrap().sign_ups, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn after_days_without_a_worker_a_confirmation_comes_before_deletion(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("ada@example.org", &[0], at(0));
    let confirm = world.confirm(sign_up.event_id, at(0).plus(6 * DAY));
    world.apply(&[sign_up]).await;
    // More than two batches lie before it; they are quickly found to be nothing.
    let mut rows = Vec::new();
    for _ in 0..1_200 {
        let noise = world.leave(SubscriptionId::new([9; 16]), at(1));
        let mut row = world.rows(&[noise]).remove(0);
        row.stop = false;
        row.envelope = vec![0xff];
        rows.push(row);
    }
    rows.extend(world.rows(&[confirm]));
    world.ship_rows(&rows).await;
    world.clock.set(at(0).plus(10 * DAY));
    let shutdown = Shutdown::new();
    shutdown.spawn(
        "registrar",
        world.registrar.clone().run(None, shutdown.clone()),
    );
    let waits = "SELECT count(*) FROM request_inbox";
    while world.number(waits).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.begin();
    let active = "SELECT count(*) FROM subscription WHERE state = 1";
    assert_eq!(world.number(active).await, 1);
    shutdown.finish(Duration::from_secs(30)).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_address_goes_when_the_notice_says_and_the_person_with_the_last_one(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber("ada@example.org", &[0, 1]).await;
    let ids = [
        world.subscription_id("ada@example.org", 0).await,
        world.subscription_id("ada@example.org", 1).await,
    ];
    let first = world.leave(ids[0], at(0));
    world.apply(std::slice::from_ref(&first)).await;
    world
        .clock
        .set(at(0).plus(30 * DAY).minus(Duration::from_millis(1)));
    assert_eq!(world.registrar.purge().await.unwrap().addresses, 0);
    world.clock.set(at(0).plus(30 * DAY));
    let purged = world.registrar.purge().await.unwrap();
    assert_eq!(
        (purged.addresses, purged.subscribers),
        (1, 0),
        "the other one is active"
    );

    // The undo lives as long as the address.
    let undo = world.undo(first.event_id, world.now());
    world.apply(&[undo]).await;
    let active = "SELECT count(*) FROM subscription WHERE state = 1";
    assert_eq!(world.number(active).await, 1);

    let second = world.leave(ids[1], world.now());
    world.apply(&[second]).await;
    world.clock.advance(30 * DAY);
    let purged = world.registrar.purge().await.unwrap();
    assert_eq!((purged.addresses, purged.subscribers), (1, 1));
    for table in [
        "SELECT count(*) FROM subscriber",
        "SELECT count(*) FROM subscription",
        "SELECT count(*) FROM consent WHERE sealed IS NOT NULL",
    ] {
        assert_eq!(world.number(table).await, 0, "{table}");
    }
    // The record that there was a consent stays, and an old link is still taken.
    assert_eq!(world.number("SELECT count(*) FROM consent").await, 2);
    let late = world.leave(ids[0], world.now());
    world.apply(&[late]).await;
    let ledger = world.ledger().await;
    assert_eq!(ledger.last().unwrap().effect, domain::Effect::Absent);

    // Whoever comes back is a new subscriber.
    world
        .subscriber_at("ada@example.org", &[0], world.now())
        .await;
    assert_eq!(world.number(active).await, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_active_subscription_is_never_touched(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber("ada@example.org", &[0]).await;
    let leave = world.leave(world.subscription_id("ada@example.org", 0).await, at(1));
    let undo = world.undo(leave.event_id, at(2));
    world.apply(&[leave, undo]).await;
    world.clock.set(at(0).plus(4_000 * DAY));
    let purged = world.registrar.purge().await.unwrap();
    assert!(
        purged.counts().iter().all(|(_, number)| *number == 0),
        "{purged:?}"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_came_before_a_sign_up_that_never_came_goes(pool: PgPool) {
    let mut world = World::new(pool).await;
    let nothing = world.event_id();
    let confirm = world.confirm(nothing, at(0));
    let undo = world.undo(nothing, at(0));
    let leave = world.leave(domain::SubscriptionId::new([1; 16]), at(0));
    world.apply(&[confirm, undo, leave]).await;
    world.clock.set(at(0).plus(35 * DAY));
    assert_eq!(world.registrar.purge().await.unwrap().events, 0);
    world.clock.set(at(1).plus(35 * DAY));
    assert_eq!(world.registrar.purge().await.unwrap().events, 3);
    assert_eq!(
        world.ledger().await.len(),
        2,
        "the ledger keeps its entries"
    );
}

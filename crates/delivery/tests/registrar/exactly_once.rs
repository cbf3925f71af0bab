//! Each request takes effect once, whoever ships it how often and however many registrars run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use delivery::registrar::Registrar;
use domain::{CountingEntropy, Effect, Method};
use sqlx::PgPool;

use crate::world::{SPOOL, World, at, row};

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_same_rows_shipped_again_change_nothing(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("ada@example.org", &[0, 1], at(0));
    let other = world.sign_up("bob@example.org", &[0], at(1));
    let confirm = world.confirm(sign_up.event_id, at(2));
    let mut rows = world.ship(&[sign_up, other, confirm]).await;
    assert_eq!(world.drain().await, 3);
    let id = world.subscription_id("ada@example.org", 0).await;
    let leave = world.leave(id, at(3));
    rows.extend(world.ship(&[leave]).await);
    assert_eq!(world.drain().await, 1);

    let before = snapshot(&world).await;
    // Their rows are in applied_request, since the spool is not known; then the mark has passed them.
    let spools = world.database.spools();
    for applied_upto in [0, 4] {
        world.ship_rows(&rows).await;
        assert_eq!(world.drain().await, 4, "they leave the inbox");
        assert_eq!(snapshot(&world).await, before);
        let mark = spools.register(SPOOL, "unsubscribe", true, at(0)).await;
        assert_eq!(mark.unwrap(), applied_upto);
        spools.advance_marks().await.unwrap();
    }
    assert_eq!(world.number("SELECT applied_upto FROM spool").await, 4);
    assert_eq!(
        world.number("SELECT count(*) FROM applied_request").await,
        0
    );
}

async fn snapshot(world: &World) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "SELECT count(*) FROM sign_up",
        "SELECT count(*) FROM consent",
        "SELECT count(*) FROM subscriber",
        "SELECT count(*) FROM subscription",
        "SELECT count(*) FROM unsubscribe",
        "SELECT count(*) FROM mail",
        "SELECT count(*) FROM outbox",
        "SELECT count(*) FROM suppression",
        "SELECT count(*) FROM ledger_entry",
        "SELECT seq FROM ledger_head",
        "SELECT coalesce(sum(hashtext(s::text)::bigint), 0)::bigint FROM subscription s",
        "SELECT coalesce(sum(hashtext(c::text)::bigint), 0)::bigint FROM consent c",
    ] {
        counts.push(world.number(sql).await);
    }
    counts
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn two_registrars_share_the_work(pool: PgPool) {
    let mut world = World::new(pool).await;
    let spools = world.database.spools();
    spools
        .register(SPOOL, "unsubscribe", true, at(0))
        .await
        .unwrap();
    let mut ids = Vec::new();
    let mut requests = Vec::new();
    for person in 0..150 {
        let sign_up = world.sign_up(&format!("p{person}@example.org"), &[0], at(0));
        let confirm = world.confirm(sign_up.event_id, at(1));
        requests.extend([confirm, sign_up]);
    }
    world.apply(&requests).await;
    for person in 0..150 {
        ids.push(
            world
                .subscription_id(&format!("p{person}@example.org"), 0)
                .await,
        );
    }
    // Each leaves, changes their mind, leaves again, and somebody signs up again: all of it in the
    // inbox at once, and two registrars after it.
    let mut requests = Vec::new();
    for (person, id) in ids.iter().enumerate() {
        let first = world.leave(*id, at(10));
        let undo = world.undo(first.event_id, at(11));
        let second = world.leave(*id, at(12));
        let again = world.sign_up(&format!("p{person}@example.org"), &[0, 1], at(13));
        let confirm = world.confirm(again.event_id, at(14));
        requests.extend([undo, second, first, confirm, again]);
    }
    world.ship(&requests).await;
    let other = Registrar::new(
        &world.database,
        Arc::clone(&world.keys),
        world.clock.clone(),
        Arc::new(domain_entropy()),
    );
    while world.number("SELECT count(*) FROM request_inbox").await > 0 {
        let (one, two) = tokio::join!(world.registrar.apply_batch(), other.apply_batch());
        one.unwrap();
        two.unwrap();
    }
    let ledger = world.ledger().await;
    assert_eq!(ledger.len(), 450);
    let leaves = ledger
        .iter()
        .filter(|entry| entry.method == Method::OneClick);
    assert_eq!(leaves.count(), 300);
    let active = "SELECT count(*) FROM subscription WHERE state = 1";
    assert_eq!(world.number(active).await, 300, "signed up again for both");
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 0);
    let applied =
        "SELECT (SELECT applied_upto FROM spool) + (SELECT count(*) FROM applied_request)";
    assert_eq!(world.number(applied).await, 300 + 750);
    spools.advance_marks().await.unwrap();
    assert_eq!(
        world.number("SELECT applied_upto FROM spool").await,
        300 + 750
    );
}

/// Ids that differ from those of the first registrar.
fn domain_entropy() -> CountingEntropy {
    let entropy = CountingEntropy::default();
    for _ in 0..10_000 {
        domain::Entropy::sixteen(&entropy);
    }
    entropy
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn stops_are_served_before_a_flood_of_sign_ups(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber("ada@example.org", &[0]).await;
    let id = world.subscription_id("ada@example.org", 0).await;
    let flood: Vec<_> = (0..1_200)
        .map(|person| world.sign_up(&format!("flood{person}@example.org"), &[0], at(1)))
        .collect();
    world.ship(&flood).await;
    let leave = world.leave(id, at(2));
    world.ship(&[leave]).await;
    assert_eq!(world.registrar.apply_batch().await.unwrap(), 1);
    let ledger = world.ledger().await;
    assert_eq!(ledger.len(), 1, "the first batch is the unsubscribe");
    assert_eq!(ledger[0].effect, Effect::Stopped);
    assert_eq!(world.drain().await, 1_200);
    assert_eq!(world.number("SELECT count(*) FROM mail").await, 1_200);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_cannot_be_read_is_set_aside_and_what_is_newer_stays(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("ada@example.org", &[0], at(0));
    let mut rows = world.rows(&[sign_up.clone(), sign_up.clone(), sign_up.clone()]);
    // Garbage; an envelope of another place; a newer version: {"v": 2}.
    rows[0].envelope = vec![0xff; 40];
    rows[1].envelope = rows[2].envelope.clone();
    rows[2].envelope = [&[0xa1, 0x61, b'v', 0x02][..], SPOOL.as_bytes()].concat();
    world.ship_rows(&rows).await;
    assert_eq!(world.drain().await, 2);
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM request_inbox").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM consent").await, 0);
    // It is not in the way of others, and looked at again half a minute later.
    let good = world.sign_up("bob@example.org", &[0], at(0));
    world.ship(&[good]).await;
    assert_eq!(world.drain().await, 1);
    assert_eq!(world.number("SELECT count(*) FROM consent").await, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_box_that_does_not_open_is_set_aside_alone(pool: PgPool) {
    let mut world = World::new(pool).await;
    let mut moved = world.sign_up("ada@example.org", &[0], at(0));
    // The box of one request in another: HPKE binds it to the first.
    moved.event_id = world.event_id();
    let mut unknown = world.sign_up("eve@example.org", &[0], at(0));
    if let domain::Request::SignUp(sign_up) = &mut unknown.request {
        sign_up.choices[0].notice = domain::NoticeHash::new([0xab; 32]);
    }
    let good = world.sign_up("bob@example.org", &[0], at(0));
    world.ship(&[moved, unknown, good]).await;
    assert_eq!(world.drain().await, 3);
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM sign_up").await, 1);
    assert_eq!(
        world.number("SELECT count(*) FROM applied_request").await,
        3
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_request_that_the_tables_refuse_holds_up_no_other(pool: PgPool) {
    let mut world = World::new(pool).await;
    // The same newsletter twice: no web role lets that through, and the table has one consent each.
    let mut twice = world.sign_up("ada@example.org", &[0], at(0));
    if let domain::Request::SignUp(sign_up) = &mut twice.request {
        let choice = sign_up.choices[0];
        sign_up.choices.push(choice);
    }
    let rows: Vec<_> = (0..4)
        .map(|person| world.sign_up(&format!("p{person}@example.org"), &[0], at(0)))
        .collect();
    world.ship(&rows).await;
    // Straight to the inbox, past the codec's own checks where it has them.
    world.ship_rows(&[row(1_000, &twice)]).await;
    world.drain().await;
    assert_eq!(world.number("SELECT count(*) FROM sign_up").await, 4);
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM request_inbox").await, 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_running_registrar_applies_marks_and_stops_when_asked(pool: PgPool) {
    let mut world = World::new(pool).await;
    let spools = world.database.spools();
    spools
        .register(SPOOL, "unsubscribe", true, at(0))
        .await
        .unwrap();
    let shutdown = service_runtime::Shutdown::new();
    shutdown.spawn(
        "registrar",
        world.registrar.clone().run(None, shutdown.clone()),
    );
    let sign_up = world.sign_up("ada@example.org", &[0], at(0));
    let confirm = world.confirm(sign_up.event_id, at(1));
    world.ship(&[sign_up, confirm]).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while spools.beat(SPOOL, None, at(1)).await.unwrap() != Some(2) {
        assert!(Instant::now() < deadline, "the mark does not move");
        tokio::task::yield_now().await;
    }
    let active = "SELECT count(*) FROM subscription WHERE state = 1";
    assert_eq!(world.number(active).await, 1);
    let finished = shutdown.finish(Duration::from_secs(10)).await;
    assert_eq!((finished.cut_short, finished.task_panicked), (0, false));
}

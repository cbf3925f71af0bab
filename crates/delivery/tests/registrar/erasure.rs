//! Erasure: nothing is left but a code and an entry of the ledger, whatever comes late.

use domain::{Effect, Method};
use sqlx::PgPool;

use crate::world::{World, at};

/// Rows that say anything about anybody.
const ROWS: &str = "SELECT (SELECT count(*) FROM subscriber) + (SELECT count(*) FROM subscription)
    + (SELECT count(*) FROM consent) + (SELECT count(*) FROM sign_up)
    + (SELECT count(*) FROM unsubscribe) + (SELECT count(*) FROM early_event)
    + (SELECT count(*) FROM mail)";

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nothing_is_left_of_a_person_but_a_code_and_an_entry(pool: PgPool) {
    let mut world = World::new(pool).await;
    let other = world.subscriber("other@example.org", &[0]).await;
    let rows = world.number(ROWS).await;
    world.subscriber("Gone@example.org", &[0, 1]).await;
    let id = world.subscription_id("gone@example.org", 0).await;
    let leave = world.leave(id, at(10));
    let again = world.sign_up("gone@example.org", &[1], at(20));
    world.apply(&[leave, again]).await;
    assert!(world.number(ROWS).await > rows);

    let erase = world.erase("gone@EXAMPLE.org", at(30));
    let event_id = erase.event_id;
    world.apply(std::slice::from_ref(&erase)).await;
    assert_eq!(world.number(ROWS).await, rows, "all of it is gone");
    let known = world.known("other@example.org", &[other]).await;
    assert_eq!(known.subscriptions[0].state, 1, "and nobody else");
    let entry = world.ledger().await.pop().unwrap();
    assert_eq!(entry.event_id, event_id);
    assert_eq!(
        (entry.method, entry.effect, entry.occurred_at),
        (Method::Erasure, Effect::Stopped, at(30))
    );
    assert_eq!(
        (entry.newsletter, entry.subscription_id),
        (None, None),
        "of both newsletters in one entry"
    );
    let known = world.known("gone@example.org", &[]).await;
    assert_eq!(known.erased.values().copied().collect::<Vec<_>>(), [at(30)]);

    // Shipped again, and once more from another place.
    world.apply(&[erase]).await;
    assert_eq!(world.ledger().await.len(), 2);
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_comes_late_brings_nobody_back(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("late@example.org", &[0], at(5));
    let confirm = world.confirm(sign_up.event_id, at(6));
    let erase = world.erase("late@example.org", at(7));
    world.apply(&[erase]).await;
    let entry = world.ledger().await.pop().unwrap();
    assert_eq!(entry.effect, Effect::Absent);
    world.apply(&[sign_up, confirm]).await;
    let active = "SELECT count(*) FROM subscription";
    assert_eq!(world.number(active).await, 0);
    let left = "SELECT (SELECT count(*) FROM sign_up) + (SELECT count(*) FROM consent)
                + (SELECT count(*) FROM mail)";
    assert_eq!(world.number(left).await, 0);

    // Who signs up anew later is not mailed: that is what the code is kept for.
    let anew = world.sign_up("late@example.org", &[0], at(8));
    world.apply(&[anew]).await;
    assert_eq!(world.number("SELECT count(*) FROM mail").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM sign_up").await, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_erasure_and_the_sign_up_before_it_may_come_together(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("both@example.org", &[0], at(5));
    let confirm = world.confirm(sign_up.event_id, at(6));
    let erase = world.erase("both@example.org", at(7));
    world.apply(&[erase, sign_up, confirm]).await;
    assert_eq!(world.number("SELECT count(*) FROM subscription").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM consent").await, 0);
    let entry = world.ledger().await.pop().unwrap();
    assert_eq!(entry.method, Method::Erasure);
}

//! Leaving everything, wanting no mail at all, asking how to leave, and the mark that web roles see.

use std::time::Duration;

use domain::{Effect, Method};
use sqlx::PgPool;

use crate::world::{Accepted, World, at};

const ACTIVE: &str = "SELECT count(*) FROM subscription WHERE state = 1";
const ADA: &str = "ada@example.org";

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn all_that_a_person_gets_ends_with_one_entry_and_one_undo_brings_it_back(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber(ADA, &[0, 1]).await;
    world.subscriber("bob@example.org", &[0, 1]).await;
    let id = world.subscription_id(ADA, 1).await;
    let all = world.leave_all(id, at(10));
    world.apply(std::slice::from_ref(&all)).await;
    assert_eq!(world.number(ACTIVE).await, 2, "Bob's");
    let entry = &world.ledger().await[0];
    assert_eq!(entry.newsletter, None);
    assert_eq!(entry.subscription_id, Some(id));
    assert_eq!(
        (entry.method, entry.effect),
        (Method::PageButton, Effect::Stopped)
    );
    let known = world.known(ADA, &[]).await;
    for consent in &known.consents {
        let withdrawn = consent.withdrawn.unwrap();
        assert_eq!((withdrawn.at, withdrawn.seq), (at(10), Some(1)));
    }
    // Again: nothing is left to end.
    let again = world.leave_all(id, at(11));
    world.apply(std::slice::from_ref(&again)).await;
    assert_eq!(world.ledger().await[1].effect, Effect::Already);

    // One of the two has to be left by itself too, and stays left.
    let other = world.subscription_id(ADA, 0).await;
    let one = world.leave(other, at(12));
    let undos = [
        world.undo(all.event_id, at(13)),
        world.undo(again.event_id, at(14)),
    ];
    world.apply(&[one]).await;
    world.apply(&undos).await;
    assert_eq!(world.number(ACTIVE).await, 3);
    let last = world.ledger().await.pop().unwrap();
    assert_eq!((last.effect, last.newsletter), (Effect::Resumed, None));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn whatever_comes_first_a_sign_up_of_before_stays_ended(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber(ADA, &[0]).await;
    let id = world.subscription_id(ADA, 0).await;
    let older = world.sign_up(ADA, &[1], at(5));
    let confirmed = world.confirm(older.event_id, at(20));
    let newer = world.sign_up(ADA, &[1], at(30));
    let confirmed_again = world.confirm(newer.event_id, at(31));
    let all = world.leave_all(id, at(10));
    for requests in [vec![all], vec![older], vec![confirmed]] {
        world.apply(&requests).await;
    }
    assert_eq!(world.number(ACTIVE).await, 0, "left after it was signed up");
    world.apply(&[newer, confirmed_again]).await;
    assert_eq!(
        world.number(ACTIVE).await,
        1,
        "signed up after all was left"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_link_of_nobody_ends_nothing_and_is_recorded(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber(ADA, &[0]).await;
    let nobody = domain::SubscriptionId::new([9; 16]);
    let all = world.leave_all(nobody, at(10));
    world.apply(&[all]).await;
    assert_eq!(world.number(ACTIVE).await, 1);
    assert_eq!(world.ledger().await[0].effect, Effect::Absent);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn not_me_leaves_other_subscriptions_alone_and_never_ends_them(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber(ADA, &[0]).await;
    let first = world.sign_up(ADA, &[1], at(10));
    let second = world.sign_up(ADA, &[1], at(20));
    let (first_box, second_box) = (first.event_id, second.event_id);
    let not_me = world.not_me(first_box, at(11));
    world.apply(&[first]).await;
    world.apply(&[not_me]).await;
    assert_eq!(world.number(ACTIVE).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM sign_up").await, 0);
    let quiet = "SELECT count(*) FROM suppression WHERE level = 4 AND expires_at IS NOT NULL";
    assert_eq!(world.number(quiet).await, 1);
    world.apply(&[second]).await;
    let asked = "SELECT count(*) FROM mail WHERE kind = 1 AND state = 0";
    assert_eq!(
        world.number(asked).await,
        1,
        "the mailbox is not asked again"
    );

    let never = world.never_email(second_box, at(21));
    let again = Accepted {
        event_id: world.event_id(),
        ..never.clone()
    };
    world.apply(&[never]).await;
    assert_eq!(world.number(ACTIVE).await, 0);
    let silent =
        "SELECT count(*) FROM suppression WHERE level = 3 AND expires_at IS NULL AND code_kind = 1";
    assert_eq!(world.number(silent).await, 1);
    let entry = world.ledger().await.pop().unwrap();
    assert_eq!(
        (entry.method, entry.effect),
        (Method::NotMe, Effect::Stopped)
    );
    assert_eq!((entry.newsletter, entry.subscription_id), (None, None));
    world.apply(&[again]).await;
    assert_eq!(world.ledger().await.pop().unwrap().effect, Effect::Already);
    let more = world.sign_up("ada+x@example.org", &[0], at(30));
    let question = world.look_up("ada+x@example.org", at(31));
    world.apply(&[more, question]).await;
    assert_eq!(world.number(asked).await, 1, "nor by another name of it");
    assert_eq!(
        world
            .number("SELECT count(*) FROM mail WHERE kind = 4")
            .await,
        0
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn never_counts_even_where_it_comes_before_its_sign_up(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber(ADA, &[0]).await;
    let sign_up = world.sign_up(ADA, &[1], at(10));
    let never = world.never_email(sign_up.event_id, at(11));
    world.apply(&[never]).await;
    assert_eq!(world.number(ACTIVE).await, 1, "nobody knows whose it is");
    world.apply(&[sign_up]).await;
    assert_eq!(world.number(ACTIVE).await, 0);
    assert_eq!(world.number("SELECT count(*) FROM early_event").await, 0);
    let silent = "SELECT count(*) FROM suppression WHERE level = 3";
    assert_eq!(world.number(silent).await, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_question_is_answered_to_its_address_once_a_day_and_three_times_a_week(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber(ADA, &[1]).await;
    let answers =
        "SELECT count(*) FROM mail WHERE kind = 4 AND sealed IS NOT NULL AND language = 1";
    let all = "SELECT count(*) FROM mail WHERE kind = 4";
    let of_hers = "SELECT count(*) FROM mail m JOIN subscription s
                       ON s.subscription_id = m.subscription_id AND s.newsletter_id = m.newsletter_ids[1]
                   WHERE m.kind = 4";
    let one = world.look_up(ADA, at(1));
    let tagged = world.look_up("ada+tag@example.org", at(2));
    world.apply(&[one, tagged]).await;
    assert_eq!(world.number(all).await, 1, "one mailbox, whatever its tag");
    assert_eq!(world.number(answers).await, 1);
    assert_eq!(world.number(of_hers).await, 1);
    // Somebody whom we do not know gets an answer too: that there is nothing.
    let unknown = world.look_up("eve@example.org", at(3));
    world.apply(&[unknown]).await;
    assert_eq!(
        (world.number(all).await, world.number(of_hers).await),
        (2, 1)
    );
    for (day, expected) in [(1, 2), (2, 3), (3, 3), (6, 3), (8, 4)] {
        let now = at(day * 86_400 + 60);
        world.clock.set(now);
        let question = world.look_up(ADA, now);
        world.apply(&[question]).await;
        assert_eq!(world.number(of_hers).await, expected, "day {day}");
    }
    assert!(
        world.ledger().await.is_empty(),
        "a question changes nothing"
    );
    // One that comes late, as from an archive, is not answered any more.
    let old = world.look_up("fay@example.org", at(60));
    world.apply(&[old]).await;
    assert_eq!(world.number(all).await, 5);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_mark_changes_when_somebody_may_come_back_and_not_else(pool: PgPool) {
    let mut world = World::new(pool).await;
    let reader = world.database.resumptions();
    let first = reader.mark().await.unwrap();
    world.subscriber(ADA, &[0]).await;
    let id = world.subscription_id(ADA, 0).await;
    let leave = world.leave(id, at(10));
    let undo = world.undo(leave.event_id, at(20));
    world.apply(&[leave]).await;
    world.subscriber("bob@example.org", &[0]).await;
    assert_eq!(
        reader.mark().await.unwrap(),
        first,
        "new people, and one who left"
    );
    world.apply(&[undo]).await;
    let second = reader.mark().await.unwrap();
    assert_ne!(second, first, "an undo");
    world.clock.advance(Duration::from_mins(1));
    let again = world.sign_up(ADA, &[0], at(30));
    world.apply(&[again]).await;
    assert_ne!(
        reader.mark().await.unwrap(),
        second,
        "a sign-up of somebody known"
    );
}

//! What each request does, its ledger entry, its mail.

use std::time::Duration;

use domain::{Actor, Effect, IssueNumber, MailKind, Method};
use sqlx::PgPool;

use crate::world::{SPOOL, TOKEN, World, at};

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sign_up_waits_and_asks_by_mail(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("ada@example.org", &[1, 0], at(0));
    let id = sign_up.event_id;
    world.apply(&[sign_up]).await;
    let known = world.known("ada@example.org", &[id]).await;
    assert_eq!(known.sign_ups.len(), 1);
    let seven_days = Duration::from_hours(7 * 24);
    assert_eq!(known.sign_ups[0].expires_at, at(0).plus(seven_days));
    assert_eq!(known.consents.len(), 2);
    assert!(
        known
            .consents
            .iter()
            .all(|consent| consent.confirmed.is_none())
    );
    assert!(known.subscriptions.is_empty());
    let mail = "SELECT count(*) FROM mail WHERE kind = 1 AND newsletter_ids = '{2,1}' AND state = 0
                AND sealed IS NOT NULL AND mac_state = 0 AND mac_consent = '\\x00000000000000000000000000000000'";
    assert_eq!(world.number(mail).await, 1);
    let hint = "SELECT count(*) FROM outbox o JOIN mail m
                ON o.topic = 2 AND o.body = '{\"v\":1,\"mail\":' || m.id || '}'";
    assert_eq!(world.number(hint).await, 1);
    let record = "SELECT count(*) FROM consent
                  WHERE origin = 'https://www.example.gov.uk' AND channel = 0 AND lawful_basis = 0
                    AND octet_length(wording_sha256) = 32 AND notice_id IS NOT NULL";
    assert_eq!(world.number(record).await, 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn one_hint_is_enough_for_the_mails_of_one_claim(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_ups: Vec<_> = (0..20)
        .map(|person| world.sign_up(&format!("p{person}@example.org"), &[0], at(0)))
        .collect();
    world.apply(&sign_ups).await;
    assert_eq!(world.number("SELECT count(*) FROM mail").await, 20);
    let hints = "SELECT count(DISTINCT m.id) FROM outbox o JOIN mail m
                 ON o.topic = 2 AND o.body = '{\"v\":1,\"mail\":' || m.id || '}'";
    assert_eq!(world.number(hints).await, 3);
    assert_eq!(world.number("SELECT count(*) FROM outbox").await, 3);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_confirmed_sign_up_is_a_subscription(pool: PgPool) {
    let mut world = World::new(pool).await;
    let id = world.subscriber("Ada@Example.org", &[0, 1]).await;
    let known = world.known("ada@example.org", &[id]).await;
    assert!(known.sign_ups.is_empty(), "it waits no longer");
    assert_eq!(known.subscriptions.len(), 2);
    assert!(known.subscriptions.iter().all(|row| row.state == 1));
    assert_eq!(world.number("SELECT count(*) FROM subscriber").await, 1);
    assert!(
        known
            .consents
            .iter()
            .all(|consent| consent.confirmed.unwrap().kid == TOKEN.kid)
    );
    let twice = "SELECT count(*) FROM consent WHERE sealed IS NOT NULL";
    assert_eq!(
        world.number(twice).await,
        0,
        "the address is kept in one place"
    );
    assert!(world.ledger().await.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_gets_it_already_is_told_so_once_a_day(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber("ada@example.org", &[0]).await;
    let told = "SELECT count(*) FROM mail m
                JOIN subscription s ON s.subscription_id = m.subscription_id
                JOIN sign_up u ON u.box_id = m.box_id AND u.sealed = m.sealed
                WHERE m.kind = 2 AND m.mac_state = 1 AND m.mac_consent = s.consent_event_id
                  AND m.newsletter_ids = '{1}'";
    for _ in 0..2 {
        let again = world.sign_up(
            "ADA@example.org".replace("ADA", "ada").as_str(),
            &[0],
            at(60),
        );
        let other = world.sign_up("ada@example.org", &[0], at(61));
        world.apply(&[again, other]).await;
        assert_eq!(world.number(told).await, 1);
    }
    world.clock.advance(Duration::from_hours(24));
    let later = world.sign_up("ada@example.org", &[0], at(90_000));
    world.apply(&[later]).await;
    assert_eq!(world.number(told).await, 2);
    // One newsletter more is a question again.
    let more = world.sign_up("ada@example.org", &[0, 1], at(90_001));
    world.apply(&[more]).await;
    let asked = "SELECT count(*) FROM mail WHERE kind = 1";
    assert_eq!(world.number(asked).await, 1);
    assert_eq!(MailKind::AlreadySubscribed.number(), 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_unsubscribe_stops_and_its_undo_resumes(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber("ada@example.org", &[0]).await;
    let id = world.subscription_id("ada@example.org", 0).await;
    let leave = world.leave(id, at(10));
    let again = world.leave(id, at(20));
    world.apply(std::slice::from_ref(&leave)).await;
    world.apply(std::slice::from_ref(&again)).await;
    let known = world.known("ada@example.org", &[]).await;
    assert_eq!(known.subscriptions[0].state, 2);
    assert_eq!(known.subscriptions[0].stopped_at, Some(at(10)));
    let withdrawn = known.consents[0].withdrawn.unwrap();
    assert_eq!((withdrawn.at, withdrawn.seq), (at(10), Some(1)));

    // Both must be undone.
    let undos = [
        world.undo(again.event_id, at(30)),
        world.undo(leave.event_id, at(31)),
    ];
    world.apply(&undos[..1]).await;
    assert_eq!(
        world.known("ada@example.org", &[]).await.subscriptions[0].state,
        2
    );
    world.apply(&undos[1..]).await;
    let known = world.known("ada@example.org", &[]).await;
    assert_eq!(known.subscriptions[0].state, 1);
    assert_eq!(known.consents[0].withdrawn, None);

    let ledger = world.ledger().await;
    let effects: Vec<_> = ledger
        .iter()
        .map(|entry| (entry.method, entry.effect))
        .collect();
    assert_eq!(
        effects,
        [
            (Method::OneClick, Effect::Stopped),
            (Method::OneClick, Effect::Already),
            (Method::Undo, Effect::None),
            (Method::Undo, Effect::Resumed),
        ]
    );
    let first = &ledger[0];
    assert_eq!(first.event_id, leave.event_id);
    assert_eq!(first.occurred_at, at(10));
    assert_eq!(first.recorded_at, world.now());
    assert_eq!(first.newsletter, Some(world.newsletters[0].0.number));
    assert_eq!(first.subscription_id, Some(id));
    assert_eq!(first.issue, IssueNumber(4));
    assert_eq!(first.token, Some(TOKEN));
    assert_eq!(first.actor, Actor::Subscriber);
    assert_eq!(first.spool_id, Some(SPOOL));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_undo_may_come_first_and_a_stop_of_nobody_is_recorded(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber("ada@example.org", &[0]).await;
    let id = world.subscription_id("ada@example.org", 0).await;
    let leave = world.leave(id, at(10));
    let undo = world.undo(leave.event_id, at(11));
    let nobody = world.leave(domain::SubscriptionId::new([0xdd; 16]), at(12));
    world.apply(&[undo]).await;
    world.apply(&[leave]).await;
    world.apply(&[nobody]).await;
    assert_eq!(
        world.known("ada@example.org", &[]).await.subscriptions[0].state,
        1
    );
    let ledger = world.ledger().await;
    let effects: Vec<_> = ledger.iter().map(|entry| entry.effect).collect();
    assert_eq!(effects, [Effect::None, Effect::None, Effect::Absent]);
    assert_eq!(ledger[0].subscription_id, None, "not known then");
    assert_eq!(ledger[2].newsletter, None);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_old_confirm_does_not_bring_back_who_left(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.subscriber("ada@example.org", &[0]).await;
    let id = world.subscription_id("ada@example.org", 0).await;
    let old = world.sign_up("ada@example.org", &[0], at(5));
    let leave = world.leave(id, at(10));
    let confirm = world.confirm(old.event_id, at(20));
    world.apply(&[old, leave, confirm]).await;
    let known = world.known("ada@example.org", &[]).await;
    assert_eq!(known.subscriptions[0].state, 2, "signed up before it left");
    let new = world.sign_up("ada@example.org", &[0], at(30));
    let confirm = world.confirm(new.event_id, at(31));
    world.apply(&[new, confirm]).await;
    let known = world.known("ada@example.org", &[]).await;
    assert_eq!(known.subscriptions[0].state, 1);
    assert_eq!(
        known.subscriptions[0].subscription_id, id,
        "old links still work"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn not_me_ends_what_the_sign_up_started_and_the_mailbox_is_left_in_peace(pool: PgPool) {
    let mut world = World::new(pool).await;
    let box_id = world.subscriber("ada@example.org", &[0, 1]).await;
    let not_me = world.not_me(box_id, at(10));
    let again = world.not_me(box_id, at(11));
    world.apply(&[not_me, again]).await;
    let known = world.known("ada@example.org", &[box_id]).await;
    for row in &known.subscriptions {
        assert_eq!((row.state, row.stopped_at), (2, Some(at(10))));
        assert!(row.sealed.is_none(), "the address goes at once");
    }
    assert_eq!(known.consents[0].withdrawn.unwrap().seq, Some(1));
    let ledger = world.ledger().await;
    assert_eq!(ledger[0].effect, Effect::Stopped);
    assert_eq!(ledger[0].method, Method::NotMe);
    assert_eq!(ledger[0].newsletter, None, "both newsletters are one entry");
    assert_eq!(ledger[1].effect, Effect::Already);

    // No confirmation to any +tag of the mailbox, for 12 months.
    let count = "SELECT count(*) FROM mail";
    let before = world.number(count).await;
    let tagged = world.sign_up("ada+x@example.org", &[0], at(20));
    world.apply(&[tagged]).await;
    assert_eq!(world.number(count).await, before);
    world.clock.advance(Duration::from_hours(24 * 366));
    let next_year = world.sign_up("ada+y@example.org", &[0], at(30));
    world.apply(&[next_year]).await;
    assert_eq!(world.number(count).await, before + 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_later_sign_up_that_is_disowned_leaves_the_earlier_one_in_force(pool: PgPool) {
    let mut world = World::new(pool).await;
    let first = world.subscriber("ada@example.org", &[0]).await;
    let second = world.sign_up("ADA@example.org", &[0], at(10));
    let confirm = world.confirm(second.event_id, at(11));
    let not_me = world.not_me(second.event_id, at(12));
    let second_id = second.event_id;
    let row =
        async |world: &World| world.known("ada@example.org", &[]).await.subscriptions[0].clone();
    let before = row(&world).await;
    world.apply(&[second, confirm]).await;
    let between = row(&world).await;
    assert_eq!((between.state, between.box_id), (1, second_id.into()));
    world.apply(&[not_me]).await;
    assert_eq!(
        row(&world).await,
        before,
        "box, address and MAC of the first"
    );
    assert_eq!(before.box_id, first.into());
    let ledger = world.ledger().await;
    assert_eq!(ledger[0].effect, Effect::None, "nothing stopped");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn not_me_about_a_waiting_sign_up_deletes_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("ada@example.org", &[0], at(0));
    let not_me = world.not_me(sign_up.event_id, at(1));
    let confirm = world.confirm(sign_up.event_id, at(2));
    let id = sign_up.event_id;
    world.apply(&[sign_up]).await;
    world.apply(&[not_me]).await;
    world.apply(&[confirm]).await;
    let known = world.known("ada@example.org", &[id]).await;
    assert!(known.sign_ups.is_empty() && known.subscriptions.is_empty());
    let ledger = world.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].effect, Effect::None);
    assert_eq!(ledger[0].newsletter, Some(world.newsletters[0].0.number));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_ledger_takes_nothing_back(pool: PgPool) {
    let mut world = World::new(pool).await;
    let nobody = world.leave(domain::SubscriptionId::new([0xdd; 16]), at(0));
    world.apply(&[nobody]).await;
    assert!(world.refuses("UPDATE ledger_entry SET effect = 1").await);
    assert!(world.refuses("DELETE FROM ledger_entry").await);
    assert!(world.refuses("TRUNCATE ledger_entry").await);
    assert!(
        world
            .refuses("INSERT INTO ledger_entry SELECT * FROM ledger_entry")
            .await
    );
    assert_eq!(world.ledger().await.len(), 1);
}

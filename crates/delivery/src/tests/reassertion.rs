//! A database that forgot what it had committed: a standby that lagged took over (`reliability.md` 1.12).

use std::time::Duration;

use domain::{DeliveryState, IssueNumber};
use service_runtime::Shutdown;
use sqlx::PgPool;
use store::{FanOutStep, InDoubtPolicy, Reasserted};

use super::house::{House, stop};
use super::relay::{Order, Relay};
use crate::reassertion::reassert;
use crate::worker::Worker;

const ACCEPTED: i16 = DeliveryState::Accepted.number();
const DEFERRED: i16 = DeliveryState::Deferred.number();
const BOUNCED: i16 = DeliveryState::Bounced.number();
const IN_DOUBT: i16 = DeliveryState::InDoubt.number();

/// What each of the readers gets from the relay, and what comes of it.
const ENDS: [i16; 6] = [ACCEPTED, ACCEPTED, DEFERRED, BOUNCED, IN_DOUBT, ACCEPTED];

/// An issue of which everybody was tried once.
async fn tried(house: &House, relay: &Relay) -> IssueNumber {
    let readers = house.readers(ENDS.len()).await;
    relay.order(&readers[2], Order::Refuse("450 4.2.1 later"));
    relay.order(&readers[3], Order::Refuse("550 5.1.1 no such user"));
    relay.order(&readers[4], Order::HangUp);
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house
        .until("all were tried", async || house.states().await == ENDS)
        .await;
    stop(worker).await;
    relay.obey_nobody();
    issue
}

/// Forgets all of it but the audience; with `claimed`, the claim is remembered.
async fn forget(house: &House, claimed: bool) {
    let rows = if claimed {
        "UPDATE delivery SET state = 1, code = NULL, enhanced = NULL, not_before = NULL"
    } else {
        "UPDATE delivery SET state = 0, attempt = 0, epoch = 0, worker = NULL, code = NULL,
                enhanced = NULL, not_before = NULL"
    };
    house.execute(rows).await;
    house
        .execute(
            "UPDATE chunk SET state = 0, owner = NULL, next_due = NULL, in_doubt = 0, accepted = NULL,
                    suppressed = NULL, failed = NULL",
        )
        .await;
    house
        .execute("UPDATE issue SET state = 3, finished_at = NULL")
        .await;
}

async fn said(house: &House, worker: &Worker) -> Reasserted {
    reassert(&worker.sender(), house.now()).await.unwrap()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_the_journal_has_is_said_again_and_twice_is_once(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    let issue = tried(&house, &relay).await;
    for claimed in [false, true] {
        forget(&house, claimed).await;
        let worker = house.open_worker(relay.transport());
        let done = said(&house, &worker).await;
        assert_eq!(house.states().await, ENDS, "claimed: {claimed}");
        assert_eq!((done.settled, done.in_doubt, done.awaited), (5, 1, 0));
        assert_eq!(said(&house, &worker).await, Reasserted::default());
        let attempts = house.column("SELECT attempt FROM delivery").await;
        assert_eq!(attempts, [1; ENDS.len()]);
        let doubts = house.column("SELECT in_doubt::smallint FROM chunk").await;
        assert_eq!(doubts, [1]);
        let waits = house
            .column("SELECT (not_before > now())::integer::smallint FROM delivery WHERE state = 3")
            .await;
        assert_eq!(waits.len(), 1);
        let counts = house.progress(issue).await.counts;
        assert_eq!((counts.accepted, counts.uncertain), (3, 1));
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn on_another_timeline_nothing_is_sent_for_half_a_minute_and_nobody_twice(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    let issue = tried(&house, &relay).await;
    let first = relay.accepted();
    assert_eq!(first.len(), 3);
    forget(&house, false).await;
    house
        .subscribe(&["late@residents.example".into()], &house.news.clone())
        .await;
    // somebody who was not tried yet
    house
        .execute(
            "INSERT INTO delivery (issue_id, subscriber_id, subscription, chunk_no, updated_at)
             SELECT d.issue_id, s.subscriber_id, s.id, d.chunk_no, d.updated_at
             FROM (SELECT * FROM delivery LIMIT 1) d, subscription s
             WHERE NOT EXISTS (SELECT FROM delivery o WHERE o.subscriber_id = s.subscriber_id)",
        )
        .await;
    house.execute("UPDATE chunk SET n = n + 1").await;
    let path = house.folder.path().join("state/timeline");
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept, "1\n");
    std::fs::write(&path, "90").unwrap();

    let worker = house.open_worker(relay.transport());
    worker.recover().await.unwrap();
    let fence = worker.fence();
    let shutdown = Shutdown::new();
    worker.spawn(None, &shutdown);
    house
        .until("the journal was said", async || {
            house.states().await[..ENDS.len()] == ENDS
        })
        .await;
    house
        .until("the heart beats", async || fence.age().is_some())
        .await;
    assert!(!fence.may_send(), "others may not have said theirs yet");
    assert!(fence.check().is_err());
    assert_eq!(relay.accepted(), first);
    house.boot_clock.sleep(Duration::from_secs(30));
    house
        .until("sending goes on", async || relay.accepted().len() > 3)
        .await;
    house.clock.advance(Duration::from_mins(16));
    let done = house.finished(issue).await;
    stop(shutdown).await;
    let mut once = relay.accepted();
    once.dedup();
    assert_eq!(once, relay.accepted(), "nobody twice");
    assert_eq!(done.counts.accepted, 5);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), kept, "its peace");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_audience_that_was_forgotten_is_waited_for(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    tried(&house, &relay).await;
    house.execute("DELETE FROM delivery").await;
    house.execute("DELETE FROM chunk").await;
    house
        .execute("UPDATE issue SET state = 1, upper_id = NULL, cursor_id = 0, fanned_out_at = NULL")
        .await;
    let worker = house.open_worker(relay.transport());
    let first = said(&house, &worker).await;
    assert_eq!((first.settled, first.in_doubt), (0, 0));
    assert_eq!(first.awaited, 6);
    let fan_out = house.database.fan_out();
    while fan_out.step(house.now()).await.unwrap() != FanOutStep::Idle {}
    let second = said(&house, &worker).await;
    assert_eq!(second.awaited, 0);
    assert_eq!(house.states().await, ENDS);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_issue_with_the_same_number_is_another_issue(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    tried(&house, &relay).await;
    forget(&house, false).await;
    house
        .execute("UPDATE issue SET approved_at = approved_at + interval '2 hours'")
        .await;
    let worker = house.open_worker(relay.transport());
    assert_eq!(said(&house, &worker).await, Reasserted::default());
    assert_eq!(house.states().await, [0; ENDS.len()]);
    // nor is another person with the same row
    house
        .execute("UPDATE issue SET approved_at = approved_at - interval '2 hours'")
        .await;
    house
        .execute(
            "UPDATE subscription SET subscription_id = substr(sha256(subscription_id), 1, 16)
             WHERE id = (SELECT min(id) FROM subscription)",
        )
        .await;
    let done = said(&house, &worker).await;
    assert_eq!(done.settled, 4);
    assert_eq!(house.states().await[0], 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_dot_on_the_wire_is_no_doubt(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    let readers = house.readers(2).await;
    relay.order(&readers[0], Order::HoldDot);
    house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.open_worker(relay.transport());
    worker.recover().await.unwrap();
    let sender = worker.sender();
    let shutdown = Shutdown::new();
    worker.spawn(None, &shutdown);
    house
        .until("one is sent and one is on the wire", async || {
            relay.was_dotted(&readers[0]) && house.states().await == [1, ACCEPTED]
        })
        .await;
    let done = reassert(&sender, house.now()).await.unwrap();
    assert_eq!(done, Reasserted::default(), "the row stands at it");
    // but where the claim is forgotten, only the doubt keeps others from sending
    house
        .execute("UPDATE delivery SET state = 0, attempt = 0, epoch = 0 WHERE state = 1")
        .await;
    let done = reassert(&sender, house.now()).await.unwrap();
    assert_eq!(done.in_doubt, 1);
    relay.release();
    house
        .until("the answer is evidence", async || {
            house.states().await == [ACCEPTED; 2]
        })
        .await;
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_confirmation_is_not_sent_again_and_can_be_confirmed(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    let worker = house.start(relay.transport()).await;
    house
        .until("the confirmation is sent", async || {
            house.column("SELECT state FROM mail").await == [ACCEPTED]
        })
        .await;
    stop(worker).await;
    house
        .execute(
            "UPDATE mail SET state = 0, epoch = 0, attempt = 0, worker = NULL, code = NULL, sealed = '\\x00'",
        )
        .await;
    house
        .execute("UPDATE consent SET confirmation_sent_at = NULL, confirmation_message_id = NULL")
        .await;
    let worker = house.open_worker(relay.transport());
    let done = said(&house, &worker).await;
    assert_eq!((done.settled, done.in_doubt), (1, 0));
    assert_eq!(said(&house, &worker).await, Reasserted::default());
    assert_eq!(house.column("SELECT state FROM mail").await, [ACCEPTED]);
    let told = house
        .column(
            "SELECT (confirmation_sent_at IS NOT NULL AND confirmation_message_id IS NOT NULL)
                    ::integer::smallint FROM consent",
        )
        .await;
    assert_eq!(told, [1]);
}

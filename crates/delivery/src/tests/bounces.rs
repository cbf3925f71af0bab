//! Mail that comes back, from the relay's word to the end of a subscription.

use std::time::Duration;

use domain::{DeliveryState, IssueNumber};
use sqlx::PgPool;
use store::{HoldReason, InDoubtPolicy, IssueState};

use super::house::{House, stop};
use super::relay::{Order, Relay};

const BOUNCED: i16 = DeliveryState::Bounced.number();
const ASKED: &str = "SELECT count(*)::smallint FROM request_inbox WHERE stop";
const STOPPED: &str = "SELECT state FROM subscription WHERE state <> 1";

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_is_not_there_gets_no_second_issue(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(6).await;
    let relay = Relay::start().await;
    relay.order(&readers[1], Order::Refuse("550 5.1.1 no such user"));
    relay.order(&readers[2], Order::Refuse("550 5.7.1 looks like spam"));
    // what comes back says nothing of a later sign-up, nor of one in the same moment
    house.clock.advance(Duration::from_secs(1));
    let first = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house.finished(first).await;
    house
        .until("a stop is asked for", async || {
            house.column(ASKED).await == [1]
        })
        .await;
    house.apply().await;
    assert_eq!(house.column(ASKED).await, [0]);
    let entry = house
        .column(
            "SELECT 1::smallint FROM ledger_entry l
             JOIN automated_decision a ON a.decision_id = l.decision_id AND a.rule = 0
             JOIN subscription s ON s.subscription_id = l.subscription_id AND s.state = 2
             JOIN delivery d ON d.subscription = s.id AND d.enhanced = '5.1.1'
             JOIN worker w ON w.worker_id = l.spool_id
             WHERE l.method = 5 AND l.actor = 1 AND l.effect = 0 AND l.issue = 1
               AND l.kid IS NULL",
        )
        .await;
    assert_eq!(entry, [1], "one entry, with its decision");
    let entries = house.column("SELECT method FROM ledger_entry").await;
    assert_eq!(entries, [5], "nobody else");

    relay.obey_nobody();
    let second = house.fan_out(InDoubtPolicy::Skip).await;
    let done = house.finished(second).await;
    stop(worker).await;
    assert_eq!((done.counts.audience, done.counts.accepted), (5, 5));
    assert!(!relay.accepted().contains(&readers[1]), "never again");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_relay_without_its_directory_ends_no_subscription(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(200).await;
    let relay = Relay::start().await;
    for reader in &readers {
        relay.order(reader, Order::Refuse("550 5.1.1 no such user"));
    }
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house
        .until("the issue is held", async || {
            house.progress(issue).await.state == IssueState::Held
        })
        .await;
    let reason = house.column("SELECT held_reason FROM issue").await;
    assert_eq!(reason, [HoldReason::Refusals.number()]);
    house
        .until("what was in hand is written down", async || {
            house.progress(issue).await.in_hand == 0
        })
        .await;
    let shares = house.database.bounces().issues().await.unwrap();
    assert_eq!(shares.left_alone, [IssueNumber(1)]);
    assert!(shares.to_judge.is_empty());
    stop(worker).await;
    house.apply().await;
    assert_eq!(house.column(ASKED).await, [0]);
    assert!(house.column(STOPPED).await.is_empty());
    let counts = house.progress(issue).await.counts;
    assert!(counts.failed >= 50, "{counts:?}");
    assert!(counts.waiting > 0, "{counts:?}");
    let states = house.states().await;
    assert!(states.iter().all(|state| [0, BOUNCED].contains(state)));
}

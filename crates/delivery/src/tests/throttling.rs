//! A relay that has too much of us, or refuses what we send (`reliability.md` 2.4; F35, F39 and F40 in
//! small).

use std::sync::Arc;
use std::time::Duration;

use domain::{DeliveryState, IssueNumber, MailKind, Outcome, Reply};
use service_runtime::Shutdown;
use sqlx::PgPool;
use store::{InDoubtPolicy, IssueState};

use super::house::{House, stop};
use super::relay::{Order, Place, Relay};
use crate::route::{Permit, Route, RouteLimits};

const QUEUED: i16 = DeliveryState::Queued.number();
const ATTEMPTING: i16 = DeliveryState::Attempting.number();
const ACCEPTED: i16 = DeliveryState::Accepted.number();
const DEFERRED: i16 = DeliveryState::Deferred.number();
const BOUNCED: i16 = DeliveryState::Bounced.number();
const HELD: &str = "SELECT 1::smallint FROM route WHERE held_until > now() + interval '20 minutes'";
const ATTEMPTS: &str = "SELECT attempt - uncounted FROM delivery ORDER BY subscriber_id";

/// The way to a relay for three connections, without a worker around it.
fn route(house: &House, limits: RouteLimits) -> Arc<Route> {
    Arc::new(Route::new(
        limits,
        3,
        house.database.rate_grants(),
        house.database.issues(),
        house.clock.clone(),
    ))
}

fn deferred(code: u16, enhanced: [u8; 3]) -> Outcome {
    Outcome::Deferred(Reply {
        code,
        enhanced: Some(enhanced),
    })
}

/// How many of the deliveries are in this state.
async fn number(house: &House, state: i16) -> usize {
    let states = house.states().await;
    states.iter().filter(|known| **known == state).count()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_421_costs_whom_it_was_said_about_an_attempt_and_nobody_else(pool: PgPool) {
    let house = House::open(pool).await;
    // more than there are connections
    let readers = house.readers(8).await;
    for place in [
        Place::Banner,
        Place::Idle,
        Place::Mail,
        Place::Rcpt,
        Place::Data,
        Place::Dot,
    ] {
        let relay = Relay::start().await;
        let answer = match place {
            Place::Idle => "250 2.0.0 queued\r\n421 4.4.2 idle for too long",
            _ => "421 4.3.2 closing",
        };
        relay.answer_next(place, answer);
        let issue = house.fan_out(InDoubtPolicy::Skip).await;
        let worker = house.start(relay.transport()).await;
        let lost = usize::from(!matches!(place, Place::Banner | Place::Idle));
        house
            .until(&format!("all were tried: {place:?}"), async || {
                let counts = house.progress(issue).await.counts;
                counts.accepted == (readers.len() - lost) as u64
            })
            .await;
        house
            .until("one is deferred", async || {
                number(&house, DEFERRED).await == lost
            })
            .await;
        assert!(house.column(ATTEMPTS).await.iter().all(|tries| *tries == 1));
        house.clock.advance(Duration::from_secs(91));
        house.finished(issue).await;
        stop(worker).await;
        assert_eq!(relay.accepted(), readers, "{place:?}: each of them once");
        house.execute("DELETE FROM delivery").await;
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_421_halves_the_connections_and_successes_bring_them_back(pool: PgPool) {
    let house = House::open(pool).await;
    let route = route(&house, RouteLimits::none());
    let mut lanes: Vec<_> = (0..3).map(|_| route.try_lane().unwrap()).collect();
    assert!(route.try_lane().is_none() && lanes[0].may_stay());
    let now = tokio::time::Instant::now();
    route.told(MailKind::Issue, &deferred(421, [4, 3, 2]), now);
    assert!(!lanes[0].may_stay());
    lanes.truncate(1);
    assert!(lanes[0].may_stay(), "one is left");
    assert!(route.try_lane().is_none());
    let successes = async {
        for _ in 0..20 {
            route.told(MailKind::Confirmation, &Outcome::Accepted, now);
        }
        assert!(route.try_lane().is_none(), "a confirmation's are another's");
        for _ in 0..20 {
            route.told(MailKind::Issue, &Outcome::Accepted, now);
        }
    };
    let (lane, ()) = tokio::join!(route.lane(), successes);
    assert!(lane.may_stay());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_relay_that_counts_recipients_gets_fewer_on_a_connection(pool: PgPool) {
    let house = House::open(pool).await;
    let route = route(&house, RouteLimits::none());
    let now = tokio::time::Instant::now();
    assert_eq!(route.messages(100), 100);
    route.told(MailKind::Issue, &deferred(452, [4, 5, 3]), now);
    assert!(route.messages(100) < 100);
    assert!(route.may_send(MailKind::Issue, now), "and nothing else");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_throttling_relay_gets_a_mail_a_minute_and_confirmations_first(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    for reader in house.readers(30).await {
        relay.order(&reader, Order::Refuse("451 4.7.1 you are too fast"));
    }
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house
        .until("the relay is left in peace", async || {
            house.column(HELD).await == [1] && number(&house, ATTEMPTING).await == 0
        })
        .await;
    let deferred = number(&house, DEFERRED).await;
    assert!((1..=3).contains(&deferred), "{deferred}: one a connection");
    assert_eq!(number(&house, QUEUED).await, 30 - deferred);

    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    // a minute later; issues wait for five seconds more
    house
        .execute("UPDATE route SET spent_upto = clock_timestamp() - interval '60 seconds'")
        .await;
    house
        .until("the confirmation is sent", async || {
            house.column("SELECT state FROM mail").await == [ACCEPTED]
        })
        .await;
    assert_eq!(relay.accepted(), ["new@residents.example"]);
    assert_eq!(number(&house, DEFERRED).await, deferred, "and nothing else");

    relay.obey_nobody();
    house
        .execute("UPDATE route SET held_until = clock_timestamp()")
        .await;
    house.clock.advance(Duration::from_mins(16));
    house.finished(issue).await;
    stop(worker).await;
    assert_eq!(relay.accepted().len(), 31);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_workers_hold_is_seen(pool: PgPool) {
    let house = House::open(pool).await;
    let (one, other) = (
        route(&house, RouteLimits::none()),
        route(&house, RouteLimits::none()),
    );
    let shutdown = Shutdown::new();
    // nothing goes before the database was asked
    let early = one.permit(MailKind::Issue, &shutdown);
    assert!(tokio::time::timeout(Duration::ZERO, early).await.is_err());
    for route in [&one, &other] {
        let (route, task) = (Arc::clone(route), shutdown.clone());
        shutdown.spawn("route", async move { route.run(&task).await });
    }
    let kind = MailKind::Issue;
    assert_eq!(other.permit(kind, &shutdown).await, Permit::Go);
    one.told(kind, &deferred(450, [4, 7, 0]), tokio::time::Instant::now());
    house
        .until("the other heard of it", async || {
            other.permit(kind, &shutdown).await == Permit::Held
        })
        .await;
    assert_eq!(other.room(100), 1);
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_is_always_refused_for_now_is_tried_by_the_schedule(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(12).await;
    let relay = Relay::start().await;
    for reader in &readers {
        relay.order(reader, Order::Refuse("451 4.3.0 later"));
    }
    house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    for (tries, wait) in [(1, 15), (2, 30), (3, 60), (4, 120)] {
        house
            .until("all were tried", async || {
                house.column(ATTEMPTS).await == [tries; 12] && number(&house, DEFERRED).await == 12
            })
            .await;
        let in_time = house
            .column(
                "SELECT (extract(epoch FROM not_before - updated_at) / 60)::smallint FROM delivery",
            )
            .await;
        assert!(
            in_time
                .iter()
                .all(|minutes| (wait / 2..=wait).contains(minutes)),
            "{in_time:?}"
        );
        house
            .clock
            .advance(Duration::from_mins(wait.unsigned_abs().into()));
    }
    stop(worker).await;
    assert!(relay.accepted().is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_issue_that_the_relay_refuses_is_held_and_nobody_is_suppressed(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(400).await;
    let relay = Relay::start().await;
    for (index, reader) in readers.iter().enumerate() {
        if index % 5 == 0 {
            relay.order(reader, Order::Refuse("550 5.7.1 looks like spam"));
        } else if index % 20 == 1 {
            relay.order(reader, Order::Refuse("550 5.1.1 no such user"));
        }
    }
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house
        .until("the issue is held", async || {
            house.progress(issue).await.state == IssueState::Held
        })
        .await;
    house
        .until("nothing is in hand", async || {
            number(&house, ATTEMPTING).await == 0
        })
        .await;
    stop(worker).await;
    let counts = house.progress(issue).await.counts;
    assert!(counts.waiting > 200, "{counts:?}");
    assert!(counts.failed < 40, "{counts:?}");
    let reason = house.column("SELECT held_reason FROM issue").await;
    assert_eq!(reason, [store::HoldReason::Refusals.number()]);
    let policy = house
        .column("SELECT state FROM delivery WHERE enhanced LIKE '5.%'")
        .await;
    assert!(policy.iter().all(|state| *state == BOUNCED));
    let suppressed = house.column("SELECT 1::smallint FROM suppression").await;
    assert!(suppressed.is_empty(), "nobody loses their subscription");
    let gone = house
        .column("SELECT state FROM subscription WHERE state <> 1")
        .await;
    assert!(gone.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_issue_may_not_go_from_its_last_refusal_on(pool: PgPool) {
    let house = House::open(pool).await;
    let route = route(&house, RouteLimits::none());
    let policy = Outcome::Rejected(Reply {
        code: 554,
        enhanced: None,
    });
    for _ in 0..9 {
        route.told_of_issue(IssueNumber(1), &policy);
    }
    assert!(route.issue_may_go(IssueNumber(1)));
    route.told_of_issue(IssueNumber(1), &policy);
    assert!(!route.issue_may_go(IssueNumber(1)));
    assert!(route.issue_may_go(IssueNumber(2)));
    let shutdown = Shutdown::new();
    let (task, running) = (shutdown.clone(), Arc::clone(&route));
    shutdown.spawn("route", async move { running.run(&task).await });
    house
        .until("the database holds it", async || {
            route.issue_may_go(IssueNumber(1))
        })
        .await;
    stop(shutdown).await;
}

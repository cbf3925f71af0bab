//! What operators say to an issue while it goes out: paused, resumed, cancelled, tried again, decided.

use std::time::Duration;

use domain::{DeliveryState, IssueNumber, Language};
use mail::{FrozenIssue, IssueMail};
use sqlx::{Executor, PgPool, Row};
use store::{DoubtDecision, FrozenText, HoldReason, InDoubtPolicy, IssueState};

use super::house::{House, run, stop};
use super::relay::{Order, Relay};

const ACCEPTED: i16 = DeliveryState::Accepted.number();
/// Longer than a mail takes here by far.
const A_WHILE: Duration = Duration::from_millis(300);

/// Waits until no worker has anything of the issue in hand.
async fn at_rest(house: &House, issue: IssueNumber) {
    house
        .until("nothing is in hand", async || {
            house.progress(issue).await.in_hand == 0
        })
        .await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_pause_stops_a_mail_that_the_relay_is_slow_to_take(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    let relay = Relay::start().await;
    relay.order(&readers[0], Order::HoldRcpt);
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.open_worker_with_one_line(relay.transport());
    let (lookout, shutdown) = run(worker).await;
    house
        .until("the relay was asked", async || relay.was_tried(&readers[0]))
        .await;
    let desk = house.database.issues();
    desk.pause(issue).await.unwrap();
    house
        .until("the pause is seen", async || lookout.is_stopped(issue))
        .await;
    relay.release();
    at_rest(&house, issue).await;
    assert_eq!(relay.accepted(), readers[..0]);
    assert_eq!(house.states().await, [0, 0]);
    desk.resume(issue).await.unwrap();
    house.finished(issue).await;
    stop(shutdown).await;
    assert_eq!(relay.accepted(), readers, "one copy each");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_pause_stops_what_was_claimed_and_suppresses_nobody(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(8).await;
    let relay = Relay::start().await;
    relay.order(&readers[0], Order::HoldDot);
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.open_worker_with_one_line(relay.transport());
    let (lookout, shutdown) = run(worker).await;
    house
        .until("the dot is out", async || relay.was_dotted(&readers[0]))
        .await;
    let desk = house.database.issues();
    desk.pause(issue).await.unwrap();
    house
        .until("the pause is seen", async || lookout.is_stopped(issue))
        .await;
    // reasons that are read again now must not take the pause for one to suppress
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    relay.release();
    at_rest(&house, issue).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(relay.accepted(), readers[..1]);
    assert_eq!(house.states().await, [ACCEPTED, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(house.progress(issue).await.state, IssueState::Paused);
    desk.resume(issue).await.unwrap();
    let done = house.finished(issue).await;
    stop(shutdown).await;
    assert_eq!(relay.accepted(), readers, "one copy each");
    assert_eq!(done.counts.accepted, 8);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_equation_holds_through_pauses_at_any_moment(pool: PgPool) {
    let house = House::open(pool).await;
    let mut readers = house.readers(250).await;
    let relay = Relay::start().await;
    let worker = house.open_worker(relay.transport());
    let (lookout, shutdown) = run(worker).await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    let desk = house.database.issues();
    let pauses = async {
        for turn in 0..6u64 {
            tokio::time::sleep(Duration::from_millis(15 + 20 * turn)).await;
            if desk.pause(issue).await.is_err() {
                break;
            }
            house
                .until("the pause is seen", async || lookout.is_stopped(issue))
                .await;
            at_rest(&house, issue).await;
            let before = relay.accepted().len();
            tokio::time::sleep(A_WHILE).await;
            assert_eq!(relay.accepted().len(), before, "a mail in a pause");
            desk.resume(issue).await.unwrap();
        }
    };
    // a connection of its own looks all the time; `progress` asserts the balance
    let looks = async {
        let mut looks = 0;
        loop {
            let progress = house.progress(issue).await;
            looks += 1;
            assert!(progress.counts.audience == 250 || !progress.fanned_out);
            if progress.state == IssueState::Finished {
                return looks;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ((), looks) = tokio::join!(pauses, looks);
    stop(shutdown).await;
    assert!(looks > 20, "{looks}");
    readers.sort();
    assert_eq!(relay.accepted(), readers, "one copy each");
    let counts = house.progress(issue).await.counts;
    assert_eq!(counts.accepted, 250);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_cancelled_issue_ends_with_what_was_on_the_wire(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(450).await;
    let relay = Relay::start().await;
    for reader in &readers {
        relay.order(reader, Order::HoldDot);
    }
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house
        .until("dots are out", async || {
            readers.iter().filter(|it| relay.was_dotted(it)).count() >= 2
        })
        .await;
    house.database.issues().cancel(issue).await.unwrap();
    house
        .until("the rest is cancelled", async || {
            house.progress(issue).await.counts.suppressed > 200
        })
        .await;
    relay.release();
    house
        .until("the issue has ended", async || {
            house.progress(issue).await.finished.is_some()
        })
        .await;
    stop(worker).await;
    let done = house.progress(issue).await;
    assert_eq!(done.state, IssueState::Cancelled);
    assert_eq!(done.counts.waiting, 0);
    let sent = relay.accepted();
    assert_eq!(done.counts.accepted, sent.len() as u64);
    assert_eq!(done.counts.suppressed, 450 - done.counts.accepted);
    assert!(sent.len() < 10, "{} mails of a cancelled issue", sent.len());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_was_refused_is_tried_again_when_somebody_says_so(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(4).await;
    let relay = Relay::start().await;
    relay.order(&readers[1], Order::Refuse("550 5.7.1 relaying denied"));
    relay.order(&readers[2], Order::Refuse("550 5.7.1 relaying denied"));
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    let done = house.finished(issue).await;
    assert_eq!((done.counts.accepted, done.counts.failed), (2, 2));
    relay.obey_nobody();
    let deadline = house.now().plus(Duration::from_hours(36));
    let desk = house.database.issues();
    desk.retry_failed(issue, deadline).await.unwrap();
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!((done.counts.accepted, done.counts.failed), (4, 0));
    assert_eq!(relay.accepted(), readers, "one copy each");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_doubt_is_looked_up_by_its_message_id_and_decided(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(3).await;
    let relay = Relay::start().await;
    relay.order(&readers[1], Order::HangUp);
    relay.order(&readers[2], Order::HangUp);
    let issue = house.fan_out(InDoubtPolicy::Hold).await;
    let worker = house.start(relay.transport()).await;
    let done = house.finished(issue).await;
    assert_eq!((done.counts.uncertain, done.undecided), (2, 2));
    let desk = house.database.issues();
    house
        .until("the doubts are noted", async || {
            desk.doubts(issue, 10).await.unwrap().len() == 2
        })
        .await;
    let subscription: Vec<u8> = house
        .pool
        .fetch_one("SELECT subscription_id FROM subscription ORDER BY id OFFSET 1 LIMIT 1")
        .await
        .unwrap()
        .get(0);
    let subject = subscription.as_slice().try_into().unwrap();
    let local = house.keys().address.message_id_local_part(issue, subject);
    let only = [format!("{local}@news.council.example")];
    let deadline = house.now().plus(Duration::from_hours(36));
    relay.obey_nobody();
    let decide = async |decision, only: Option<&[String]>| {
        desk.decide_doubts(issue, decision, only, deadline)
            .await
            .unwrap()
    };
    assert_eq!(decide(DoubtDecision::Again, Some(&only)).await, 1);
    assert_eq!(decide(DoubtDecision::Sent, None).await, 1);
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!(relay.accepted(), readers[..2], "the one that was meant");
    assert_eq!((done.counts.accepted, done.counts.uncertain), (2, 1));
    assert_eq!(done.undecided, 0);
}

/// The mail that [`House::approve`]'s text makes, as `letterbox issue send` freezes it.
async fn frozen(house: &House) -> FrozenText {
    let catalogue = house.database.catalogue().read().await.unwrap();
    let text = issue_text::IssueText::new(
        "What is new".into(),
        String::new(),
        "Hello.\n\nThe library opens on Monday.".into(),
    );
    let frozen = FrozenIssue::new(&IssueMail {
        body: catalogue.body.as_ref().unwrap(),
        newsletter: &house.news,
        language: Language::En,
        text: &text,
        base_url: "https://news.council.example",
    })
    .unwrap();
    FrozenText {
        subject: frozen.subject,
        preheader: frozen.preheader,
        sender: frozen.sender,
        headers: frozen.headers,
        feedback: frozen.feedback,
        place: frozen.place,
        text: frozen.text,
        html: frozen.html,
        sha256: frozen.sha256,
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_goes_out_is_what_was_approved(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(1).await;
    let text = frozen(&house).await;
    let issue = house.approve_frozen(InDoubtPolicy::Skip, text).await;
    house.execute("UPDATE body SET name_en = 'Somebody'").await;
    let worker = house.start(house.caught()).await;
    house.finished(issue).await;
    stop(worker).await;
    let mails = house.mails();
    assert!(mails[0].contains("Exampleshire Council"), "{}", mails[0]);
    assert!(!mails[0].contains("Somebody"), "{}", mails[0]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_was_changed_after_its_approval_is_held(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(1).await;
    let text = frozen(&house).await;
    let issue = house.approve_frozen(InDoubtPolicy::Skip, text).await;
    // by somebody who owns the tables
    for statement in [
        "ALTER TABLE issue_content DISABLE TRIGGER issue_content_is_fixed",
        "UPDATE issue_content SET frozen = f, frozen_sha256 = sha256(f) FROM (
             SELECT convert_to(replace(convert_from(frozen, 'UTF8'), 'Monday', 'Sunday'), 'UTF8') AS f
             FROM issue_content) forged",
    ] {
        house.pool.execute(statement).await.unwrap();
    }
    let worker = house.start(house.caught()).await;
    house
        .until("it is held", async || {
            house.progress(issue).await.held == Some(HoldReason::Unrenderable)
        })
        .await;
    stop(worker).await;
    assert!(house.mails().is_empty());
    assert_eq!(house.progress(issue).await.counts.waiting, 1);
}

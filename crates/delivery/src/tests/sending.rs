//! From approval to the last recipient.

use std::time::Duration;

use domain::DeliveryState;
use service_runtime::Shutdown;
use sqlx::PgPool;
use store::InDoubtPolicy;

use super::house::{House, run, stop};
use super::relay::{Order, Relay, transport_to};
use crate::lookout::Lookout;

const ACCEPTED: i16 = DeliveryState::Accepted.number();
const DEFERRED: i16 = DeliveryState::Deferred.number();
const SUPPRESSED: i16 = DeliveryState::Suppressed.number();

/// The first reader leaves, and the look-out has seen it.
async fn first_leaves(house: &House, lookout: &Lookout) {
    let before = lookout.now();
    let left = house.unsubscribe(0).await;
    house
        .until("the stop is seen", async || {
            lookout.changed_since(left, before)
        })
        .await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn everybody_gets_one_copy_and_the_equation_balances_at_every_look(pool: PgPool) {
    let house = House::open(pool).await;
    let mut readers = house.readers(450).await;
    // a reader of something else gets nothing
    let bins = house.bins.clone();
    house
        .subscribe(&["other@residents.example".into()], &bins)
        .await;
    let worker = house.start(house.caught()).await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!(done.counts.audience, 450);
    assert_eq!(done.counts.accepted, 450);
    assert!(done.fanned_out && done.finished.is_some());
    readers.sort();
    assert_eq!(house.recipients(), readers);
    let chunks = house.column("SELECT state FROM chunk").await;
    assert_eq!(chunks, [3, 3, 3]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_mail_carries_its_own_links_and_a_fixed_id_and_date(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(2).await;
    let worker = house.start(house.caught()).await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    house.finished(issue).await;
    stop(worker).await;
    let mails = house.mails();
    let line = |mail: &str, name: &str| -> String {
        let line = mail.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {mail}"))
            .to_owned()
    };
    assert_eq!(line(&mails[0], "Date:"), line(&mails[1], "Date:"));
    assert_ne!(
        line(&mails[0], "Message-ID:"),
        line(&mails[1], "Message-ID:")
    );
    for mail in &mails {
        assert!(line(mail, "Message-ID:").ends_with("@news.council.example>"));
        assert!(mail.contains("https://news.council.example/u/"));
        assert!(mail.contains("?n=council-news&l=en"), "{mail}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_issue_without_readers_is_finished(pool: PgPool) {
    let house = House::open(pool).await;
    let worker = house.start(house.caught()).await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!(done.counts.audience, 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_leaves_while_the_issue_goes_out_gets_no_copy(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(8).await;
    let relay = Relay::start().await;
    relay.order(&readers[0], Order::HoldDot);
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.open_worker_with_one_line(relay.transport());
    let (lookout, shutdown) = run(worker).await;
    // reader0's mail is between dot and reply; reader1 is claimed
    house
        .until("the first dot is out", async || {
            relay.was_dotted(&readers[0])
        })
        .await;
    assert_eq!(house.states().await[..2], [1; 2]);
    let before = lookout.now();
    let left = house.unsubscribe(1).await;
    house
        .until("the stop is seen", async || {
            lookout.changed_since(left, before)
        })
        .await;
    relay.release();
    let done = house.finished(issue).await;
    stop(shutdown).await;
    assert!(!relay.was_tried(&readers[1]), "not even MAIL FROM");
    assert_eq!(relay.accepted().len(), 7);
    assert_eq!(done.counts.suppressed, 1);
    assert_eq!(house.states().await[1], SUPPRESSED);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn no_data_is_said_about_who_leaves_while_the_relay_thinks(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    let relay = Relay::start().await;
    relay.order(&readers[0], Order::HoldRcpt);
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.open_worker(relay.transport());
    let (lookout, shutdown) = run(worker).await;
    house
        .until("RCPT is out", async || relay.was_tried(&readers[0]))
        .await;
    first_leaves(&house, &lookout).await;
    relay.release();
    let done = house.finished(issue).await;
    stop(shutdown).await;
    assert!(!relay.was_told(&readers[0]), "no DATA");
    assert!(relay.was_told(&readers[1]));
    assert_eq!(house.states().await, [SUPPRESSED, ACCEPTED]);
    assert_eq!(done.counts.suppressed, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn no_dot_goes_out_for_who_leaves_while_the_relay_thinks_about_data(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    let relay = Relay::start().await;
    relay.order(&readers[0], Order::HoldData);
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let (lookout, shutdown) = run(house.open_worker(relay.transport())).await;
    house
        .until("DATA is out", async || relay.was_told(&readers[0]))
        .await;
    first_leaves(&house, &lookout).await;
    relay.release();
    let done = house.finished(issue).await;
    stop(shutdown).await;
    assert!(!relay.was_dotted(&readers[0]));
    assert_eq!(relay.accepted(), readers[1..]);
    assert_eq!(house.states().await, [SUPPRESSED, ACCEPTED]);
    assert_eq!(done.counts.suppressed, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_leaves_while_a_connection_is_long_in_coming_gets_nothing(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(1).await;
    let relay = Relay::start().await;
    relay.be_slow();
    house.sign_up("new@residents.example", &house.news).await;
    house.sign_up("stays@residents.example", &house.news).await;
    house.apply().await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house
        .until(
            "an issue and a confirmation wait for a connection",
            async || {
                relay.peers() >= 2
                    && house.states().await == [1]
                    && house.column("SELECT state FROM mail").await == [1; 2]
            },
        )
        .await;
    // neither is in the ledger, from which the look-out has its news
    house
        .execute(
            "INSERT INTO suppression (code, code_kind, code_generation, level, reason, set_at)
             SELECT mailbox_code, 1, 1, 3, 4, now() FROM subscriber
             UNION SELECT mailbox_code, 1, 1, 3, 4, now() FROM mail WHERE id = 1",
        )
        .await;
    house.boot_clock.sleep(Duration::from_secs(3));
    relay.release();
    house
        .until("the other confirmation is sent", async || {
            house.column("SELECT state FROM mail ORDER BY id").await == [SUPPRESSED, ACCEPTED]
        })
        .await;
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!(done.counts.suppressed, 1);
    assert_eq!(relay.accepted(), ["stays@residents.example"]);
    assert!(!relay.was_tried(&readers[0]) && !relay.was_tried("new@residents.example"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_suppressed_address_gets_nothing(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(3).await;
    house
        .execute(
            "INSERT INTO suppression (code, code_kind, code_generation, level, reason, set_at)
             SELECT mailbox_code, 1, 1, 3, 4, now() FROM subscriber ORDER BY id LIMIT 1",
        )
        .await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(house.caught()).await;
    house.finished(issue).await;
    stop(worker).await;
    assert_eq!(house.states().await, [SUPPRESSED, ACCEPTED, ACCEPTED]);
    assert_eq!(house.recipients(), readers[1..]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_deferred_recipient_is_tried_again_when_it_is_due(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(3).await;
    let relay = Relay::start().await;
    relay.order(&readers[1], Order::Refuse("450 4.2.1 later"));
    relay.order(&readers[2], Order::Refuse("550 5.1.1 no such user"));
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    let bounced = DeliveryState::Bounced.number();
    let first = [ACCEPTED, DEFERRED, bounced];
    house
        .until("all were tried", async || house.states().await == first)
        .await;
    relay.obey_nobody();
    house.clock.advance(Duration::from_mins(16));
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!(house.states().await, [ACCEPTED, ACCEPTED, bounced]);
    assert_eq!(done.counts.failed, 1);
    assert_eq!(relay.accepted(), readers[..2]);
    let attempts = house
        .column("SELECT attempt - uncounted FROM delivery ORDER BY subscriber_id")
        .await;
    assert_eq!(attempts, [1, 2, 1]);
    let codes = house
        .column("SELECT code FROM delivery WHERE enhanced = '5.1.1'")
        .await;
    assert_eq!(codes, [550]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn while_the_relay_is_away_nobody_loses_an_attempt(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(3).await;
    let port = {
        let free = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        free.local_addr().unwrap().port()
    };
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(transport_to(port)).await;
    house
        .until("the chunk was taken and handed back", async || {
            house.column("SELECT epoch::smallint FROM chunk").await[0] > 0
                && house.column("SELECT state FROM chunk").await == [0]
        })
        .await;
    assert_eq!(house.states().await, [0, 0, 0]);
    let relay = Relay::start_at(port).await;
    house.finished(issue).await;
    stop(worker).await;
    assert_eq!(relay.accepted(), readers);
    let attempts = house
        .column("SELECT attempt - uncounted FROM delivery")
        .await;
    assert_eq!(attempts, [1, 1, 1]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stop_of_the_process_waits_for_the_reply_after_the_dot(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(3).await;
    let relay = Relay::start().await;
    relay.order(&readers[0], Order::HoldDot);
    house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.open_worker_with_one_line(relay.transport());
    worker.recover().await.unwrap();
    let shutdown = Shutdown::new();
    worker.spawn(None, &shutdown);
    house
        .until("the dot is out", async || relay.was_dotted(&readers[0]))
        .await;
    shutdown.begin();
    relay.release();
    stop(shutdown).await;
    // what was on the wire is settled, what had not begun is as if never tried
    assert_eq!(house.states().await, [ACCEPTED, 0, 0]);
    let attempts = house
        .column("SELECT attempt - uncounted FROM delivery ORDER BY subscriber_id")
        .await;
    assert_eq!(attempts, [1, 0, 0]);
    assert_eq!(house.column("SELECT state FROM chunk").await, [0]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn past_its_deadline_an_issue_expires(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    let relay = Relay::start().await;
    relay.order(&readers[1], Order::Refuse("450 4.2.1 later"));
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house
        .until("all were tried", async || {
            house.states().await == [ACCEPTED, DEFERRED]
        })
        .await;
    house.clock.advance(Duration::from_hours(37));
    house.finished(issue).await;
    stop(worker).await;
    let expired = DeliveryState::Expired.number();
    assert_eq!(house.states().await, [ACCEPTED, expired]);
}

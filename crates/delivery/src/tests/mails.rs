//! Confirmations and "you already get this".

use std::time::Duration;

use domain::DeliveryState;
use service_runtime::Shutdown;
use sqlx::PgPool;

use super::house::{House, stop};
use super::relay::{Order, Relay};

const ACCEPTED: i16 = DeliveryState::Accepted.number();
const SUPPRESSED: i16 = DeliveryState::Suppressed.number();
const STATES: &str = "SELECT state FROM mail ORDER BY id";

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sign_up_is_asked_once_and_the_record_says_when(pool: PgPool) {
    let house = House::open(pool).await;
    let worker = house.start(house.caught()).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    house
        .until("it is sent", async || {
            house.column(STATES).await == [ACCEPTED]
        })
        .await;
    stop(worker).await;
    assert_eq!(house.recipients(), ["new@residents.example"]);
    let mail = &house.mails()[0];
    assert!(
        mail.contains("https://news.council.example/confirm/"),
        "{mail}"
    );
    assert!(
        mail.contains("https://news.council.example/u/"),
        "not-me link"
    );
    let told = house
        .column(
            "SELECT 1::smallint FROM consent c JOIN sign_up u USING (box_id)
             WHERE c.confirmation_message_id LIKE '%@news.council.example'
               AND u.expires_at = c.confirmation_sent_at + interval '7 days'",
        )
        .await;
    assert_eq!(told, [1]);
    let sealed = house
        .column("SELECT 1::smallint FROM mail WHERE sealed IS NOT NULL")
        .await;
    assert!(sealed.is_empty(), "a final mail keeps no address");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_confirmation_that_lost_its_reason_is_not_sent(pool: PgPool) {
    let house = House::open(pool).await;
    let box_id = house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    house.confirm(box_id).await;
    house.apply().await;
    let worker = house.start(house.caught()).await;
    house
        .until("it is suppressed", async || {
            house.column(STATES).await == [SUPPRESSED]
        })
        .await;
    stop(worker).await;
    assert!(house.recipients().is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_gets_it_already_is_told_so(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(1).await;
    house.sign_up(&readers[0], &house.news).await;
    house.apply().await;
    let worker = house.start(house.caught()).await;
    house
        .until("it is sent", async || {
            house.column(STATES).await == [ACCEPTED]
        })
        .await;
    stop(worker).await;
    assert_eq!(house.recipients(), readers);
    assert_eq!(house.column("SELECT kind FROM mail").await, [2]);
    let mail = &house.mails()[0];
    assert!(mail.contains("https://news.council.example/u/"), "{mail}");
    assert!(!mail.contains("/confirm/"), "{mail}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_confirmation_in_doubt_is_sent_again_with_the_same_id(pool: PgPool) {
    let house = House::open(pool).await;
    let relay = Relay::start().await;
    relay.order("new@residents.example", Order::HangUp);
    let worker = house.start(relay.transport()).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    let in_doubt = DeliveryState::InDoubt.number();
    house
        .until("it is in doubt", async || {
            house.column(STATES).await == [in_doubt]
        })
        .await;
    relay.obey_nobody();
    house.clock.advance(Duration::from_secs(31));
    house
        .until("it is sent", async || {
            house.column(STATES).await == [ACCEPTED]
        })
        .await;
    stop(worker).await;
    assert_eq!(relay.accepted(), ["new@residents.example"]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_confirmation_whose_box_was_swapped_is_not_sent(pool: PgPool) {
    let house = House::open(pool).await;
    house.sign_up("one@residents.example", &house.news).await;
    house.sign_up("two@residents.example", &house.news).await;
    house.apply().await;
    house
        .execute(
            "UPDATE mail SET sealed = (SELECT sealed FROM mail ORDER BY id LIMIT 1 OFFSET 1)
             WHERE id = (SELECT min(id) FROM mail)",
        )
        .await;
    let worker = house.start(house.caught()).await;
    let failed = DeliveryState::FailedInternal.number();
    house
        .until("both are settled", async || {
            house.column(STATES).await == [failed, ACCEPTED]
        })
        .await;
    stop(worker).await;
    assert_eq!(house.recipients(), ["two@residents.example"]);
}

/// The server goes on with a claim whose process died, and commits when nobody waits for it any more.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_mail_that_nobody_has_in_hand_is_sent_all_the_same(pool: PgPool) {
    let house = House::open(pool).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    let worker = house.open_worker(house.caught());
    worker.recover().await.unwrap();
    house
        .execute(
            "UPDATE mail SET state = 1, attempt = attempt + 1, epoch = epoch + 1,
                    worker = (SELECT worker_id FROM worker)",
        )
        .await;
    let shutdown = Shutdown::new();
    worker.spawn(None, &shutdown);
    house
        .until("it is sent", async || {
            house.column(STATES).await == [ACCEPTED]
        })
        .await;
    stop(shutdown).await;
    assert_eq!(house.recipients(), ["new@residents.example"]);
}

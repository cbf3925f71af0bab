//! Rows that somebody with access to the tables changed: no mail, and an alarm.

use domain::DeliveryState;
use sqlx::PgPool;
use store::InDoubtPolicy;

use super::house::{House, stop};

const ACCEPTED: i16 = DeliveryState::Accepted.number();
const FAILED: i16 = DeliveryState::FailedInternal.number();

/// Sends an issue to three readers after this change: the first gets nothing, the others their copy.
async fn first_gets_nothing(pool: PgPool, change: &'static str) {
    let house = House::open(pool).await;
    let readers = house.readers(3).await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    house.execute(change).await;
    let worker = house.start(house.caught()).await;
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!(
        house.states().await,
        [FAILED, ACCEPTED, ACCEPTED],
        "{change}"
    );
    assert_eq!(done.counts.failed, 1);
    assert_eq!(house.recipients(), readers[1..], "{change}");
}

macro_rules! changed_rows {
    ($($name:ident: $change:literal;)*) => { $(
        #[sqlx::test(migrator = "store::MIGRATOR")]
        async fn $name(pool: PgPool) {
            first_gets_nothing(pool, $change).await;
        }
    )* };
}

changed_rows! {
    another_persons_box_is_not_opened:
        "UPDATE subscription SET sealed = (SELECT sealed FROM subscription ORDER BY id LIMIT 1 OFFSET 1)
         WHERE id = (SELECT min(id) FROM subscription)";
    another_persons_box_with_its_box_id_is_not_opened:
        "UPDATE subscription s SET sealed = o.sealed, box_id = o.box_id
         FROM (SELECT sealed, box_id FROM subscription ORDER BY id LIMIT 1 OFFSET 1) o
         WHERE s.id = (SELECT min(id) FROM subscription)";
    a_row_with_another_rows_mac_is_refused:
        "UPDATE subscription SET row_mac = (SELECT row_mac FROM subscription ORDER BY id LIMIT 1 OFFSET 1)
         WHERE id = (SELECT min(id) FROM subscription)";
    a_row_with_another_consent_is_refused:
        "UPDATE subscription SET consent_event_id = decode(repeat('ab', 16), 'hex')
         WHERE id = (SELECT min(id) FROM subscription)";
    a_box_of_an_impossible_length_is_refused:
        "UPDATE subscription SET sealed = decode(repeat('01', 40), 'hex')
         WHERE id = (SELECT min(id) FROM subscription)";
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stopped_row_that_somebody_set_active_is_refused(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    house.unsubscribe(0).await;
    house
        .execute("UPDATE subscription SET state = 1 WHERE state = 2")
        .await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(house.caught()).await;
    house.finished(issue).await;
    stop(worker).await;
    assert_eq!(house.states().await, [FAILED, ACCEPTED]);
    assert_eq!(house.recipients(), readers[1..]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_subscription_to_another_newsletter_gets_no_copy(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(1).await;
    let bins = house.bins.clone();
    house
        .subscribe(&["other@residents.example".into()], &bins)
        .await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    // the tables say that the reader of the bin calendar is in the audience of the news
    house
        .execute(
            "WITH added AS (
                 INSERT INTO delivery (issue_id, subscriber_id, subscription, chunk_no, updated_at)
                 SELECT 1, s.subscriber_id, s.id, 0, now() FROM subscription s
                 JOIN newsletter n ON n.id = s.newsletter_id WHERE n.slug = 'bins')
             UPDATE chunk SET n = n + 1 WHERE issue_id = 1 AND chunk_no = 0",
        )
        .await;
    let worker = house.start(house.caught()).await;
    house.finished(issue).await;
    stop(worker).await;
    assert_eq!(house.states().await, [ACCEPTED, FAILED]);
    assert_eq!(house.recipients(), readers);
}

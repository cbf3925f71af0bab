//! What a recipient costs the database.

use sqlx::{Executor, PgPool, Row};
use store::InDoubtPolicy;

use super::house::{House, stop};
use super::relay::Relay;

const RECIPIENTS: i64 = 450;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_recipient_is_one_insert_and_two_updates_that_touch_no_index(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(450).await;
    let relay = Relay::start().await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(relay.transport()).await;
    house.finished(issue).await;
    stop(worker).await;
    // each connection tells what it did when it has nothing to do
    let told = async || {
        let told = house
            .pool
            .fetch_one(
                "SELECT sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint,
                        sum(n_tup_del)::bigint
                 FROM pg_stat_user_tables WHERE relname ~ '^delivery_[0-3]$'",
            )
            .await
            .unwrap();
        [0, 1, 2, 3].map(|column| told.get::<i64, _>(column))
    };
    house
        .until("all changes are told", async || {
            told().await[1] >= 2 * RECIPIENTS
        })
        .await;
    let [inserted, updated, hot, deleted] = told().await;
    assert_eq!(
        [inserted, updated, deleted],
        [RECIPIENTS, 2 * RECIPIENTS, 0]
    );
    assert!(hot * 10 >= updated * 9, "{hot} of {updated} are HOT");
}

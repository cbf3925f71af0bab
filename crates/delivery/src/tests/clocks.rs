//! A machine whose clock is wrong.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::{Clock, DeliveryState, Timestamp};
use sqlx::PgPool;
use store::InDoubtPolicy;

use super::house::{House, run, stop};
use crate::worker::Worker;

const QUEUED: i16 = DeliveryState::Queued.number();
const BEATS: &str = "SELECT heartbeat::smallint FROM worker WHERE heartbeat > 1";

/// The time of day, three days ahead.
struct Ahead;

impl Clock for Ahead {
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with the server's time of day"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.unwrap().as_millis().try_into().unwrap();
        Timestamp::from_millis(millis).plus(Duration::from_hours(72))
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_whose_clock_is_days_ahead_ends_nothing(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(3).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    house.fan_out(InDoubtPolicy::Skip).await;
    // what a right clock would leave alone
    house
        .execute("UPDATE issue SET deadline = now() + interval '1 day'")
        .await;
    house
        .execute("UPDATE mail SET deadline = now() + interval '1 day'")
        .await;
    let worker = Worker::open(
        &house.database,
        Arc::new(house.keys()),
        house.caught(),
        house.settings("state"),
        Arc::new(Ahead),
        house.boot_clock.clone(),
        house.entropy.clone(),
    )
    .unwrap();
    let (_, shutdown) = run(worker).await;
    house
        .until("it beats", async || !house.column(BEATS).await.is_empty())
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop(shutdown).await;
    assert_eq!(house.states().await, [QUEUED; 3]);
    let waiting = house
        .column("SELECT state FROM mail WHERE sealed IS NOT NULL")
        .await;
    assert!(!waiting.is_empty(), "a confirmation keeps its address");
    assert!(house.recipients().is_empty());
}

//! The way by the inbox while the broker is away, and the way back.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use queue::Queue;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::door::Door;
use super::rabbit::Rabbit;
use super::{House, accept, through, until};
use crate::way::Way;

/// How long these tests wait for a broker.
const SOON: Duration = Duration::from_millis(300);

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn requests_go_to_the_inbox_while_the_broker_is_away_and_back_by_themselves(pool: PgPool) {
    let mut house = House::new(&pool);
    house.patience = SOON;
    let rabbit = Rabbit::take().await;
    let spool = house.spool();
    let stops = rabbit.receive(Queue::Stops, spool.spool_id());
    // The broker is away from the start.
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    for number in 1..=3 {
        accept(&spool, number).await;
    }
    house.until_inbox_holds(1..=3).await;
    role.until_it_goes_by(Way::Inbox).await;
    rabbit.door.open();
    role.until_it_goes_by(Way::Queue).await;
    accept(&spool, 4).await;
    stops.until_came(4..=4, 1).await;
    house.until_inbox_holds(1..=3).await;

    // And again. What was confirmed lies where perhaps nobody may reach it.
    house.apply(3).await;
    until("the mark is known", async || role.applied() == 3).await;
    rabbit.door.shut();
    accept(&spool, 5).await;
    house.until_inbox_holds(4..=5).await;
    rabbit.door.open();
    role.until_it_goes_by(Way::Queue).await;
    accept(&spool, 6).await;
    stops.until_came(6..=6, 1).await;
    // Once at most: a batch that is on its way into the inbox at the turn goes by the queue as well.
    assert!(stops.times(5) <= 1);
    house.until_inbox_holds(4..=5).await;
    role.stop().await;
    stops.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn before_its_time_is_over_requests_wait_in_the_spool(pool: PgPool) {
    let house = House::new(&pool);
    let rabbit = Rabbit::take().await;
    let spool = house.spool();
    let stops = rabbit.receive(Queue::Stops, spool.spool_id());
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    until("it is registered", async || role.marks.borrow().registered).await;
    for number in 1..=700 {
        accept(&spool, number).await;
    }
    assert_eq!(role.passage.borrow().way(), Way::Queue);
    assert!(house.inbox().await.is_empty());
    assert_eq!(role.shipped(), 0);
    rabbit.door.open();
    stops.until_came(1..=700, 1).await;
    assert!(house.inbox().await.is_empty());
    role.stop().await;
    stops.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_broker_that_keeps_silent_is_given_up_although_it_is_connected(pool: PgPool) {
    let mut house = House::new(&pool);
    house.patience = SOON;
    let rabbit = Rabbit::take().await;
    rabbit.door.open();
    let spool = house.spool();
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    accept(&spool, 1).await;
    role.until_shipped(1).await;
    role.until_it_goes_by(Way::Queue).await;
    rabbit.door.silence();
    accept(&spool, 2).await;
    role.until_it_goes_by(Way::Inbox).await;
    // The first too: it is a stop, and nobody can say where it is.
    house.until_inbox_holds(1..=2).await;
    rabbit.door.shut();
    rabbit.door.open();
    role.until_it_goes_by(Way::Queue).await;
    role.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn with_both_away_everything_waits_and_goes_by_whichever_comes_first(
    pool_options: PgPoolOptions,
    options: PgConnectOptions,
) {
    let door = Door::to(options.get_host(), options.get_port());
    let database = through(door.port, &options);
    let mut house = House::new(&pool_options.connect_with(options).await.unwrap());
    house.patience = SOON;
    let rabbit = Rabbit::take().await;
    let spool = house.spool();
    let stops = rabbit.receive(Queue::Stops, spool.spool_id());
    let role = house.ship_by(&spool, &database, Some(&rabbit));
    accept(&spool, 1).await;
    role.until_it_goes_by(Way::Inbox).await;
    accept(&spool, 2).await;
    // The broker first.
    rabbit.door.open();
    stops.until_came(1..=2, 1).await;
    role.until_shipped(2).await;
    assert!(house.inbox().await.is_empty());

    // Both away again; the database first. Stops that a queue has and nobody applied come too.
    rabbit.door.shut();
    accept(&spool, 3).await;
    role.until_it_goes_by(Way::Inbox).await;
    accept(&spool, 4).await;
    door.open();
    house.until_inbox_holds(1..=4).await;
    rabbit.door.open();
    role.until_it_goes_by(Way::Queue).await;
    role.stop().await;
    stops.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_silent_database_does_not_hold_up_a_broker_that_is_back(
    pool_options: PgPoolOptions,
    options: PgConnectOptions,
) {
    let door = Door::to(options.get_host(), options.get_port());
    door.open();
    let database = through(door.port, &options);
    let mut house = House::new(&pool_options.connect_with(options).await.unwrap());
    house.patience = SOON;
    let rabbit = Rabbit::take().await;
    let spool = house.spool();
    let stops = rabbit.receive(Queue::Stops, spool.spool_id());
    let role = house.ship_by(&spool, &database, Some(&rabbit));
    accept(&spool, 1).await;
    house.until_inbox_holds(1..=1).await;
    role.until_shipped(1).await;
    // The next insert is sent and never answered.
    door.silence();
    accept(&spool, 2).await;
    rabbit.door.open();
    accept(&spool, 3).await;
    stops.until_came(2..=3, 1).await;
    door.shut();
    role.stop().await;
    stops.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn metrics_tell_by_which_way_requests_go(pool: PgPool) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    // Everything of this test runs on its thread.
    let _here = metrics::set_default_local_recorder(&recorder);
    let goes_by = |queue: u8, inbox: u8| {
        let rendered = metrics.render();
        [("queue", queue), ("inbox", inbox)]
            .iter()
            .all(|(route, value)| {
                let line = format!(
                    "letterbox_shipping_route{{role=\"unsubscribe\",route=\"{route}\"}} {value}"
                );
                rendered.lines().any(|one| one == line)
            })
    };
    let shipped = |route: &str, count: u64| {
        let line = format!(
            "letterbox_requests_shipped_total{{role=\"unsubscribe\",route=\"{route}\"}} {count}"
        );
        metrics.render().lines().any(|one| one == line)
    };

    let mut house = House::new(&pool);
    house.patience = SOON;
    let rabbit = Rabbit::take().await;
    let spool = house.spool();
    accept(&spool, 1).await;
    accept(&spool, 2).await;
    let role = house.ship_by(&spool, &house.database, Some(&rabbit));
    until("it starts", async || goes_by(1, 0)).await;
    until("it has turned", async || goes_by(0, 1)).await;
    until("both are told", async || shipped("inbox", 2)).await;
    rabbit.door.open();
    until("it has turned back", async || goes_by(1, 0)).await;
    accept(&spool, 3).await;
    until("it is told", async || shipped("queue", 1)).await;
    role.stop().await;

    // Without a broker there is one way.
    let role = house.ship_by(&spool, &house.database, None);
    until("it starts", async || goes_by(0, 1)).await;
    role.stop().await;
}

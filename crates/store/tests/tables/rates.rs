//! What workers share of the way to the relay.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use std::time::Duration;

use domain::Timestamp;
use sqlx::PgPool;
use store::{Answers, Ask, DailyCap, Database, Lease, Pace, RateGrants};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// So slow that nothing comes in while a test runs.
const SLOW: Pace = Pace {
    interval: HOUR,
    unused: Duration::from_hours(10),
    reserve: Duration::from_hours(4),
};
const NOON: Timestamp = Timestamp::from_millis(1_795_521_600_000);

async fn lease(
    grants: &RateGrants,
    bulk: bool,
    pace: Option<Pace>,
    day: Option<DailyCap>,
    now: Timestamp,
) -> Lease {
    let ask = Ask {
        mails: 1_000_000,
        bulk,
        pace,
        day,
    };
    grants.lease(&ask, now).await.unwrap()
}

async fn execute(pool: &PgPool, sql: &'static str) {
    let done = sqlx::query(sql).execute(pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_rate_has_a_part_that_only_confirmations_get(pool: PgPool) {
    let grants = Database::from_pool(pool.clone()).rate_grants();
    let bulk = lease(&grants, true, Some(SLOW), None, NOON).await;
    assert_eq!(bulk.mails, 6, "what was unused but for the reserve");
    let again = bulk.again.unwrap();
    assert!(again > Duration::ZERO && again <= HOUR, "{again:?}");
    let bulk = lease(&grants, true, Some(SLOW), None, NOON).await;
    assert_eq!(bulk.mails, 0);
    let first = lease(&grants, false, Some(SLOW), None, NOON).await;
    assert_eq!(first.mails, 4);
    assert_eq!(lease(&grants, false, Some(SLOW), None, NOON).await.mails, 0);
    execute(
        &pool,
        "UPDATE route SET spent_upto = spent_upto - interval '2 hours'",
    )
    .await;
    assert_eq!(lease(&grants, true, Some(SLOW), None, NOON).await.mails, 0);
    assert_eq!(lease(&grants, false, Some(SLOW), None, NOON).await.mails, 2);
    let none = lease(&grants, true, None, None, NOON).await;
    assert_eq!(
        (none.mails, none.again),
        (1_000_000, None),
        "without a limit"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn workers_that_ask_together_do_not_get_more(pool: PgPool) {
    let grants = Database::from_pool(pool).rate_grants();
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let grants = grants.clone();
        asked.spawn(async move {
            let ask = Ask {
                mails: 1,
                bulk: false,
                pace: Some(SLOW),
                day: Some(DailyCap {
                    most: Some(8),
                    warm_up: None,
                }),
            };
            grants.lease(&ask, NOON).await.unwrap().mails
        });
    }
    let got: u32 = asked.join_all().await.into_iter().sum();
    assert_eq!(got, 8, "of the day's 8 and the rate's 10");
    let rate = lease(&grants, false, Some(SLOW), None, NOON).await;
    assert_eq!(
        rate.mails, 2,
        "what the day refused is not lost to the rate"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_day_ends_and_the_next_begins(pool: PgPool) {
    let grants = Database::from_pool(pool).rate_grants();
    let cap = Some(DailyCap {
        most: Some(100),
        warm_up: None,
    });
    let bulk = lease(&grants, true, None, cap, NOON).await;
    assert_eq!((bulk.mails, bulk.left_of_day), (95, Some(0)));
    assert!(bulk.again.is_some());
    assert_eq!(lease(&grants, true, None, cap, NOON).await.mails, 0);
    assert_eq!(lease(&grants, false, None, cap, NOON).await.mails, 5);
    grants.give_back(3, NOON).await.unwrap();
    assert_eq!(lease(&grants, false, None, cap, NOON).await.mails, 3);
    let tomorrow = NOON.plus(DAY);
    assert_eq!(lease(&grants, true, None, cap, tomorrow).await.mails, 95);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_warm_up_rises_from_day_to_day_unless_the_relay_throttles(pool: PgPool) {
    let grants = Database::from_pool(pool).rate_grants();
    let cap = Some(DailyCap {
        most: Some(8_000),
        warm_up: Some(NOON),
    });
    let mut allowed = Vec::new();
    // more than 1 % on the second and the third day, 1 % on the fourth
    for (day, throttled) in [(0, 0), (1, 11), (2, 500), (3, 10), (4, 0), (5, 0), (6, 0)] {
        let now = NOON.plus(DAY * day);
        let bulk = lease(&grants, true, None, cap, now).await.mails;
        let rest = lease(&grants, false, None, cap, now).await.mails;
        allowed.push(bulk + rest);
        let answers = Answers {
            all: 1_000,
            throttled,
        };
        grants.report(answers, now).await.unwrap();
    }
    assert_eq!(allowed, [500, 1_000, 1_000, 1_000, 2_000, 5_000, 8_000]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_hold_is_every_workers_and_leaves_a_mail_a_minute(pool: PgPool) {
    let grants = Database::from_pool(pool.clone()).rate_grants();
    assert_eq!(grants.held().await.unwrap(), None);
    grants.hold().await.unwrap();
    let held = grants.held().await.unwrap().unwrap();
    assert!(held > Duration::from_mins(20) && held <= Duration::from_mins(30));
    let fast = Some(Pace {
        interval: Duration::from_millis(1),
        ..SLOW
    });
    let now = lease(&grants, false, fast, None, NOON).await;
    assert_eq!(now.mails, 0, "whatever the rate");
    assert!(now.held.is_some());
    // a minute later, and not quite the five seconds that issues wait for a confirmation
    execute(
        &pool,
        "UPDATE route SET spent_upto = clock_timestamp() - interval '60 seconds'",
    )
    .await;
    let minute = lease(&grants, false, fast, None, NOON).await;
    assert_eq!(minute.mails, 1);
    execute(
        &pool,
        "UPDATE route SET spent_upto = clock_timestamp() - interval '1 day'",
    )
    .await;
    let long_unused = lease(&grants, true, fast, None, NOON).await;
    assert_eq!(long_unused.mails, 1, "unused minutes are not saved up");

    execute(
        &pool,
        "UPDATE route SET held_since = held_since - interval '80 minutes'",
    )
    .await;
    execute(
        &pool,
        "UPDATE route SET held_until = clock_timestamp() + interval '1 minute'",
    )
    .await;
    grants.hold().await.unwrap();
    let longer = grants.held().await.unwrap().unwrap();
    assert!(
        longer > Duration::from_mins(1) && longer <= Duration::from_mins(10),
        "90 minutes at the most: {longer:?}"
    );
    execute(&pool, "UPDATE route SET held_until = clock_timestamp()").await;
    assert_eq!(grants.held().await.unwrap(), None);
    let over = lease(&grants, true, None, None, NOON).await;
    assert_eq!((over.mails, over.held), (1_000_000, None));
}

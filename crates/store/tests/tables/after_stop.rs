//! Mail to somebody who had left, found after the fact.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use std::time::Duration;

use domain::{IssueNumber, SubscriptionId, Timestamp};
use sqlx::PgPool;
use store::{AfterStopAudit, Database, InDoubtPolicy, LateMail, STOP_EFFECT_LIMIT, SentMail};

use super::audience::{NOW, issue, readers};

/// Stops a reader's subscription at this moment, as the registrar does.
async fn stop(pool: &PgPool, reader: i64, at: Timestamp) {
    let stopped = sqlx::query(
        "UPDATE subscription SET state = 2, stopped_at = $2, changed_at = $2 WHERE id = $1",
    )
    .bind(reader)
    .bind(at.to_date_time())
    .execute(pool)
    .await;
    assert_eq!(stopped.unwrap().rows_affected(), 1);
}

async fn id_of(pool: &PgPool, reader: i64) -> SubscriptionId {
    let id: Vec<u8> = sqlx::query_scalar("SELECT subscription_id FROM subscription WHERE id = $1")
        .bind(reader)
        .fetch_one(pool)
        .await
        .unwrap();
    SubscriptionId::try_from(&id[..]).unwrap()
}

async fn sent(pool: &PgPool, issue: IssueNumber, reader: i64, data_at: Timestamp) -> SentMail {
    SentMail {
        issue,
        subscription: id_of(pool, reader).await,
        data_at,
    }
}

async fn audit(database: &Database) -> AfterStopAudit {
    database.mail_after_stop().audit().await.unwrap()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_mail_after_the_stop_is_noted_and_only_late_mail_is_late(pool: PgPool) {
    let database = readers(&pool, 5).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    let table = database.mail_after_stop();
    let millis = Duration::from_millis;
    for reader in 1..=4 {
        stop(&pool, reader, NOW).await;
    }
    let before = NOW.minus(millis(1));
    let soon = NOW.plus(millis(150));
    let limit = NOW.plus(STOP_EFFECT_LIMIT);
    let late = limit.plus(millis(1));
    let mails = [
        sent(&pool, issue, 1, before).await,
        sent(&pool, issue, 2, soon).await,
        sent(&pool, issue, 3, limit).await,
        sent(&pool, issue, 4, late).await,
        // reads on
        sent(&pool, issue, 5, late).await,
    ];
    let mut found = table.note(&mails).await.unwrap();
    found.sort();
    assert_eq!(found, [millis(150), millis(2_000), millis(2_001)]);
    let expected = AfterStopAudit {
        within: 2,
        longest_within: STOP_EFFECT_LIMIT,
        late: 1,
        newest_late: vec![LateMail {
            issue,
            stopped_at: NOW,
            data_at: late,
        }],
    };
    assert_eq!(audit(&database).await, expected);
    // Said again: the same. Another attempt at the same person, later: the later one counts.
    table.note(&mails).await.unwrap();
    assert_eq!(audit(&database).await, expected);
    let again = [
        sent(&pool, issue, 2, soon).await,
        sent(&pool, issue, 2, late).await,
    ];
    assert_eq!(table.note(&again).await.unwrap(), [millis(2_001)]);
    assert_eq!(audit(&database).await.late, 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_broken_promise_is_kept_and_the_person_is_not(pool: PgPool) {
    let database = readers(&pool, 2).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    let table = database.mail_after_stop();
    stop(&pool, 1, NOW).await;
    stop(&pool, 2, NOW).await;
    let late = NOW.plus(Duration::from_hours(1));
    let mails = [
        sent(&pool, issue, 1, late).await,
        sent(&pool, issue, 2, NOW.plus(Duration::from_secs(1))).await,
    ];
    table.note(&mails).await.unwrap();
    let day = Duration::from_hours(24);
    assert_eq!(table.forget(NOW.plus(day * 35)).await.unwrap(), 0);
    assert_eq!(table.forget(NOW.plus(day * 36)).await.unwrap(), 1);
    for statement in [
        "DELETE FROM delivery WHERE subscriber_id = 1",
        "DELETE FROM subscription WHERE id = 1",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let left = audit(&database).await;
    assert_eq!((left.within, left.late), (0, 1));
}

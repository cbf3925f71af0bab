//! An issue with its audience, and a worker that takes it through its states without any mail.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use std::time::Duration;

use domain::{DeliveryState, IssueCounts, IssueNumber, Language, Slug, Timestamp, WorkerId};
use sqlx::{Executor, PgPool, Row};
use store::{
    AttemptResult, ClaimedDelivery, Database, FanOutStep, InDoubtPolicy, IssueContent,
    IssueProgress, NewIssue, OwnedChunk,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_500_000_000);
pub(crate) const WORKER: WorkerId = WorkerId::new([7; 16]);
const LIFE: Duration = Duration::from_hours(36);

/// A body, a newsletter and so many readers.
pub(crate) async fn readers(pool: &PgPool, number: i64) -> Database {
    for statement in [
        "INSERT INTO body VALUES (true, 'Council', null, 'dpo@c.example', '{Hall}', 'Regulator',
                                  null, 'https://r.example', '#00563f', 'hello@c.example', now())",
        "INSERT INTO newsletter (slug, name_en, summary_en, frequency_en, sender_address,
             languages, retention_days, lawful_basis, open, created_at, changed_at)
         VALUES ('news', 'News', 'About.', 'weekly', 'news@c.example', '{0}', 30, 0, true,
                 now(), now())",
    ] {
        pool.execute(statement).await.unwrap();
    }
    for (table, statement) in [
        (
            "subscriber",
            "INSERT INTO subscriber (address_index, suppression_code, mailbox_code,
                                     code_generation, created_at)
             SELECT sha256(i::text::bytea), sha256(('s' || i)::bytea), sha256(('m' || i)::bytea),
                    1, now() FROM generate_series(1, $1) i",
        ),
        (
            "subscription",
            "INSERT INTO subscription (subscription_id, subscriber_id, newsletter_id, state,
                 language, box_id, box_accepted_at, sealed, consent_event_id, row_mac, changed_at)
             SELECT substr(sha256(id::text::bytea), 1, 16), id, 1, 1, 0,
                    substr(sha256(id::text::bytea), 1, 16), now(),
                    decode(repeat('01', 115), 'hex'), decode(repeat('05', 16), 'hex'),
                    sha256('mac'), now()
             FROM subscriber WHERE id <= $1",
        ),
    ] {
        let added = sqlx::query(statement).bind(number).execute(pool).await;
        assert_eq!(
            added.unwrap().rows_affected(),
            number.cast_unsigned(),
            "{table}"
        );
    }
    Database::from_pool(pool.clone())
}

pub(crate) fn content() -> IssueContent {
    IssueContent {
        language: Language::En,
        subject: "Hello".into(),
        preheader: String::new(),
        markdown: "Hello.".into(),
        frozen: None,
    }
}

pub(crate) async fn approve(database: &Database, policy: InDoubtPolicy) -> IssueNumber {
    let issue = NewIssue {
        newsletter: Slug::parse("news").unwrap(),
        contents: vec![content()],
        content_sha256: [1; 32],
        message_date: NOW,
        deadline: deadline(),
        in_doubt_policy: policy,
    };
    database.issues().approve(&issue, NOW).await.unwrap()
}

pub(crate) fn deadline() -> Timestamp {
    NOW.plus(LIFE)
}

pub(crate) async fn fan_out(database: &Database) {
    while database.fan_out().step(NOW).await.unwrap() != FanOutStep::Idle {}
}

/// An issue with its audience written down.
pub(crate) async fn issue(database: &Database, policy: InDoubtPolicy) -> IssueNumber {
    let issue = approve(database, policy).await;
    fan_out(database).await;
    issue
}

/// Takes the next chunk.
pub(crate) async fn take(database: &Database) -> OwnedChunk {
    let taken = database.chunks().take_due(WORKER, NOW).await.unwrap();
    taken.unwrap()
}

pub(crate) async fn claim(
    database: &Database,
    chunk: &OwnedChunk,
    limit: u16,
) -> Vec<ClaimedDelivery> {
    let claim = database.deliveries().claim(chunk, limit, NOW).await;
    claim.unwrap().deliveries
}

pub(crate) const fn result(state: DeliveryState) -> AttemptResult {
    AttemptResult {
        state,
        code: None,
        enhanced: None,
        not_before: None,
        counts: true,
    }
}

/// Settles these, one after the other, in the states in turn.
pub(crate) async fn settle(
    database: &Database,
    claimed: &[ClaimedDelivery],
    states: &[DeliveryState],
) {
    let results: Vec<_> = claimed
        .iter()
        .zip(states.iter().cycle())
        .map(|(row, state)| {
            let mut result = result(*state);
            if *state == DeliveryState::Deferred {
                result.not_before = Some(NOW.plus(Duration::from_mins(15)));
            }
            (row.key, result)
        })
        .collect();
    let taken = database.deliveries().flush(WORKER, &results, NOW).await;
    assert_eq!(taken.unwrap(), results.len() as u64);
}

/// Takes the next chunk, settles all of it in these states in turn, and hands it back.
pub(crate) async fn work_off(database: &Database, states: &[DeliveryState]) -> OwnedChunk {
    let chunk = take(database).await;
    let claimed = claim(database, &chunk, 200).await;
    settle(database, &claimed, states).await;
    assert!(database.chunks().close(&chunk).await.unwrap());
    chunk
}

/// How the issue stands; its equation balances and agrees with its rows.
pub(crate) async fn progress(
    pool: &PgPool,
    database: &Database,
    issue: IssueNumber,
) -> IssueProgress {
    let progress = database.issues().progress(issue).await.unwrap().unwrap();
    assert!(progress.counts.balances(), "{progress:?}");
    let rows = sqlx::query("SELECT state, count(*) FROM delivery WHERE issue_id = $1 GROUP BY 1")
        .bind(i64::from(issue.0))
        .fetch_all(pool)
        .await
        .unwrap();
    let mut counts = IssueCounts::default();
    for row in rows {
        let state = DeliveryState::from_number(row.get(0)).unwrap();
        let number = row.get::<i64, _>(1).cast_unsigned();
        counts.add(state, number);
        counts.audience += number;
    }
    assert_eq!(progress.counts, counts);
    progress
}

/// How many rows this counts.
pub(crate) async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    pool.fetch_one(sql).await.unwrap().get(0)
}

//! Mail that came back: noted with its result, judged once, and asked for in the inbox.

use std::sync::Mutex;
use std::time::Duration;

use domain::DeliveryState::{Accepted, Bounced, Deferred};
use domain::{BounceRule, EventId, IssueNumber, Timestamp};
use sqlx::{Executor, PgPool};
use store::{AttemptResult, BounceRequest, BouncedOut, Database, InDoubtPolicy};

use super::audience::{NOW, WORKER, approve, claim, deadline, number, readers, result, take};

const INBOX: &str = "SELECT count(*) FROM request_inbox WHERE stop";
const DAY: Duration = Duration::from_hours(24);

fn refused(code: u16, enhanced: Option<[u8; 3]>) -> AttemptResult {
    AttemptResult {
        code: Some(code),
        enhanced,
        ..result(Bounced)
    }
}

/// Readers, and a worker that beats.
async fn town(pool: &PgPool, number: i64) -> Database {
    let database = readers(pool, number).await;
    // long before the issues, whatever the clock says
    pool.execute("UPDATE subscription SET box_accepted_at = '2026-01-01'")
        .await
        .unwrap();
    let workers = database.workers();
    workers.register(WORKER, &[1; 16], "test").await.unwrap();
    database
}

/// One issue whose recipients end like this, in their order; the last word is for the rest.
async fn sent(database: &Database, ends: &[AttemptResult], now: Timestamp) -> IssueNumber {
    let issue = approve(database, InDoubtPolicy::Skip).await;
    super::audience::fan_out(database).await;
    let chunk = take(database).await;
    let claimed = claim(database, &chunk, 200).await;
    let results: Vec<_> = claimed
        .iter()
        .enumerate()
        .map(|(place, row)| (row.key, ends[place.min(ends.len() - 1)]))
        .collect();
    let deliveries = database.deliveries();
    let taken = deliveries.flush(WORKER, &results, now).await.unwrap();
    assert_eq!(taken, results.len() as u64);
    deliveries.flush(WORKER, &results, now).await.unwrap();
    assert!(database.chunks().close(&chunk).await.unwrap());
    issue
}

/// Judges, and says by which rules subscriptions end and under which seqs that is asked for.
async fn judge(database: &Database, now: Timestamp) -> (Vec<BounceRule>, Vec<u64>) {
    let seqs = Mutex::new(Vec::new());
    let request = |end: &BouncedOut, seq: u64| {
        let mut seqs = seqs.lock().unwrap();
        seqs.push(seq);
        let mut decision = [0; 16];
        decision[8..].copy_from_slice(&seq.to_be_bytes());
        BounceRequest {
            decision_id: EventId::new(decision),
            envelope: end.subscription_id.as_bytes().to_vec(),
        }
    };
    let bounces = database.bounces();
    database.fan_out().finish(NOW).await.unwrap();
    let issues = bounces.issues().await.unwrap();
    assert_eq!(issues.left_alone, []);
    let judged = bounces.judge(WORKER, &issues.to_judge, now, &request);
    let (ended, is_full) = judged.await.unwrap();
    assert!(!is_full);
    let rules = ended.iter().map(|end| end.rule).collect();
    (rules, seqs.into_inner().unwrap())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_missing_mailbox_is_asked_to_end_once_and_policy_never(pool: PgPool) {
    let database = town(&pool, 12).await;
    let ends = [
        refused(550, Some([5, 1, 1])),
        refused(550, Some([5, 7, 1])),
        refused(550, None),
        result(Accepted),
        refused(556, None),
        result(Accepted),
    ];
    let issue = sent(&database, &ends, NOW).await;
    let noted = number(&pool, "SELECT count(*) FROM bounce").await;
    assert_eq!(noted, 3, "not the refusal by policy");
    let gone = BounceRule::NoSuchMailbox;
    assert_eq!(judge(&database, NOW).await, (vec![gone, gone], vec![1, 2]));
    assert_eq!(judge(&database, NOW).await, (vec![], vec![]), "once");
    let asked = "SELECT count(*) FROM request_inbox q
                 JOIN subscription s ON s.subscription_id = q.envelope AND q.stop
                 JOIN delivery d ON d.subscription = s.id AND d.code IN (550, 556)
                 JOIN automated_decision a ON a.subscription_id = s.subscription_id AND a.rule = 0
                                          AND a.issue_id = d.issue_id
                 JOIN worker w ON w.worker_id = q.spool_id AND w.requests = 2
                 JOIN spool p ON p.spool_id = q.spool_id AND NOT p.holds_stops";
    assert_eq!(number(&pool, asked).await, 2);

    // said again for the same issue, after an operator had it retried
    let desk = database.issues();
    desk.retry_failed(issue, deadline()).await.unwrap();
    while database.issue_upkeep().retry_step(NOW).await.unwrap() {}
    let chunk = take(&database).await;
    let claimed = claim(&database, &chunk, 200).await;
    assert_eq!(claimed.len(), 4);
    let worse = refused(550, Some([5, 1, 1]));
    let results: Vec<_> = claimed.iter().map(|row| (row.key, worse)).collect();
    let flushed = database.deliveries().flush(WORKER, &results, NOW).await;
    assert_eq!(flushed.unwrap(), 4);
    assert!(database.chunks().close(&chunk).await.unwrap());
    assert_eq!(
        judge(&database, NOW).await,
        (vec![gone, gone], vec![3, 4]),
        "those of whom it was not said before"
    );
    assert_eq!(number(&pool, INBOX).await, 4);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_result_that_is_not_taken_is_no_bounce(pool: PgPool) {
    let database = town(&pool, 2).await;
    super::audience::issue(&database, InDoubtPolicy::Skip).await;
    let chunk = take(&database).await;
    let claimed = claim(&database, &chunk, 200).await;
    let mut others = [claimed[0].key; 2];
    others[0].epoch += 1;
    others[1].attempt += 1;
    let gone = refused(550, Some([5, 1, 1]));
    for key in others {
        let taken = database
            .deliveries()
            .flush(WORKER, &[(key, gone)], NOW)
            .await;
        assert_eq!(taken.unwrap(), 0);
    }
    assert_eq!(number(&pool, "SELECT count(*) FROM bounce").await, 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn three_issues_refused_in_14_days_are_enough_and_two_are_not(pool: PgPool) {
    let database = town(&pool, 1).await;
    let full = refused(552, Some([5, 2, 2]));
    let mut now = NOW;
    for (days, rules) in [(0, 0), (13, 0), (13, 0), (0, 1)] {
        now = now.plus(DAY * days);
        sent(&database, &[full], now).await;
        let (ended, _) = judge(&database, now).await;
        assert_eq!(ended.len(), rules, "after {now:?}");
    }
    // who signs up again begins anew
    pool.execute("UPDATE subscription SET box_accepted_at = '2028-01-01'")
        .await
        .unwrap();
    sent(&database, &[full], now).await;
    assert_eq!(judge(&database, now).await.0, []);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn five_issues_in_a_row_that_never_got_through_are_enough(pool: PgPool) {
    let database = town(&pool, 1).await;
    let later = AttemptResult {
        code: Some(452),
        enhanced: Some([4, 2, 2]),
        not_before: Some(deadline()),
        ..result(Deferred)
    };
    let busy = AttemptResult {
        code: Some(450),
        enhanced: Some([4, 7, 1]),
        ..later
    };
    let mut ended = Vec::new();
    let issues = [
        later,
        later,
        busy,
        later,
        result(Accepted),
        later,
        later,
        later,
        later,
        later,
    ];
    for end in issues {
        sent(&database, &[end], NOW).await;
        database.deliveries().expire(deadline()).await.unwrap();
        database.fan_out().finish(deadline()).await.unwrap();
        ended.push(judge(&database, NOW).await.0.len());
    }
    assert_eq!(ended, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    // the row that arrived is forgotten, and with it what came back before
    let long_after = deadline().plus(DAY * 40);
    while database
        .issue_upkeep()
        .purge_step(long_after)
        .await
        .unwrap()
        > 0
    {}
    assert_eq!(number(&pool, "SELECT count(*) FROM bounce").await, 5);
    assert_eq!(database.bounces().forget(long_after).await.unwrap(), 0);
    let years = NOW.plus(DAY * 600);
    assert_eq!(database.bounces().forget(years).await.unwrap(), 5);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn refusals_are_forgotten_after_14_days(pool: PgPool) {
    let database = town(&pool, 3).await;
    sent(&database, &[refused(550, None)], NOW).await;
    let bounces = database.bounces();
    assert_eq!(bounces.forget(NOW.plus(DAY * 13)).await.unwrap(), 0);
    assert_eq!(bounces.forget(NOW.plus(DAY * 15)).await.unwrap(), 3);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_relay_that_refuses_everybody_ends_no_subscription(pool: PgPool) {
    let database = town(&pool, 200).await;
    let gone = refused(550, Some([5, 1, 1]));
    let issue = sent(&database, &[gone], NOW).await;
    let bounces = database.bounces();
    let stands = bounces.issues().await.unwrap();
    assert_eq!((stands.to_judge.len(), stands.left_alone), (0, vec![issue]));
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    let stands = bounces.issues().await.unwrap();
    assert_eq!((stands.to_judge.len(), stands.left_alone), (0, vec![issue]));
    assert_eq!(number(&pool, INBOX).await, 0);

    // held, nothing is judged whatever its share; an operator's word counts more than that
    pool.execute("DELETE FROM bounce WHERE id > 3")
        .await
        .unwrap();
    let hold = store::HoldReason::Refusals;
    pool.execute("UPDATE issue SET state = 3, finished_at = NULL")
        .await
        .unwrap();
    database.issues().hold(issue, hold).await.unwrap();
    assert_eq!(bounces.issues().await.unwrap().left_alone, [issue]);
    database.issues().resume(issue).await.unwrap();
    assert_eq!(bounces.issues().await.unwrap().to_judge, [issue]);
    pool.execute("UPDATE issue SET bounces_count = false")
        .await
        .unwrap();
    assert_eq!(
        bounces.issues().await.unwrap().to_judge,
        [issue],
        "3 of 200"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn little_is_not_judged_before_the_issue_is_over(pool: PgPool) {
    let database = town(&pool, 12).await;
    let gone = refused(550, Some([5, 1, 1]));
    let issue = sent(&database, &[gone, result(Accepted)], NOW).await;
    let bounces = database.bounces();
    assert_eq!(
        bounces.issues().await.unwrap(),
        store::BouncedIssues::default()
    );
    database.fan_out().finish(NOW).await.unwrap();
    assert_eq!(bounces.issues().await.unwrap().to_judge, [issue]);
}

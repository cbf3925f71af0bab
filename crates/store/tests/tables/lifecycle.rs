//! Pausing, resuming, cancelling and trying again, as the tables see it.

use std::time::Duration;

use domain::DeliveryState::{
    Accepted, AssumedSent, Bounced, Deferred, Expired, FailedInternal, InDoubt, Suppressed,
};
use sqlx::{Executor, PgPool};
use store::{
    AttemptResult, ChangeError, ClaimedDelivery, FanOutStep, HoldReason, InDoubtPolicy, IssueState,
};

use super::audience::{
    NOW, WORKER, approve, claim, deadline, fan_out, issue, number, progress, readers, settle, take,
    work_off,
};

const QUEUED: &str = "SELECT count(*) FROM delivery WHERE state = 0";

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nothing_is_claimed_of_a_paused_issue_and_nobody_loses_a_place(pool: PgPool) {
    let database = readers(&pool, 300).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    let desk = database.issues();
    let chunk = take(&database).await;
    let claimed = claim(&database, &chunk, 50).await;
    desk.pause(issue).await.unwrap();
    desk.pause(issue).await.unwrap();
    assert_eq!(
        database.deliveries().stopped_issues().await.unwrap(),
        [issue]
    );
    assert!(claim(&database, &chunk, 50).await.is_empty());
    let other = database.chunks().take_due(WORKER, NOW).await.unwrap();
    assert!(other.is_none());
    // the last look does not take a pause for a reason to suppress
    let deliveries = database.deliveries();
    for row in &claimed {
        let wanted = deliveries.still_wanted(WORKER, &row.key, NOW).await;
        assert!(wanted.unwrap());
    }
    settle(&database, &claimed, &[Accepted]).await;
    assert!(database.chunks().close(&chunk).await.unwrap());
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Paused);
    assert_eq!((stands.counts.accepted, stands.counts.waiting), (50, 250));
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 0);

    database.chunks().take_hints().await.unwrap();
    desk.resume(issue).await.unwrap();
    assert!(
        database
            .deliveries()
            .stopped_issues()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(database.issue_upkeep().wake(NOW).await.unwrap(), 2);
    assert_eq!(database.issue_upkeep().wake(NOW).await.unwrap(), 0, "once");
    assert_eq!(number(&pool, "SELECT count(*) FROM outbox").await, 2);
    work_off(&database, &[Accepted]).await;
    work_off(&database, &[Accepted]).await;
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Finished);
    assert_eq!(stands.counts.accepted, 300);
    for refused in [desk.pause(issue).await, desk.resume(issue).await] {
        assert!(matches!(
            refused,
            Err(ChangeError::NotNow(IssueState::Finished))
        ));
    }
    let unknown = domain::IssueNumber(99);
    assert!(matches!(
        desk.cancel(unknown).await,
        Err(ChangeError::NoSuchIssue(number)) if number == unknown
    ));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_issue_paused_before_its_audience_goes_on_where_it_stopped(pool: PgPool) {
    let database = readers(&pool, 10_050).await;
    let issue = approve(&database, InDoubtPolicy::Skip).await;
    let desk = database.issues();
    desk.pause(issue).await.unwrap();
    let fan = database.fan_out();
    assert_eq!(fan.step(NOW).await.unwrap(), FanOutStep::Idle);
    desk.resume(issue).await.unwrap();
    assert_eq!(
        fan.step(NOW).await.unwrap(),
        FanOutStep::Added(issue, 10_000)
    );
    desk.pause(issue).await.unwrap();
    assert_eq!(fan.step(NOW).await.unwrap(), FanOutStep::Idle);
    assert_eq!(fan.finish(NOW).await.unwrap(), 0, "its audience grows");
    desk.resume(issue).await.unwrap();
    assert_eq!(
        fan.step(NOW).await.unwrap(),
        FanOutStep::Complete(issue, 50)
    );
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Sending);
    assert_eq!(stands.counts.audience, 10_050);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_held_issue_says_why_and_goes_on(pool: PgPool) {
    let database = readers(&pool, 3).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    let desk = database.issues();
    desk.hold(issue, HoldReason::Refusals).await.unwrap();
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Held);
    assert_eq!(stands.held, Some(HoldReason::Refusals));
    assert_eq!(
        database.deliveries().stopped_issues().await.unwrap(),
        [issue]
    );
    desk.resume(issue).await.unwrap();
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.state, stands.held), (IssueState::Sending, None));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_cancelled_issue_leaves_nobody_waiting(pool: PgPool) {
    let database = readers(&pool, 6_000).await;
    let issue = issue(&database, InDoubtPolicy::Resend).await;
    work_off(&database, &[Accepted, Deferred, InDoubt, Bounced]).await;
    let in_hand = take(&database).await;
    let claimed = claim(&database, &in_hand, 20).await;
    let desk = database.issues();
    desk.cancel(issue).await.unwrap();
    let upkeep = database.issue_upkeep();
    let mut steps = Vec::new();
    loop {
        match upkeep.cancel_step(NOW).await.unwrap() {
            0 => break,
            cancelled => steps.push(cancelled),
        }
        progress(&pool, &database, issue).await;
    }
    // 200 are in hand, 50 of the first chunk were deferred
    assert_eq!(steps, [4_850, 800]);
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 0, "in hand");
    settle(&database, &claimed, &[Accepted]).await;
    assert!(database.chunks().close(&in_hand).await.unwrap());
    assert_eq!(upkeep.cancel_step(NOW).await.unwrap(), 180);
    assert_eq!(number(&pool, QUEUED).await, 0);
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Cancelled);
    assert!(stands.finished.is_some());
    assert_eq!(stands.counts.waiting, 0);
    assert_eq!(stands.counts.suppressed, 4_850 + 800 + 180);
    assert!(
        database
            .deliveries()
            .stopped_issues()
            .await
            .unwrap()
            .is_empty()
    );
    // a doubt of a cancelled issue is never sent again, whatever its policy
    let later = NOW.plus(Duration::from_mins(16));
    let resolved = database.deliveries().resolve_in_doubt(later).await.unwrap();
    assert_eq!((resolved.assumed_sent, resolved.queued_again), (50, 0));
    for refused in [
        desk.resume(issue).await,
        desk.retry_failed(issue, deadline()).await,
    ] {
        assert!(matches!(
            refused,
            Err(ChangeError::NotNow(IssueState::Cancelled))
        ));
    }
    desk.cancel(issue).await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_failed_is_tried_again_once_and_nobody_else(pool: PgPool) {
    let database = readers(&pool, 700).await;
    let issue = issue(&database, InDoubtPolicy::Hold).await;
    let states = [
        Accepted,
        Bounced,
        Suppressed,
        InDoubt,
        Expired,
        AssumedSent,
        FailedInternal,
    ];
    for _ in 0..4 {
        work_off(&database, &states).await;
    }
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    let before = progress(&pool, &database, issue).await;
    let failed = before.counts.failed;
    assert!(failed > 200, "{failed}");
    let desk = database.issues();
    let later = deadline().plus(Duration::from_hours(1));
    desk.retry_failed(issue, later).await.unwrap();
    assert_eq!(
        database.fan_out().finish(NOW).await.unwrap(),
        0,
        "asked for"
    );
    assert!(progress(&pool, &database, issue).await.retrying);
    let upkeep = database.issue_upkeep();
    while upkeep.retry_step(NOW).await.unwrap() {}
    let again = progress(&pool, &database, issue).await;
    assert_eq!((again.counts.failed, again.counts.waiting), (0, failed));
    assert_eq!(again.state, IssueState::Sending);
    assert!(!again.retrying);
    assert_eq!(
        [
            again.counts.accepted,
            again.counts.suppressed,
            again.counts.uncertain
        ],
        [
            before.counts.accepted,
            before.counts.suppressed,
            before.counts.uncertain
        ]
    );
    // the deadline is the new one: what was past the old is claimed
    let chunk = database
        .chunks()
        .take_due(WORKER, deadline())
        .await
        .unwrap();
    let chunk = chunk.unwrap();
    let claimed = database.deliveries().claim(&chunk, 200, deadline()).await;
    let claimed = claimed.unwrap().deliveries;
    assert!(claimed.iter().all(|row| row.key.attempt == 2), "counted on");
    settle(&database, &claimed, &[Bounced]).await;
    assert!(database.chunks().close(&chunk).await.unwrap());
    assert!(!upkeep.retry_step(NOW).await.unwrap(), "asked for once");
    assert!(progress(&pool, &database, issue).await.counts.failed > 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn trying_again_waits_for_a_chunk_in_hand_and_does_no_chunk_twice(pool: PgPool) {
    let database = readers(&pool, 600).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    work_off(&database, &[Bounced]).await;
    let in_hand = take(&database).await;
    let claimed = claim(&database, &in_hand, 200).await;
    database
        .issues()
        .retry_failed(issue, deadline())
        .await
        .unwrap();
    let upkeep = database.issue_upkeep();
    assert!(upkeep.retry_step(NOW).await.unwrap());
    assert!(!upkeep.retry_step(NOW).await.unwrap(), "in hand");
    assert_eq!(number(&pool, QUEUED).await, 400);
    // the first chunk fails again: it had its turn
    work_off(&database, &[Bounced]).await;
    settle(&database, &claimed, &[Bounced]).await;
    assert!(database.chunks().close(&in_hand).await.unwrap());
    while upkeep.retry_step(NOW).await.unwrap() {}
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.counts.failed, stands.counts.waiting), (200, 400));
    assert!(!stands.retrying);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_paused_issue_whose_time_is_over_ends(pool: PgPool) {
    let database = readers(&pool, 250).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    database.issues().pause(issue).await.unwrap();
    let late = deadline();
    while database.deliveries().expire(late).await.unwrap() > 0 {}
    assert_eq!(database.fan_out().finish(late).await.unwrap(), 1);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Finished);
    assert_eq!(stands.counts.failed, 250);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_was_approved_is_fixed(pool: PgPool) {
    let database = readers(&pool, 1).await;
    let frozen = store::FrozenText {
        subject: "Hello".into(),
        preheader: "“Good” \\ day".into(),
        sender: "news@c.example".into(),
        headers: "From: News <news@c.example>\r\n".into(),
        feedback: "issue:1".into(),
        place: "https://unsubscribe.invalid/0/".into(),
        text: "Hello.\r\n\ttab".into(),
        html: "<p>Helô</p>".into(),
        sha256: [0xab; 32],
    };
    let mut content = super::audience::content();
    content.frozen = Some(frozen);
    let issue = store::NewIssue {
        newsletter: domain::Slug::parse("news").unwrap(),
        contents: vec![content.clone()],
        content_sha256: [5; 32],
        message_date: NOW,
        deadline: deadline(),
        in_doubt_policy: InDoubtPolicy::Skip,
    };
    let desk = database.issues();
    let issue = desk.approve(&issue, NOW).await.unwrap();
    fan_out(&database).await;
    let sent = desk.as_sent(issue).await.unwrap().unwrap();
    assert_eq!(sent.contents, [content.clone()]);
    assert_eq!(sent.content_sha256, [5; 32]);
    assert_eq!(sent.approved, Some(NOW));
    let to_send = desk.to_send(issue).await.unwrap().unwrap();
    assert_eq!(to_send.contents, [content]);
    assert!(
        desk.as_sent(domain::IssueNumber(99))
            .await
            .unwrap()
            .is_none()
    );
    for forged in [
        "UPDATE issue_content SET frozen = NULL, frozen_sha256 = NULL",
        "UPDATE issue_content SET markdown = 'Buy!'",
        "INSERT INTO issue_content (issue_id, language, subject, preheader, markdown, frozen,
                                    frozen_sha256)
         VALUES (1, 1, '', '', '', 'a', sha256('b'))",
    ] {
        pool.execute(forged).await.unwrap_err();
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_got_an_issue_is_forgotten_after_35_days_and_how_many_is_not(pool: PgPool) {
    let database = readers(&pool, 7_000).await;
    let old = issue(&database, InDoubtPolicy::Skip).await;
    while let Some(chunk) = database.chunks().take_due(WORKER, NOW).await.unwrap() {
        let claimed = claim(&database, &chunk, 200).await;
        let states = [Accepted, Bounced, Suppressed, AssumedSent, Accepted];
        settle(&database, &claimed, &states).await;
        database.chunks().close(&chunk).await.unwrap();
    }
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    let under_way = issue(&database, InDoubtPolicy::Skip).await;
    let upkeep = database.issue_upkeep();
    let days = |days: u64| NOW.plus(Duration::from_hours(24 * days));
    assert_eq!(upkeep.purge_step(days(35)).await.unwrap(), 0);
    let late = days(35).plus(Duration::from_secs(1));
    let before = database.issues().progress(old).await.unwrap().unwrap();
    assert_eq!(upkeep.purge_step(late).await.unwrap(), 5_000);
    let halfway = database.issues().progress(old).await.unwrap().unwrap();
    assert_eq!(halfway, before);
    assert_eq!(upkeep.purge_step(late).await.unwrap(), 2_000);
    assert_eq!(upkeep.purge_step(late).await.unwrap(), 0);
    let after = database.issues().progress(old).await.unwrap().unwrap();
    assert_eq!(after, before);
    assert_eq!((after.counts.accepted, after.counts.failed), (2_800, 1_400));
    let rows = "SELECT count(*) FROM delivery WHERE issue_id = 1";
    assert_eq!(number(&pool, rows).await, 0);
    assert_eq!(
        progress(&pool, &database, under_way).await.counts.waiting,
        7_000
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_given_back_twice_takes_back_no_later_attempt(pool: PgPool) {
    let database = readers(&pool, 3).await;
    issue(&database, InDoubtPolicy::Skip).await;
    let chunk = take(&database).await;
    let keys = |claimed: &[ClaimedDelivery]| claimed.iter().map(|row| row.key).collect::<Vec<_>>();
    let first = keys(&claim(&database, &chunk, 3).await);
    let deliveries = database.deliveries();
    assert_eq!(deliveries.release(WORKER, &first, NOW).await.unwrap(), 3);
    let again = claim(&database, &chunk, 3).await;
    assert!(
        again.iter().all(|row| row.attempts_before == 0),
        "none counts"
    );
    // the answer to the release was lost, so it is said again, and their mails are on the wire
    assert_eq!(deliveries.release(WORKER, &first, NOW).await.unwrap(), 0);
    let late = AttemptResult {
        state: Deferred,
        code: None,
        enhanced: None,
        not_before: Some(NOW),
        counts: false,
    };
    let late: Vec<_> = first.iter().map(|key| (*key, late)).collect();
    assert_eq!(deliveries.flush(WORKER, &late, NOW).await.unwrap(), 0);
    settle(&database, &again, &[Accepted]).await;
}

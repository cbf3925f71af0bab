//! Deliveries in doubt: noted for operators, decided by them or by policy; chunks that workers die of;
//! issues that take turns; hints that are given again.

use std::time::Duration;

use domain::DeliveryState::{Accepted, AssumedSent, Deferred, InDoubt};
use domain::WorkerId;
use sqlx::{Executor, PgPool};
use store::{Database, DoubtDecision, InDoubtPolicy, IssueState, NewDoubt};

use super::audience::{
    NOW, WORKER, approve, claim, deadline, fan_out, issue, number, progress, readers, settle, take,
    work_off,
};

const IN_DOUBT: &str = "SELECT count(*) FROM delivery WHERE state = 6";

/// Notes new doubts as a worker does. Returns their Message-IDs.
async fn note(database: &Database) -> Vec<String> {
    let upkeep = database.issue_upkeep();
    let doubts = upkeep.new_doubts().await.unwrap();
    let noted: Vec<(NewDoubt, Option<String>)> = doubts
        .into_iter()
        .map(|doubt| {
            assert_eq!(doubt.sender_address, "news@c.example");
            assert!(doubt.subscription_id.is_some());
            let id = format!("{}@c.example", doubt.subscriber);
            (doubt, Some(id))
        })
        .collect();
    upkeep.note(&noted).await.unwrap();
    upkeep.note(&noted).await.unwrap();
    noted.into_iter().filter_map(|(_, id)| id).collect()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_operator_decides_on_held_doubts_one_by_one_or_all(pool: PgPool) {
    let database = readers(&pool, 20).await;
    let issue = issue(&database, InDoubtPolicy::Hold).await;
    work_off(&database, &[Accepted, InDoubt]).await;
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    let later = NOW.plus(Duration::from_hours(48));
    let resolved = database.deliveries().resolve_in_doubt(later).await.unwrap();
    assert_eq!(resolved, store::Resolved::default(), "held for good");

    let ids = note(&database).await;
    assert_eq!(ids.len(), 10);
    assert!(note(&database).await.is_empty(), "each once");
    let desk = database.issues();
    let listed = desk.doubts(issue, 100).await.unwrap();
    assert_eq!(listed.len(), 10);
    assert!(listed.iter().all(|doubt| doubt.since == NOW));
    assert_eq!(desk.doubts(issue, 3).await.unwrap().len(), 3);

    let decide = async |decision, only: Option<&[String]>| {
        desk.decide_doubts(issue, decision, only, later)
            .await
            .unwrap()
    };
    assert_eq!(decide(DoubtDecision::Again, Some(&["x@y".into()])).await, 0);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Finished, "nothing was decided");
    assert_eq!(decide(DoubtDecision::Sent, Some(&ids[..1])).await, 1);
    assert_eq!(decide(DoubtDecision::Again, None).await, 9);
    assert_eq!(decide(DoubtDecision::Sent, None).await, 0, "decided");
    assert!(desk.doubts(issue, 100).await.unwrap().is_empty());
    assert_eq!(
        database.fan_out().finish(NOW).await.unwrap(),
        0,
        "to be done"
    );
    let upkeep = database.issue_upkeep();
    assert_eq!(upkeep.carry_out(NOW).await.unwrap(), 10);
    assert_eq!(number(&pool, "SELECT count(*) FROM doubt").await, 0);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Sending);
    assert_eq!(stands.undecided, 0);
    assert_eq!(
        [
            stands.counts.accepted,
            stands.counts.uncertain,
            stands.counts.waiting
        ],
        [10, 1, 9]
    );
    assert_eq!(upkeep.wake(NOW).await.unwrap(), 1);
    work_off(&database, &[Accepted]).await;
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_message_id_is_made_of_the_mailbox_that_was_approved(pool: PgPool) {
    let database = readers(&pool, 1).await;
    let issue = issue(&database, InDoubtPolicy::Hold).await;
    work_off(&database, &[InDoubt]).await;
    pool.execute("UPDATE newsletter SET sender_address = 'other@c.example'")
        .await
        .unwrap();
    let sender = async || database.deliveries().sender_address(issue).await.unwrap();
    assert_eq!(sender().await.as_deref(), Some("other@c.example"));
    pool.execute(
        "ALTER TABLE issue_content DISABLE TRIGGER issue_content_is_fixed;
         UPDATE issue_content SET frozen = f, frozen_sha256 = sha256(f)
         FROM (SELECT convert_to('{\"sender\":\"news@c.example\"}', 'UTF8') AS f) x",
    )
    .await
    .unwrap();
    assert_eq!(sender().await.as_deref(), Some("news@c.example"));
    assert_eq!(note(&database).await.len(), 1, "asserts the same mailbox");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn evidence_that_comes_first_ends_a_doubt_and_its_note(pool: PgPool) {
    let database = readers(&pool, 4).await;
    let issue = issue(&database, InDoubtPolicy::Hold).await;
    let chunk = take(&database).await;
    let claimed = claim(&database, &chunk, 200).await;
    settle(&database, &claimed, &[InDoubt]).await;
    assert!(database.chunks().close(&chunk).await.unwrap());
    note(&database).await;
    settle(&database, &claimed[..1], &[Accepted]).await;
    let desk = database.issues();
    let all = DoubtDecision::Again;
    assert_eq!(
        desk.decide_doubts(issue, all, None, deadline())
            .await
            .unwrap(),
        4
    );
    let upkeep = database.issue_upkeep();
    assert_eq!(
        upkeep.carry_out(NOW).await.unwrap(),
        3,
        "not the proven one"
    );
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.counts.accepted, stands.counts.waiting), (1, 3));

    work_off(&database, &[InDoubt]).await;
    note(&database).await;
    upkeep.forget_settled().await.unwrap();
    assert_eq!(number(&pool, "SELECT count(*) FROM doubt").await, 3);
    pool.execute("UPDATE delivery SET state = 2 WHERE state = 6 AND subscriber_id = 2")
        .await
        .unwrap();
    upkeep.forget_settled().await.unwrap();
    assert_eq!(number(&pool, "SELECT count(*) FROM doubt").await, 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_counted_chunk_is_counted_right_after_whatever_happened_to_it(pool: PgPool) {
    let database = readers(&pool, 400).await;
    let issue = issue(&database, InDoubtPolicy::Resend).await;
    work_off(&database, &[Accepted, InDoubt]).await;
    work_off(&database, &[Accepted]).await;
    assert_eq!(
        database.fan_out().finish(NOW).await.unwrap(),
        0,
        "to be sent again"
    );
    progress(&pool, &database, issue).await;
    let later = NOW.plus(Duration::from_mins(16));
    let resolved = database.deliveries().resolve_in_doubt(later).await.unwrap();
    assert_eq!(resolved.queued_again, 100);
    progress(&pool, &database, issue).await;
    work_off(&database, &[AssumedSent]).await;
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(
        (stands.counts.accepted, stands.counts.uncertain),
        (300, 100)
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_chunk_that_workers_die_of_is_set_aside(pool: PgPool) {
    let database = readers(&pool, 210).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    work_off(&database, &[Accepted]).await;
    let chunks = database.chunks();
    let crash = async |sent: u16| {
        let chunk = take(&database).await;
        let claimed = claim(&database, &chunk, sent.max(1)).await;
        if sent > 0 {
            settle(&database, &claimed, &[Accepted]).await;
        } else {
            let keys: Vec<_> = claimed.iter().map(|row| row.key).collect();
            database
                .deliveries()
                .release(WORKER, &keys, NOW)
                .await
                .unwrap();
        }
        assert_eq!(chunks.close_all_of(WORKER).await.unwrap(), 1);
    };
    for sent in [0, 0, 0, 0, 1, 0, 0, 0] {
        crash(sent).await;
    }
    let upkeep = database.issue_upkeep();
    assert_eq!(upkeep.set_aside().await.unwrap(), 0, "it got somewhere");
    crash(0).await;
    assert_eq!(upkeep.set_aside().await.unwrap(), 1);
    let none = chunks.take_due(WORKER, NOW).await.unwrap();
    assert!(none.is_none());
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 0);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.set_aside, stands.counts.waiting), (10, 9));

    database
        .issues()
        .retry_failed(issue, deadline())
        .await
        .unwrap();
    while upkeep.retry_step(NOW).await.unwrap() {}
    assert_eq!(upkeep.set_aside().await.unwrap(), 0);
    crash(0).await;
    assert_eq!(upkeep.set_aside().await.unwrap(), 0, "from one again");
    // nobody is lost: past the deadline the rest expires
    for _ in 0..4 {
        crash(0).await;
    }
    assert_eq!(upkeep.set_aside().await.unwrap(), 1);
    let late = deadline();
    assert_eq!(database.deliveries().expire(late).await.unwrap(), 9);
    assert_eq!(database.fan_out().finish(late).await.unwrap(), 1);
    progress(&pool, &database, issue).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_clean_hand_back_forgets_earlier_crashes(pool: PgPool) {
    let database = readers(&pool, 3).await;
    issue(&database, InDoubtPolicy::Skip).await;
    let chunks = database.chunks();
    for _ in 0..4 {
        take(&database).await;
        chunks.close_all_of(WORKER).await.unwrap();
    }
    let chunk = take(&database).await;
    assert!(chunks.close(&chunk).await.unwrap());
    take(&database).await;
    chunks.close_all_of(WORKER).await.unwrap();
    assert_eq!(database.issue_upkeep().set_aside().await.unwrap(), 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn issues_take_turns(pool: PgPool) {
    let database = readers(&pool, 1_000).await;
    let large = issue(&database, InDoubtPolicy::Skip).await;
    let small = approve(&database, InDoubtPolicy::Skip).await;
    fan_out(&database).await;
    let third = approve(&database, InDoubtPolicy::Skip).await;
    fan_out(&database).await;
    let lanes = database.chunks();
    let mut order = Vec::new();
    for lane in [lanes.clone(), lanes.clone()].iter().cycle().take(7) {
        let chunk = lane.take_due(WORKER, NOW).await.unwrap().unwrap();
        order.push(chunk.issue);
    }
    assert_eq!(order, [large, small, third, large, small, third, large]);
    // one that is paused leaves its turn to the others
    database.issues().pause(small).await.unwrap();
    let next = lanes.take_due(WORKER, NOW).await.unwrap().unwrap();
    assert_eq!(next.issue, third);
    // nobody takes what another has
    let other = WorkerId::new([8; 16]);
    let mut taken = 0;
    while lanes.take_due(other, NOW).await.unwrap().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 2 + 2);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_lost_hint_is_given_again(pool: PgPool) {
    let database = readers(&pool, 600).await;
    issue(&database, InDoubtPolicy::Skip).await;
    let chunks = database.chunks();
    assert_eq!(chunks.take_hints().await.unwrap(), 3);
    work_off(&database, &[Accepted]).await;
    let upkeep = database.issue_upkeep();
    let soon = NOW.plus(Duration::from_mins(9));
    assert_eq!(
        upkeep.reconcile(soon).await.unwrap(),
        0,
        "it may be on its way"
    );
    let late = NOW.plus(Duration::from_mins(10));
    assert_eq!(upkeep.reconcile(late).await.unwrap(), 2);
    assert_eq!(upkeep.reconcile(late).await.unwrap(), 0, "given");
    assert_eq!(chunks.take_hints().await.unwrap(), 2);
    // not while many are on their way, and not of a paused issue
    pool.execute(
        "INSERT INTO outbox (topic, body, created_at)
         SELECT 1, '{}', now() FROM generate_series(1, 300)",
    )
    .await
    .unwrap();
    let later = late.plus(Duration::from_mins(10));
    assert_eq!(upkeep.reconcile(later).await.unwrap(), 0);
    while chunks.take_hints().await.unwrap() > 0 {}
    let issue = domain::IssueNumber(1);
    database.issues().pause(issue).await.unwrap();
    assert_eq!(upkeep.reconcile(later).await.unwrap(), 0);
    database.issues().resume(issue).await.unwrap();
    assert_eq!(upkeep.reconcile(later).await.unwrap(), 2);
    assert_eq!(number(&pool, IN_DOUBT).await, 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_taken_for_dead_comes_back_with_its_evidence(pool: PgPool) {
    let database = readers(&pool, 5).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    let chunk = take(&database).await;
    let claimed = claim(&database, &chunk, 200).await;
    let (deliveries, chunks) = (database.deliveries(), database.chunks());
    assert_eq!(deliveries.doubt_all_of(&[WORKER], NOW).await.unwrap(), 5);
    assert_eq!(chunks.close_all_of(WORKER).await.unwrap(), 1);
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
    // proven: one never dotted, one put off, one accepted; of two nobody knows
    let stranger = WorkerId::new([9; 16]);
    let release = async |worker| {
        let keys = [claimed[0].key];
        deliveries.release(worker, &keys, NOW).await.unwrap()
    };
    assert_eq!(release(stranger).await, 0);
    assert_eq!(release(WORKER).await, 1);
    assert_eq!(release(WORKER).await, 0, "once");
    settle(&database, &claimed[1..3], &[Deferred, Accepted]).await;
    let stands = progress(&pool, &database, issue).await;
    assert_eq!(stands.state, IssueState::Sending, "taken up again");
    assert_eq!((stands.undecided, stands.counts.waiting), (2, 2));
    let again = take(&database).await;
    assert_eq!(claim(&database, &again, 200).await.len(), 1);

    let later = NOW.plus(Duration::from_mins(16));
    let resolved = deliveries.resolve_in_doubt(later).await.unwrap();
    assert_eq!(resolved.assumed_sent, 2);
    settle(&database, &claimed[3..4], &[Accepted]).await;
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.counts.accepted, stands.counts.uncertain), (2, 1));
}

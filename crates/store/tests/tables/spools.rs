//! Shipping, heartbeats and the marks of what is applied.

use domain::{BodyId, SpoolId, Timestamp, WorkerId};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use store::{Beat, Changes, Database, Dead, InboxRow, StoreError};

const A: SpoolId = SpoolId::new([0xaa; 16]);
const B: SpoolId = SpoolId::new([0xbb; 16]);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
}

fn row(spool_id: SpoolId, seq: u64, stop: bool) -> InboxRow {
    InboxRow {
        spool_id,
        seq,
        stop,
        envelope: seq.to_be_bytes().to_vec(),
    }
}

async fn database(pool: &PgPool) -> Database {
    let database = Database::from_pool(pool.clone());
    database.migrate(BodyId::new([1; 16]), at(0)).await.unwrap();
    database
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]
async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Applies what waits, without looking at it; those of `left` stay for a newer version.
async fn apply(database: &Database, left: &[u64]) {
    let registrar = database.registrar();
    let waiting = registrar.waiting(500, at(0)).await.unwrap();
    let turn = registrar
        .take_turn(waiting.iter().map(InboxRow::place))
        .await
        .unwrap();
    let mut changes = Changes::default();
    for one in waiting
        .iter()
        .filter(|one| turn.fresh().contains(&one.place()))
    {
        if left.contains(&one.seq) {
            changes.later.push((one.place(), at(30)));
        } else {
            changes.applied.push(one.place());
        }
    }
    turn.finish(&changes, at(0)).await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spool_reports_and_learns_its_mark(pool: PgPool) {
    let database = database(&pool).await;
    let spools = database.spools();
    assert_eq!(
        spools.beat(A, None, at(0)).await.unwrap(),
        None,
        "not known yet"
    );
    assert_eq!(
        spools
            .register(A, "unsubscribe", false, at(0))
            .await
            .unwrap(),
        0
    );
    assert_eq!(spools.beat(A, Some(at(1)), at(2)).await.unwrap(), Some(0));
    let moved = "SELECT count(*) FROM spool WHERE counter = 1 AND NOT holds_stops
                 AND oldest_stop_at = to_timestamp(1800000001)
                 AND moved_at = to_timestamp(1800000002)";
    assert_eq!(number(&pool, moved).await, 1);
    assert_eq!(
        spools
            .register(A, "unsubscribe", true, at(3))
            .await
            .unwrap(),
        0
    );
    let counted = "SELECT count(*) FROM spool WHERE counter = 2 AND holds_stops";
    assert_eq!(number(&pool, counted).await, 1);
    assert_eq!(number(&pool, "SELECT tick FROM installation").await, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn stops_come_first_and_a_row_that_is_there_stays(pool: PgPool) {
    let database = database(&pool).await;
    let inbox = database.sign_up_inbox();
    inbox.ship(&[], at(0)).await.unwrap();
    let rows = [row(A, 2, false), row(A, 1, false), row(B, 1, true)];
    inbox.ship(&rows, at(0)).await.unwrap();
    let mut other = row(A, 2, true);
    other.envelope = vec![9];
    inbox.ship(&[other], at(0)).await.unwrap();
    let waiting = database.registrar().waiting(10, at(0)).await.unwrap();
    assert_eq!(waiting, [rows[2].clone(), rows[0].clone(), rows[1].clone()]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_row_that_somebody_filled_up_is_read_in_part(pool: PgPool) {
    let database = database(&pool).await;
    let mut large = [row(A, 1, false), row(B, 1, true)];
    for row in &mut large {
        row.envelope = vec![7; 1_000_000];
    }
    database.sign_up_inbox().ship(&large, at(0)).await.unwrap();
    let waiting = database.registrar().waiting(10, at(0)).await.unwrap();
    let lengths: Vec<usize> = waiting.iter().map(|row| row.envelope.len()).collect();
    assert_eq!(lengths, [64 * 1024 + 1; 2]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_database_of_another_body_never_hears_of_a_spool(pool: PgPool) {
    let spools = database(&pool).await.spools();
    let other = spools.clone().of_body(BodyId::new([2; 16]));
    let refused = other.register(A, "unsubscribe", true, at(0)).await;
    assert!(matches!(refused, Err(StoreError::OtherBody { .. })));
    assert_eq!(number(&pool, "SELECT count(*) FROM spool").await, 0);
    let same = spools.of_body(BodyId::new([1; 16]));
    assert!(same.register(A, "unsubscribe", true, at(0)).await.is_ok());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nobody_s_heart_waits_for_somebody_who_holds_the_tick(pool: PgPool) {
    let database = database(&pool).await;
    let (spools, workers) = (database.spools(), database.workers());
    let worker = WorkerId::new([3; 16]);
    spools.register(A, "intake", false, at(0)).await.unwrap();
    workers.register(worker, &[1; 16], "test").await.unwrap();
    assert_eq!(spools.beat(A, None, at(1)).await.unwrap(), Some(0));
    let mut holder = pool.acquire().await.unwrap();
    let hold = "BEGIN; UPDATE installation SET tick = tick + 1";
    sqlx::raw_sql(hold).execute(&mut *holder).await.unwrap();
    let beats = async {
        assert_eq!(spools.beat(A, None, at(2)).await.unwrap(), Some(0));
        let beat = workers.beat(worker, &[1; 16]).await.unwrap();
        assert_eq!(beat, Beat::Tick(1), "the last that was committed");
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, beats).await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut *holder).await.unwrap();
    let beat = workers.beat(worker, &[1; 16]).await.unwrap();
    assert_eq!(beat, Beat::Tick(3));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_mark_stops_at_a_gap(pool: PgPool) {
    let database = database(&pool).await;
    let (spools, inbox) = (database.spools(), database.sign_up_inbox());
    spools.register(A, "intake", false, at(0)).await.unwrap();
    spools
        .register(B, "unsubscribe", true, at(0))
        .await
        .unwrap();
    let rows: Vec<_> = [1, 2, 3, 5, 6].map(|seq| row(A, seq, false)).into();
    inbox.ship(&rows, at(0)).await.unwrap();
    inbox.ship(&[row(B, 2, true)], at(0)).await.unwrap();
    apply(&database, &[]).await;
    assert_eq!(spools.advance_marks().await.unwrap(), 0, "the turn did it");
    assert_eq!(spools.beat(A, None, at(1)).await.unwrap(), Some(3));
    assert_eq!(spools.beat(B, None, at(1)).await.unwrap(), Some(0));
    inbox
        .ship(&[row(A, 4, false), row(B, 1, true)], at(0))
        .await
        .unwrap();
    apply(&database, &[]).await;
    assert_eq!(spools.advance_marks().await.unwrap(), 0);
    assert_eq!(spools.beat(A, None, at(1)).await.unwrap(), Some(6));
    assert_eq!(spools.beat(B, None, at(1)).await.unwrap(), Some(2));
    assert_eq!(
        number(&pool, "SELECT count(*) FROM applied_request").await,
        0
    );

    // Below the mark: it leaves the inbox and is not applied again.
    inbox.ship(&[row(A, 5, false)], at(0)).await.unwrap();
    let registrar = database.registrar();
    let waiting = registrar.waiting(10, at(0)).await.unwrap();
    let turn = registrar.take_turn([waiting[0].place()]).await.unwrap();
    assert!(turn.fresh().is_empty());
    assert_eq!(turn.repeated(), 1);
    turn.finish(&Changes::default(), at(0)).await.unwrap();
    assert_eq!(number(&pool, "SELECT count(*) FROM request_inbox").await, 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_mark_is_the_longest_run_whatever_the_order(pool: PgPool) {
    let database = database(&pool).await;
    let (spools, inbox) = (database.spools(), database.sign_up_inbox());
    let mut runner = TestRunner::deterministic();
    let shuffled = Just((1..=12_u64).collect::<Vec<_>>()).prop_shuffle();
    for spool in 0..8_u8 {
        let spool_id = SpoolId::new([spool; 16]);
        spools
            .register(spool_id, "intake", false, at(0))
            .await
            .unwrap();
        let mut applied = std::collections::BTreeSet::new();
        for seq in shuffled.new_tree(&mut runner).unwrap().current() {
            inbox
                .ship(&[row(spool_id, seq, false)], at(0))
                .await
                .unwrap();
            apply(&database, &[]).await;
            applied.insert(seq);
            spools.advance_marks().await.unwrap();
            let expected = (1..=12).take_while(|seq| applied.contains(seq)).count() as u64;
            let mark = spools.beat(spool_id, None, at(1)).await.unwrap();
            assert_eq!(mark, Some(expected));
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_newer_waits_and_keeps_the_mark_back(pool: PgPool) {
    let database = database(&pool).await;
    let (spools, inbox) = (database.spools(), database.sign_up_inbox());
    spools.register(A, "intake", false, at(0)).await.unwrap();
    let rows: Vec<_> = [1, 2, 3].map(|seq| row(A, seq, false)).into();
    inbox.ship(&rows, at(0)).await.unwrap();
    apply(&database, &[2]).await;
    spools.advance_marks().await.unwrap();
    assert_eq!(spools.beat(A, None, at(1)).await.unwrap(), Some(1));
    let registrar = database.registrar();
    assert!(registrar.waiting(10, at(29)).await.unwrap().is_empty());
    assert_eq!(registrar.waiting(10, at(30)).await.unwrap().len(), 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_dead_request_is_kept_whole_and_counts_as_applied(pool: PgPool) {
    let database = database(&pool).await;
    let (spools, inbox) = (database.spools(), database.sign_up_inbox());
    spools
        .register(A, "unsubscribe", true, at(0))
        .await
        .unwrap();
    inbox.ship(&[row(A, 1, true)], at(0)).await.unwrap();
    let registrar = database.registrar();
    let waiting = registrar.waiting(10, at(0)).await.unwrap();
    let turn = registrar.take_turn([waiting[0].place()]).await.unwrap();
    let changes = Changes {
        dead: vec![Dead {
            place: waiting[0].place(),
            stop: waiting[0].stop,
            reason: "unreadable",
            envelope: waiting[0].envelope.clone(),
        }],
        ..Changes::default()
    };
    turn.finish(&changes, at(1)).await.unwrap();
    let kept = "SELECT count(*) FROM dead_request WHERE stop AND seen_at IS NULL
                AND envelope = '\\x0000000000000001' AND reason = 'unreadable'";
    assert_eq!(number(&pool, kept).await, 1);
    spools.advance_marks().await.unwrap();
    assert_eq!(spools.beat(A, None, at(1)).await.unwrap(), Some(1));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_dropped_turn_changes_nothing_and_lets_the_next_one_in(pool: PgPool) {
    let database = database(&pool).await;
    database
        .sign_up_inbox()
        .ship(&[row(A, 1, false)], at(0))
        .await
        .unwrap();
    let registrar = database.registrar();
    let waiting = registrar.waiting(10, at(0)).await.unwrap();
    drop(registrar.take_turn([waiting[0].place()]).await.unwrap());
    let turn = registrar.take_turn([waiting[0].place()]).await.unwrap();
    assert_eq!(turn.fresh().len(), 1);
}

//! Marks that a turn moves itself: each place is applied once, and mark and rows together say which
//! are.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{BodyId, SpoolId, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::{Connection, PgPool};
use store::{Changes, Database, Dead, Place, StoreError, Turn};

const A: SpoolId = SpoolId::new([0xaa; 16]);
const B: SpoolId = SpoolId::new([0xbb; 16]);
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A database that knows both spools.
async fn database(pool: &PgPool) -> Database {
    let database = Database::from_pool(pool.clone());
    database.migrate(BodyId::new([1; 16]), NOW).await.unwrap();
    for spool in [A, B] {
        let spools = database.spools();
        spools.register(spool, "intake", false, NOW).await.unwrap();
    }
    database
}

fn places(spool_id: SpoolId, seqs: impl IntoIterator<Item = u64>) -> Vec<Place> {
    seqs.into_iter()
        .map(|seq| Place { spool_id, seq })
        .collect()
}

async fn take(database: &Database, places: Vec<Place>) -> Turn {
    database.registrar().take_turn(places).await.unwrap()
}

/// Applies those that are fresh.
async fn finish(turn: Turn) -> Vec<Place> {
    let applied: Vec<Place> = turn.fresh().iter().copied().collect();
    let changes = Changes {
        applied: applied.clone(),
        ..Changes::default()
    };
    turn.finish(&changes, NOW).await.unwrap();
    applied
}

async fn apply(database: &Database, places: Vec<Place>) -> Vec<Place> {
    finish(take(database, places).await).await
}

/// The mark of a spool, and the seqs above it that have rows.
#[expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]
async fn marks(pool: &PgPool, spool: SpoolId) -> (i64, Vec<i64>) {
    sqlx::query_as(
        "SELECT applied_upto, ARRAY(SELECT seq FROM applied_request a
                                    WHERE a.spool_id = s.spool_id ORDER BY seq)
         FROM spool s WHERE spool_id = $1",
    )
    .bind(spool.as_bytes())
    .fetch_one(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_continues_the_mark_moves_it_and_leaves_no_row(pool: PgPool) {
    let database = database(&pool).await;
    let mut both = places(A, [3, 1, 2]);
    both.extend(places(B, [1, 2]));
    assert_eq!(apply(&database, both).await.len(), 5);
    assert_eq!(marks(&pool, A).await, (3, vec![]));
    assert_eq!(marks(&pool, B).await, (2, vec![]));
    // a place below the mark delivered again
    let again = apply(&database, places(A, 2..=4)).await;
    assert_eq!(again, places(A, [4]));
    assert_eq!(marks(&pool, A).await, (4, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_gap_keeps_the_mark_back_until_it_is_filled(pool: PgPool) {
    let database = database(&pool).await;
    apply(&database, places(A, [1, 3, 4, 7])).await;
    assert_eq!(marks(&pool, A).await, (1, vec![3, 4, 7]));
    apply(&database, places(A, [5])).await;
    assert_eq!(marks(&pool, A).await, (1, vec![3, 4, 5, 7]));
    assert!(apply(&database, places(A, [1, 3, 7])).await.is_empty());
    apply(&database, places(A, [2])).await;
    assert_eq!(marks(&pool, A).await, (5, vec![7]));
    apply(&database, places(A, [6])).await;
    assert_eq!(marks(&pool, A).await, (7, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn more_rows_than_a_turn_looks_at_are_left_to_the_job(pool: PgPool) {
    let database = database(&pool).await;
    apply(&database, places(A, 2..=2_500)).await;
    apply(&database, places(A, [1])).await;
    assert_eq!(marks(&pool, A).await.0, 1_001);
    assert_eq!(database.spools().advance_marks().await.unwrap(), 1_499);
    assert_eq!(marks(&pool, A).await, (2_500, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_dead_request_is_part_of_the_run(pool: PgPool) {
    let database = database(&pool).await;
    let turn = take(&database, places(A, 1..=4)).await;
    let changes = Changes {
        applied: places(A, [1, 3]),
        dead: vec![Dead {
            place: Place {
                spool_id: A,
                seq: 2,
            },
            stop: false,
            reason: "unreadable",
            envelope: vec![1],
        }],
        later: vec![(
            Place {
                spool_id: A,
                seq: 4,
            },
            NOW,
        )],
        ..Changes::default()
    };
    turn.finish(&changes, NOW).await.unwrap();
    assert_eq!(marks(&pool, A).await, (3, vec![]));
    assert_eq!(apply(&database, places(A, 1..=4)).await, places(A, [4]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spool_that_is_not_known_has_rows(pool: PgPool) {
    let database = database(&pool).await;
    let lost = SpoolId::new([0xcc; 16]);
    apply(&database, places(lost, [1, 2])).await;
    assert!(apply(&database, places(lost, [1, 2])).await.is_empty());
    let spools = database.spools();
    spools.register(lost, "intake", false, NOW).await.unwrap();
    // registered again, as after a restored backup: the next turn takes the rows along
    apply(&database, places(lost, [3])).await;
    assert_eq!(marks(&pool, lost).await, (3, vec![]));
}

/// Two registrars with the same places: the second begins while the first is at work, and sees what
/// became of it.
async fn overlap(database: &Database, first_commits: bool) {
    let first = take(database, places(A, 1..=3)).await;
    let registrar = database.registrar();
    let mut second = Box::pin(registrar.take_turn(places(A, 2..=5)));
    let waits = tokio::time::timeout(Duration::from_millis(300), second.as_mut()).await;
    assert!(waits.is_err(), "one turn at a time");
    if first_commits {
        assert_eq!(finish(first).await, places(A, 1..=3));
    } else {
        drop(first);
    }
    let second = second.await.unwrap();
    let expected = if first_commits { 4..=5 } else { 2..=5 };
    assert_eq!(finish(second).await, places(A, expected));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_second_of_two_registrars_holds_out_what_the_first_committed(pool: PgPool) {
    overlap(&database(&pool).await, true).await;
    assert_eq!(marks(&pool, A).await, (5, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_second_of_two_registrars_applies_what_the_first_dropped(pool: PgPool) {
    let database = database(&pool).await;
    overlap(&database, false).await;
    assert_eq!(marks(&pool, A).await, (0, vec![2, 3, 4, 5]));
    apply(&database, places(A, 1..=3)).await;
    assert_eq!(marks(&pool, A).await, (5, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_server_that_is_set_to_another_isolation_changes_nothing(pool: PgPool) {
    database(&pool).await;
    let set = "DO $$ BEGIN EXECUTE format(
        'ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''',
        current_database()); END $$";
    sqlx::raw_sql(set).execute(&pool).await.unwrap();
    let options = pool.connect_options().as_ref().clone();
    let strict = PgPool::connect_with(options).await.unwrap();
    overlap(&Database::from_pool(strict.clone()), true).await;
    strict.close().await;
    assert_eq!(marks(&pool, A).await, (5, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_turn_applies_only_what_is_fresh_and_once(pool: PgPool) {
    let database = database(&pool).await;
    apply(&database, places(A, [1])).await;
    for wrong in [places(A, [1, 2]), places(A, [2, 2]), places(A, [2, 3])] {
        let turn = take(&database, places(A, [1, 2])).await;
        let changes = Changes {
            applied: wrong,
            ..Changes::default()
        };
        let refused = turn.finish(&changes, NOW).await;
        assert!(matches!(refused, Err(StoreError::Unexpected(_))));
    }
    assert_eq!(marks(&pool, A).await, (1, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_mark_that_the_job_moves_meanwhile_is_left_to_it(pool: PgPool) {
    let database = database(&pool).await;
    // the job, between its statement and its commit
    let rows = "INSERT INTO applied_request SELECT decode(repeat('aa', 16), 'hex'), seq
                FROM generate_series(1, 2) AS seq";
    sqlx::raw_sql(rows).execute(&pool).await.unwrap();
    let mut job = pool.acquire().await.unwrap();
    let mut moving = job.begin().await.unwrap();
    let moves =
        "UPDATE spool SET applied_upto = 2 WHERE spool_id = decode(repeat('aa', 16), 'hex');
                 DELETE FROM applied_request";
    sqlx::raw_sql(moves).execute(&mut *moving).await.unwrap();

    let turn = take(&database, places(A, [3])).await;
    let mut finished = Box::pin(finish(turn));
    let waits = tokio::time::timeout(Duration::from_millis(300), finished.as_mut()).await;
    assert!(waits.is_err(), "it waits for the spool's row");
    moving.commit().await.unwrap();
    finished.await;
    assert_eq!(marks(&pool, A).await, (2, vec![3]));
    assert!(apply(&database, places(A, 1..=3)).await.is_empty());
    assert_eq!(database.spools().advance_marks().await.unwrap(), 1);
    assert_eq!(marks(&pool, A).await, (3, vec![]));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn mark_and_rows_cover_what_was_applied_whatever_the_order(pool: PgPool) {
    let database = database(&pool).await;
    let mut runner = TestRunner::deterministic();
    let deliveries = proptest::collection::vec(
        (
            proptest::collection::vec((any::<bool>(), 1..=24_u64), 1..=12),
            any::<bool>(),
        ),
        40,
    );
    let mut applied = BTreeSet::new();
    for (batch, job) in deliveries.new_tree(&mut runner).unwrap().current() {
        let batch = batch.into_iter().map(|(is_a, seq)| Place {
            spool_id: if is_a { A } else { B },
            seq,
        });
        for place in apply(&database, batch.collect()).await {
            assert!(applied.insert(place), "{place:?} twice");
        }
        if job {
            database.spools().advance_marks().await.unwrap();
        }
        for spool in [A, B] {
            let (mark, rows) = marks(&pool, spool).await;
            let covered: Vec<u64> = (1..=mark)
                .chain(rows)
                .map(|seq| u64::try_from(seq).unwrap())
                .collect();
            let expected = applied.iter().filter(|place| place.spool_id == spool);
            assert_eq!(covered, expected.map(|place| place.seq).collect::<Vec<_>>());
        }
    }
}

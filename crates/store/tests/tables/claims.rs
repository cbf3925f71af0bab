//! Claims that meet others in the middle: a process that dies while the server goes on with its claim,
//! a chunk that is handed back while somebody decides on its doubts.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use std::time::Duration;

use domain::DeliveryState::{Accepted, InDoubt};
use domain::WorkerId;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use store::{Claim, InDoubtPolicy};

use super::audience::{NOW, WORKER, claim, issue, number, progress, readers, settle, take};

const OTHER: WorkerId = WorkerId::new([8; 16]);
const ATTEMPTING: &str = "SELECT count(*) FROM delivery WHERE state = 1";

/// Whoever updates a delivery waits while this is held.
struct Gate(PgConnection);

impl Gate {
    async fn close(pool: &PgPool) -> Self {
        pool.execute(
            "CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$;
             CREATE TRIGGER gate BEFORE UPDATE ON delivery
                 FOR EACH ROW EXECUTE FUNCTION wait_at_the_gate();",
        )
        .await
        .unwrap();
        let mut own = pool.acquire().await.unwrap().detach();
        own.execute("SELECT pg_advisory_lock(7)").await.unwrap();
        Self(own)
    }

    async fn open(mut self) {
        self.0
            .execute("SELECT pg_advisory_unlock(7)")
            .await
            .unwrap();
        self.0.close().await.unwrap();
    }
}

/// Waits until so many statements of this database wait for a lock.
async fn until_waiting(pool: &PgPool, statements: i64) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while number(pool, WAITING).await < statements {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{statements} statements should wait"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_claim_that_outlives_its_process_is_waited_for_and_freed(pool: PgPool) {
    let database = readers(&pool, 30).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    let chunk = take(&database).await;
    let gate = Gate::close(&pool).await;
    // the process is gone; the server is in the middle of its claim
    let late = tokio::spawn({
        let deliveries = database.deliveries();
        async move { deliveries.claim(&chunk, 20, NOW).await }
    });
    until_waiting(&pool, 1).await;
    let reaped = tokio::spawn({
        let database = database.clone();
        async move {
            let doubted = database.deliveries().doubt_all_of(&[WORKER], NOW).await;
            let closed = database.chunks().close_all_of(WORKER).await;
            (doubted.unwrap(), closed.unwrap())
        }
    });
    until_waiting(&pool, 2).await;
    gate.open().await;
    let claimed: Claim = late.await.unwrap().unwrap();
    assert_eq!(claimed.deliveries.len(), 20, "it committed after all");
    assert_eq!(
        reaped.await.unwrap(),
        (0, 0),
        "a chunk with attempts stays where the next look finds it"
    );

    let doubted = database
        .deliveries()
        .doubt_all_of(&[WORKER, OTHER], NOW)
        .await;
    assert_eq!(doubted.unwrap(), 20);
    assert_eq!(database.chunks().close_all_of(WORKER).await.unwrap(), 1);
    assert_eq!(number(&pool, ATTEMPTING).await, 0);
    let again = database.chunks().take_due(OTHER, NOW).await.unwrap();
    let again = again.unwrap();
    let rest = database.deliveries().claim(&again, 200, NOW).await.unwrap();
    assert_eq!(rest.deliveries.len(), 10);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.counts.uncertain, stands.counts.waiting), (20, 10));
    assert_eq!(stands.undecided, 20);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_claim_that_comes_after_the_reaper_takes_nothing(pool: PgPool) {
    let database = readers(&pool, 30).await;
    issue(&database, InDoubtPolicy::Skip).await;
    let chunk = take(&database).await;
    let mut reaper = pool.begin().await.unwrap();
    reaper
        .execute("UPDATE chunk SET owner = NULL, state = 0")
        .await
        .unwrap();
    let late = tokio::spawn({
        let deliveries = database.deliveries();
        async move { deliveries.claim(&chunk, 20, NOW).await }
    });
    until_waiting(&pool, 1).await;
    reaper.commit().await.unwrap();
    let claimed = late.await.unwrap().unwrap();
    assert!(claimed.deliveries.is_empty());
    assert_eq!(number(&pool, ATTEMPTING).await, 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_row_of_the_dead_is_found_in_whoever_s_chunk(pool: PgPool) {
    let database = readers(&pool, 30).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    let chunk = take(&database).await;
    claim(&database, &chunk, 20).await;
    // as a version before this one could leave it
    pool.execute("UPDATE chunk SET owner = substr(sha256('x'), 1, 16), epoch = epoch + 1")
        .await
        .unwrap();
    let doubt = async |dead: &[WorkerId]| {
        let doubted = database.deliveries().doubt_all_of(dead, NOW).await;
        doubted.unwrap()
    };
    assert_eq!(doubt(&[OTHER]).await, 0);
    assert_eq!(doubt(&[WORKER]).await, 20);
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.undecided, stands.counts.uncertain), (20, 20));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_chunk_is_counted_after_whoever_was_deciding_on_its_doubts(pool: PgPool) {
    let database = readers(&pool, 4).await;
    let issue = issue(&database, InDoubtPolicy::Hold).await;
    let chunk = take(&database).await;
    let claimed = claim(&database, &chunk, 200).await;
    settle(&database, &claimed, &[Accepted, InDoubt]).await;
    // a resolver, as far as its commit
    let mut resolver = pool.begin().await.unwrap();
    resolver
        .execute(
            "SELECT FROM chunk FOR UPDATE;
             UPDATE delivery SET state = 9 WHERE state = 6;
             UPDATE chunk SET in_doubt = 0",
        )
        .await
        .unwrap();
    let closing = tokio::spawn({
        let chunks = database.chunks();
        async move { chunks.close(&chunk).await }
    });
    until_waiting(&pool, 1).await;
    resolver.commit().await.unwrap();
    assert!(closing.await.unwrap().unwrap());
    let counted = "SELECT in_doubt FROM chunk";
    let doubts: i32 = sqlx::query_scalar(counted).fetch_one(&pool).await.unwrap();
    assert_eq!(doubts, 0, "decided while the chunk was handed back");
    let stands = progress(&pool, &database, issue).await;
    assert_eq!((stands.undecided, stands.counts.uncertain), (0, 2));
    assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_last_look_knows_the_attempt(pool: PgPool) {
    let database = readers(&pool, 3).await;
    issue(&database, InDoubtPolicy::Skip).await;
    let chunk = take(&database).await;
    let key = claim(&database, &chunk, 200).await[0].key;
    let deliveries = database.deliveries();
    let wanted = async |worker, key: &store::DeliveryAttempt| {
        deliveries.still_wanted(worker, key, NOW).await.unwrap()
    };
    assert!(wanted(WORKER, &key).await);
    assert!(!wanted(OTHER, &key).await, "another worker's row");
    let mut other = key;
    other.epoch += 1;
    assert!(!wanted(WORKER, &other).await, "another owner's row");
    other = key;
    other.attempt += 1;
    assert!(!wanted(WORKER, &other).await, "another attempt");
    deliveries.doubt_all_of(&[WORKER], NOW).await.unwrap();
    assert!(!wanted(WORKER, &key).await, "taken for dead meanwhile");
}

//! Hints in the outbox, and what was set aside.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{BodyId, SpoolId, Timestamp};
use sqlx::PgPool;
use store::{
    Backlog, Barrier, Changes, Database, Dead, Lane, Outbox, OutboxRow, Place, StoreError, Topic,
};

const LEASE: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
}

/// An outbox with hints of this many mails, one a second, and of one chunk.
async fn outbox(pool: &PgPool, mails: i32) -> Outbox {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "INSERT INTO outbox (topic, body, created_at)
         SELECT 2, '{{\"v\":1,\"mail\":' || n || '}}', to_timestamp(1800000000 + n)
         FROM generate_series(0, {mails} - 1) n;
         INSERT INTO outbox (topic, body, created_at)
         VALUES (1, '{{\"v\":1,\"issue\":7,\"chunk\":0}}', to_timestamp(1800001000))"
    )))
    .execute(pool)
    .await
    .unwrap();
    Database::from_pool(pool.clone()).outbox()
}

fn ids(rows: &[OutboxRow]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_hint_is_held_by_one_relay_until_it_is_done_or_its_time_is_over(pool: PgPool) {
    let outbox = outbox(&pool, 3).await;
    let first = outbox.claim(2, at(0), LEASE).await.unwrap();
    assert_eq!(first[0].topic, Topic::Confirm);
    assert_eq!(first[0].body, r#"{"v":1,"mail":0}"#);
    let second = outbox.claim(10, at(1), LEASE).await.unwrap();
    assert_eq!(second.len(), 2, "the rest");
    assert_eq!(second[1].topic, Topic::Bulk);
    assert_eq!(outbox.claim(10, at(29), LEASE).await.unwrap(), []);

    outbox.done(&ids(&first[..1])).await.unwrap();
    outbox.release(&ids(&second[1..])).await.unwrap();
    let again = outbox.claim(10, at(29), LEASE).await.unwrap();
    assert_eq!(again, second[1..], "given back");
    let late = outbox.claim(10, at(31), LEASE).await.unwrap();
    assert_eq!(
        ids(&late),
        [first[1].id, second[0].id],
        "their time is over"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn relays_at_once_share_the_outbox(pool: PgPool) {
    let outbox = outbox(&pool, 199).await;
    let claims = tokio::join!(
        outbox.claim(80, at(0), LEASE),
        outbox.claim(80, at(0), LEASE),
        outbox.claim(80, at(0), LEASE)
    );
    let claims = [claims.0.unwrap(), claims.1.unwrap(), claims.2.unwrap()];
    let all: BTreeSet<i64> = claims.iter().flat_map(|rows| ids(rows)).collect();
    let number: usize = claims.iter().map(Vec::len).sum();
    assert_eq!(all.len(), number, "none twice");
    assert!(number >= 80, "{number}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_backlog_is_what_is_not_done(pool: PgPool) {
    let outbox = outbox(&pool, 2).await;
    outbox.claim(1, at(0), LEASE).await.unwrap();
    let backlog = outbox.backlog(at(60)).await.unwrap();
    let expected = Backlog {
        rows: 3,
        oldest_age: Duration::from_mins(1),
    };
    assert_eq!(backlog, expected);
    let rows = outbox.claim(10, at(99), LEASE).await.unwrap();
    outbox.done(&ids(&rows)).await.unwrap();
    assert_eq!(outbox.backlog(at(60)).await.unwrap(), Backlog::default());
}

fn dead(seq: u64, stop: bool) -> Dead {
    Dead {
        place: Place {
            spool_id: SpoolId::new([9; 16]),
            seq,
        },
        stop,
        reason: "it is no CBOR",
        envelope: vec![0; 70],
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_dead_stop_keeps_the_barrier_closed_until_it_was_seen(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BodyId::new([1; 16]), at(0)).await.unwrap();
    let (letters, deliveries) = (database.dead_letters(), database.deliveries());
    // From a queue: none of them was ever in the inbox.
    let rows = vec![dead(1, false), dead(2, true)];
    let places = rows.iter().map(|dead| dead.place);
    let turn = database.registrar().take_turn(places).await.unwrap();
    assert_eq!(turn.fresh().len(), 2);
    let changes = Changes {
        dead: rows.clone(),
        ..Changes::default()
    };
    turn.finish(&changes, at(5)).await.unwrap();

    let list = letters.list().await.unwrap();
    assert_eq!(letters.unseen().await.unwrap(), 2);
    let (letter, place) = (&list[1], rows[1].place);
    assert!(letter.stop && !list[0].stop);
    assert_eq!((letter.bytes, letter.died_at), (70, at(5)));
    assert_eq!(letter.reason, "it is no CBOR");
    assert_eq!((letter.spool_id, letter.seq), (place.spool_id, place.seq));
    let closed = Barrier::Closed("dead_letter");
    assert_eq!(deliveries.barrier(at(9)).await.unwrap(), closed);

    assert!(letters.seen(list[0].number, at(9)).await.unwrap());
    assert_eq!(deliveries.barrier(at(9)).await.unwrap(), closed);
    assert!(letters.seen(letter.number, at(9)).await.unwrap());
    assert!(!letters.seen(letter.number, at(9)).await.unwrap(), "again");
    assert!(!letters.seen(4_711, at(9)).await.unwrap(), "no such letter");
    assert_eq!(deliveries.barrier(at(9)).await.unwrap(), Barrier::Open);
    assert_eq!(letters.unseen().await.unwrap(), 0);
    assert_eq!(letters.list().await.unwrap(), []);

    // It comes again, as everything does: it is known, and nobody has to look at it twice.
    let turn = database
        .registrar()
        .take_turn([rows[1].place, rows[1].place])
        .await
        .unwrap();
    assert_eq!((turn.fresh().len(), turn.repeated()), (0, 1));
    turn.finish(&Changes::default(), at(9)).await.unwrap();
    assert_eq!(letters.unseen().await.unwrap(), 0);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn stops_are_looked_for_apart(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    let rows: Vec<store::InboxRow> = (1..=4)
        .map(|seq| store::InboxRow {
            spool_id: SpoolId::new([3; 16]),
            seq,
            stop: seq % 2 == 0,
            envelope: vec![1],
        })
        .collect();
    database.sign_up_inbox().ship(&rows, at(0)).await.unwrap();
    let registrar = database.registrar();
    let seqs = |rows: Vec<store::InboxRow>| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    let stops = registrar.waiting_in(Lane::Stops, 9, at(0)).await.unwrap();
    assert_eq!(seqs(stops), [2, 4]);
    let others = registrar.waiting_in(Lane::Others, 1, at(0)).await.unwrap();
    assert_eq!(seqs(others), [1]);
    let some = registrar.waiting(3, at(0)).await.unwrap();
    assert_eq!(seqs(some), [2, 4, 1]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_request_that_came_over_a_queue_leaves_the_inbox_too(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    let row = store::InboxRow {
        spool_id: SpoolId::new([3; 16]),
        seq: 5,
        stop: false,
        envelope: vec![1],
    };
    let registrar = database.registrar();
    let turn = registrar.take_turn([row.place()]).await.unwrap();
    // Shipped over the other way while the turn runs.
    let rows = [row.clone()];
    database.sign_up_inbox().ship(&rows, at(0)).await.unwrap();
    let changes = Changes {
        applied: vec![row.place()],
        ..Changes::default()
    };
    turn.finish(&changes, at(0)).await.unwrap();
    assert_eq!(registrar.waiting(9, at(0)).await.unwrap(), []);
    // And afterwards.
    database.sign_up_inbox().ship(&rows, at(0)).await.unwrap();
    let turn = registrar.take_turn([row.place()]).await.unwrap();
    assert_eq!((turn.fresh().len(), turn.repeated()), (0, 1));
    turn.finish(&Changes::default(), at(0)).await.unwrap();
    assert_eq!(registrar.waiting(9, at(0)).await.unwrap(), []);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_database_shows_whose_it_is(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    let own = BodyId::new([1; 16]);
    let empty = database.belongs_to(own).await;
    assert!(
        matches!(empty, Err(StoreError::NotMigrated(_))),
        "{empty:?}"
    );
    database.migrate(own, at(0)).await.unwrap();
    database.belongs_to(own).await.unwrap();
    let other = database.belongs_to(BodyId::new([2; 16])).await;
    assert!(matches!(other, Err(StoreError::OtherBody { found, .. }) if found == own));
}

#[sqlx::test(migrations = false)]
async fn a_database_without_tables_says_so(pool: PgPool) {
    let database = Database::from_pool(pool);
    let empty = database.belongs_to(BodyId::new([1; 16])).await;
    assert!(
        matches!(empty, Err(StoreError::NotMigrated(_))),
        "{empty:?}"
    );
}

//! The ledger's rows: chained by the append and by the migration alike, and nobody's to change.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use domain::{
    Actor, BodyId, Effect, EventId, IssueNumber, KeyId, KeyState, LedgerEntry, Method,
    NewsletterNumber, Restored, SpoolId, SubscriptionId, Timestamp, TokenKey,
};
use ledger::{Checkpoint, CheckpointBook, SigningKey, Verified, Verifier, encode};
use sqlx::PgPool;
use store::{Changes, Database, StoreError};

use super::rights::{FORBIDDEN, ROLES, become_role, code, reset};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const BODY: BodyId = BodyId::new([0xaa; 16]);

pub(crate) fn entry(number: u8) -> LedgerEntry {
    LedgerEntry {
        event_id: EventId::new([number; 16]),
        occurred_at: Timestamp::from_millis(number.into()),
        recorded_at: NOW,
        newsletter: (!number.is_multiple_of(3))
            .then(|| NewsletterNumber(u64::from(number) * 1_000)),
        subscription_id: (!number.is_multiple_of(2)).then(|| SubscriptionId::new([number; 16])),
        issue: IssueNumber(u32::from(number) * 700),
        method: Method::OneClick,
        effect: Effect::Stopped,
        token: (!number.is_multiple_of(2)).then_some(TokenKey {
            version: 1,
            kid: KeyId(u16::from(number) * 100),
            state: KeyState::Retired,
        }),
        actor: Actor::Subscriber,
        staff_reference: None,
        decision_id: number.is_multiple_of(5).then(|| EventId::new([0xdd; 16])),
        spool_id: Some(SpoolId::new([1; 16])),
        restored: None,
    }
}

fn restore(number: u8) -> LedgerEntry {
    LedgerEntry {
        method: Method::Restore,
        restored: Some(Restored {
            checkpoint_seq: 70_000,
            checkpoint_h: [7; 32],
        }),
        ..entry(number)
    }
}

pub(crate) async fn append(
    database: &Database,
    entries: Vec<LedgerEntry>,
) -> Result<(), StoreError> {
    let turn = database.registrar().take_turn([]).await?;
    let changes = Changes {
        ledger: entries,
        ..Changes::default()
    };
    turn.finish(&changes, NOW).await
}

/// Every row holds the hashes that an independent pass over it gives.
pub(crate) async fn assert_chained(database: &Database, entries: u64) {
    let reader = database.ledger();
    let mut verifier = Verifier::new(BODY, CheckpointBook::new(BODY, Vec::new()));
    for row in reader.rows_after(0, 10_000).await.unwrap() {
        let bytes = encode(row.seq, &row.entry.unwrap());
        verifier.bytes(0, &bytes, &row.leaf, &row.h).unwrap();
    }
    let head = reader.head().await.unwrap().unwrap();
    assert_eq!(reader.hash_at(head.seq).await.unwrap(), Some(head.h));
    let whole = verifier.end(None).unwrap();
    assert_eq!((head.seq, whole.entries), (entries, entries));
}

#[sqlx::test(migrations = false)]
async fn each_append_is_chained_to_what_is_there(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    assert_eq!(database.ledger().head().await.unwrap(), None);
    append(&database, (1..=30).map(entry).collect())
        .await
        .unwrap();
    append(&database, vec![]).await.unwrap();
    append(&database, vec![restore(31)]).await.unwrap();
    append(&database, (32..=200).map(entry).collect())
        .await
        .unwrap();
    assert_chained(&database, 200).await;
    let row = database.ledger().of_event(EventId::new([31; 16])).await;
    assert_eq!(row.unwrap().unwrap().entry, Some(restore(31)));
    assert_eq!(database.ledger().first_repeated(200).await.unwrap(), None);
    // A worker of the version before knows nothing of hashes: the database makes the same ones.
    let old = "INSERT INTO ledger_entry (seq, event_id, occurred_ms, recorded_ms, newsletter_id,
            subscription_id, issue, method, effect, token_version, kid, key_state, actor,
            decision_id, spool_id)
        SELECT seq + 200, sha256(event_id)::bytea, occurred_ms, recorded_ms, newsletter_id,
            subscription_id, issue, method, effect, token_version, kid, key_state, actor,
            decision_id, spool_id FROM ledger_entry WHERE seq <= 30 ORDER BY seq;
        UPDATE ledger_head SET seq = 230";
    let old = old.replace("sha256(event_id)::bytea", "substr(sha256(event_id), 1, 16)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(old))
        .execute(&pool)
        .await
        .unwrap();
    assert_chained(&database, 230).await;
    append(&database, vec![entry(240)]).await.unwrap();
    assert_chained(&database, 231).await;
}

#[sqlx::test(migrations = false)]
async fn an_append_after_another_head_than_was_read_is_refused(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    append(&database, vec![entry(1)]).await.unwrap();
    // A restore without its range, or a range without a restore, is no entry.
    for bad in [
        LedgerEntry {
            restored: None,
            ..restore(2)
        },
        LedgerEntry {
            method: Method::Undo,
            ..restore(2)
        },
        entry(1),
    ] {
        let refused = append(&database, vec![bad]).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
    }
    sqlx::raw_sql("UPDATE ledger_head SET h = NULL")
        .execute(&pool)
        .await
        .unwrap();
    let refused = append(&database, vec![entry(2)]).await;
    assert!(
        matches!(refused, Err(StoreError::Inconsistent(_))),
        "{refused:?}"
    );
}

#[sqlx::test(migrations = false)]
async fn checkpoints_are_kept_in_the_order_of_the_chain(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    append(&database, (1..=9).map(entry).collect())
        .await
        .unwrap();
    append(&database, vec![restore(10)]).await.unwrap();
    let reader = database.ledger();
    let key = SigningKey::from_seed(&[3; 32]).unwrap();
    let mut signed = Vec::new();
    for seq in [4, 7, 9] {
        let h = reader.hash_at(seq).await.unwrap().unwrap();
        signed.push(key.sign(BODY, Checkpoint { seq, h, time: NOW }));
    }
    for checkpoint in signed.iter().rev().chain(&signed) {
        reader.keep(checkpoint).await.unwrap();
    }
    let mut read = Vec::new();
    loop {
        let page = reader.checkpoints_after(read.last(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, signed);
    assert_eq!(reader.newest_checkpoint().await.unwrap(), Some(signed[2]));
    assert_eq!(reader.checkpoint_over(5).await.unwrap(), Some(signed[1]));
    assert_eq!(reader.checkpoint_over(10).await.unwrap(), None);
    let restores = reader.restores_without_checkpoint().await.unwrap();
    assert_eq!(
        restores.iter().map(|head| head.seq).collect::<Vec<_>>(),
        [10]
    );
    for (seq, h, given_up) in [
        (70_000, [7; 32], true),
        (70_000, [8; 32], false),
        (69_999, [8; 32], true),
        (70_001, [7; 32], false),
        (9, [7; 32], false),
    ] {
        let checkpoint = Checkpoint { seq, h, time: NOW };
        assert_eq!(
            reader.gives_up(&checkpoint).await.unwrap(),
            given_up,
            "{seq}"
        );
    }
    let mut book = CheckpointBook::new(BODY, vec![key.public_key()]);
    for signed in &read {
        book.add(0, signed);
    }
    let mut verifier = Verifier::new(BODY, book);
    for row in reader.rows_after(0, 100).await.unwrap() {
        let bytes = encode(row.seq, &row.entry.unwrap());
        verifier.bytes(0, &bytes, &row.leaf, &row.h).unwrap();
    }
    let expected = Verified {
        entries: 10,
        checkpoints: 3,
        proven_upto: 9,
        abandoned: 0,
    };
    assert_eq!(verifier.end(None), Ok(expected));
}

/// The property behind the lock on the head: whoever appends, in whatever order, dying or not, the chain
/// stays one.
#[sqlx::test(migrations = false)]
async fn several_registrars_never_fork_the_chain(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    let tasks: Vec<_> = (0..6u8)
        .map(|task| {
            let database = Database::from_pool(pool.clone());
            tokio::spawn(async move {
                let mut appended = 0;
                for round in 0..25u8 {
                    let turn = database.registrar().take_turn([]).await.unwrap();
                    if (task + round) % 4 == 3 {
                        // killed in the middle: nothing of it is there
                        drop(turn);
                        continue;
                    }
                    let entries: Vec<_> = (0..=round % 5)
                        .map(|number| LedgerEntry {
                            event_id: EventId::new(
                                [[task, round, number, 1]; 4].concat().try_into().unwrap(),
                            ),
                            ..entry(number)
                        })
                        .collect();
                    appended += entries.len() as u64;
                    let changes = Changes {
                        ledger: entries,
                        ..Changes::default()
                    };
                    turn.finish(&changes, NOW).await.unwrap();
                }
                appended
            })
        })
        .collect();
    let mut appended = 0;
    for task in tasks {
        appended += task.await.unwrap();
    }
    assert!(appended > 300);
    assert_chained(&database, appended).await;
}

/// LED-01
#[sqlx::test(migrations = false)]
async fn no_role_changes_what_stands_in_the_ledger(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    append(&database, vec![entry(1)]).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    for role in ROLES {
        become_role(&mut connection, role).await;
        for table in ["ledger_entry", "ledger_checkpoint", "ledger_head"] {
            let mut tried = vec![
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table}"),
                format!("COPY {table} FROM '/dev/null'"),
                format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
                format!("ALTER TABLE {table} ADD COLUMN mine int"),
                format!(
                    "CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_changed_ledger()"
                ),
                format!("DROP TABLE {table}"),
            ];
            // The worker moves the head, and nothing else of it.
            let moves = (table, role) == ("ledger_head", "letterbox_deliver");
            let column = if moves { "one = one" } else { "h = h" };
            tried.push(format!("UPDATE {table} SET {column}"));
            for sql in tried {
                let refused = code(&mut connection, &sql).await;
                assert_eq!(refused.as_deref(), Some(FORBIDDEN), "{role}: {sql}");
            }
        }
    }
    reset(&mut connection).await;
}

#[sqlx::test(migrations = false)]
async fn the_ledger_refuses_changes_to_its_owner_too(pool: PgPool) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    append(&database, vec![entry(1)]).await.unwrap();
    let key = SigningKey::from_seed(&[3; 32]).unwrap();
    let h = database.ledger().hash_at(1).await.unwrap().unwrap();
    let signed = key.sign(
        BODY,
        Checkpoint {
            seq: 1,
            h,
            time: NOW,
        },
    );
    database.ledger().keep(&signed).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    for preparation in ["RESET ALL", "SET session_replication_role = replica"] {
        assert_eq!(code(&mut connection, preparation).await, None);
        for sql in [
            "UPDATE ledger_entry SET issue = 1",
            "DELETE FROM ledger_entry",
            "TRUNCATE ledger_entry",
            "TRUNCATE ledger_entry CASCADE",
            "UPDATE ledger_checkpoint SET time_ms = 1",
            "DELETE FROM ledger_checkpoint",
            "TRUNCATE ledger_checkpoint",
        ] {
            let refused = code(&mut connection, sql).await;
            assert_eq!(refused.as_deref(), Some("P0001"), "{preparation}; {sql}");
        }
    }
    assert_eq!(code(&mut connection, "RESET ALL").await, None);
}

#[sqlx::test(migrations = false)]
async fn a_ledger_that_became_shorter_trusts_nobody(pool: PgPool) {
    let database = Database::from_pool(pool);
    database.migrate(BODY, NOW).await.unwrap();
    append(&database, (1..=3).map(entry).collect())
        .await
        .unwrap();
    let deliveries = database.deliveries();
    for (seen, end, unnamed) in [(3, 3, false), (5, 3, true)] {
        let stops = deliveries.stops_since(Some(seen)).await.unwrap();
        assert_eq!((stops.seq, stops.unnamed), (end, unnamed), "{seen}");
        assert!(stops.subscriptions.is_empty());
    }
}

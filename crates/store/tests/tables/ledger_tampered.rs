//! LED-02: whatever a superuser does to the ledger, its verification names the place.

use ledger::{Bad, Checkpoint, CheckpointBook, Fault, SignedCheckpoint, SigningKey, Verified};
use sqlx::PgPool;
use store::Database;

use super::ledger::{BODY, NOW, append, entry};

/// Makes all hashes anew, the head's too, so that they fit what the rows say now.
const CHAIN_ANEW: &str = "
    CREATE TRIGGER again BEFORE UPDATE ON ledger_entry
        FOR EACH ROW EXECUTE FUNCTION chain_ledger_entry();
    DO $$ DECLARE place bigint; BEGIN
        FOR place IN SELECT seq FROM ledger_entry ORDER BY seq LOOP
            UPDATE ledger_entry SET leaf = NULL WHERE seq = place;
        END LOOP;
    END $$;
    UPDATE ledger_head SET seq = e.seq, h = e.h
    FROM (SELECT seq, h FROM ledger_entry ORDER BY seq DESC LIMIT 1) AS e;";

/// What is done, the first bad seq and what is said of it.
const TAMPERING: &[(&str, u64, Fault)] = &[
    ("UPDATE ledger_entry SET issue = issue + 1 WHERE seq = 13", 13, Fault::WrongLeaf),
    ("UPDATE ledger_entry SET occurred_ms = 5 WHERE seq = 1", 1, Fault::WrongLeaf),
    ("UPDATE ledger_entry SET effect = 1 WHERE seq = 30", 30, Fault::WrongLeaf),
    ("UPDATE ledger_entry SET leaf = sha256('x') WHERE seq = 13", 13, Fault::WrongLeaf),
    ("UPDATE ledger_entry SET h = sha256('x') WHERE seq = 13", 13, Fault::BrokenChain),
    ("UPDATE ledger_entry SET leaf = (SELECT leaf FROM ledger_entry WHERE seq = 14) WHERE seq = 13",
     13, Fault::WrongLeaf),
    ("ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_actor_check;
      UPDATE ledger_entry SET actor = 9 WHERE seq = 13", 13, Fault::NotAnEntry),
    ("DELETE FROM ledger_entry WHERE seq = 13", 13, Fault::OutOfOrder),
    ("DELETE FROM ledger_entry WHERE seq = 1", 1, Fault::OutOfOrder),
    // A row removed, and the gap closed.
    ("DELETE FROM ledger_entry WHERE seq = 13;
      UPDATE ledger_entry SET seq = seq + 1000 WHERE seq > 13;
      UPDATE ledger_entry SET seq = seq - 1001 WHERE seq > 1000", 13, Fault::WrongLeaf),
    // Two swapped.
    ("UPDATE ledger_entry SET seq = 1000 WHERE seq = 13;
      UPDATE ledger_entry SET seq = 13 WHERE seq = 17;
      UPDATE ledger_entry SET seq = 17 WHERE seq = 1000", 13, Fault::WrongLeaf),
    // One put in between.
    ("UPDATE ledger_entry SET seq = seq + 1000 WHERE seq >= 13;
      UPDATE ledger_entry SET seq = seq - 999 WHERE seq > 1000;
      INSERT INTO ledger_entry (seq, event_id, occurred_ms, recorded_ms, method, effect, actor)
      VALUES (13, substr(sha256('x'), 1, 16), 1, 1, 0, 0, 0)", 14, Fault::WrongLeaf),
    // One put at the end, past the head.
    ("INSERT INTO ledger_entry (seq, event_id, occurred_ms, recorded_ms, method, effect, actor)
      VALUES (31, substr(sha256('x'), 1, 16), 1, 1, 0, 0, 0)", 31, Fault::BeyondTheEnd),
    ("INSERT INTO ledger_entry (seq, event_id, occurred_ms, recorded_ms, method, effect, actor, leaf, h)
      VALUES (31, substr(sha256('x'), 1, 16), 1, 1, 0, 0, 0, sha256('y'), sha256('z'));
      UPDATE ledger_head SET seq = 31, h = sha256('z')", 31, Fault::WrongLeaf),
    // The tail cut.
    ("DELETE FROM ledger_entry WHERE seq > 25", 26, Fault::CutOff),
    ("DELETE FROM ledger_entry WHERE seq > 25;
      UPDATE ledger_head SET seq = 25, h = (SELECT h FROM ledger_entry WHERE seq = 25)",
     26, Fault::CutOff),
    ("DELETE FROM ledger_entry;
      UPDATE ledger_head SET seq = 0, h = NULL", 1, Fault::CutOff),
];

/// And with all hashes made anew; the checkpoints of the table are taken away besides.
const CHAINED_ANEW: &[(&str, u64, Fault)] = &[
    (
        "UPDATE ledger_entry SET issue = issue + 1 WHERE seq = 13",
        20,
        Fault::OffTheChain,
    ),
    (
        "UPDATE ledger_entry SET issue = issue + 1 WHERE seq = 1",
        10,
        Fault::OffTheChain,
    ),
    (
        "UPDATE ledger_entry SET issue = issue + 1 WHERE seq = 30",
        30,
        Fault::OffTheChain,
    ),
    (
        "DELETE FROM ledger_entry WHERE seq = 13;
      UPDATE ledger_entry SET seq = seq + 1000 WHERE seq > 13;
      UPDATE ledger_entry SET seq = seq - 1001 WHERE seq > 1000",
        20,
        Fault::OffTheChain,
    ),
    (
        "ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_event_id_key;
      UPDATE ledger_entry SET event_id = (SELECT event_id FROM ledger_entry WHERE seq = 12)
      WHERE seq = 15",
        15,
        Fault::RecordedTwice,
    ),
];

async fn run(pool: &PgPool, sql: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(pool)
        .await
        .unwrap();
}

/// A superuser at work: nothing refuses, and afterwards all looks as it did.
async fn tamper(pool: &PgPool, what: &str) {
    let all = format!(
        "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_is_append_only;
         ALTER TABLE ledger_checkpoint DISABLE TRIGGER checkpoints_are_append_only;
         {what};
         DROP TRIGGER IF EXISTS again ON ledger_entry;
         ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER checkpoints_are_append_only;
         ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_is_append_only"
    );
    run(pool, all).await;
}

/// A ledger of 30 entries with checkpoints at 10, 20 and 30, in the table and outside.
async fn ledger_of_30(pool: &PgPool) -> (Database, SigningKey, Vec<SignedCheckpoint>) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    append(&database, (1..=30).map(entry).collect())
        .await
        .unwrap();
    let key = SigningKey::from_seed(&[3; 32]).unwrap();
    let mut outside = Vec::new();
    for seq in [10, 20, 30] {
        let h = database.ledger().hash_at(seq).await.unwrap().unwrap();
        let signed = key.sign(BODY, Checkpoint { seq, h, time: NOW });
        database.ledger().keep(&signed).await.unwrap();
        outside.push(signed);
    }
    (database, key, outside)
}

async fn verified(
    database: &Database,
    key: &SigningKey,
    outside: &[SignedCheckpoint],
) -> Result<Verified, Bad> {
    let mut book = CheckpointBook::new(BODY, vec![key.public_key()]);
    let reader = database.ledger();
    reader.add_checkpoints(&mut book).await.unwrap();
    for signed in outside {
        book.add(0, signed);
    }
    reader.verify(BODY, book, |_, _| {}).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn what_nobody_touched_is_whole(pool: PgPool) {
    let (database, key, outside) = ledger_of_30(&pool).await;
    let expected = Verified {
        entries: 30,
        checkpoints: 3,
        proven_upto: 30,
        abandoned: 0,
    };
    assert_eq!(verified(&database, &key, &outside).await, Ok(expected));
}

/// Does it in a transaction of the server's that is undone: a copy of the tables is put back.
async fn assert_found(pool: &PgPool, what: &str, seq: u64, fault: Fault) {
    let (database, key, outside) = ledger_of_30(pool).await;
    tamper(pool, what).await;
    let bad = verified(&database, &key, &outside).await.unwrap_err();
    assert_eq!((bad.seq, bad.fault), (seq, fault), "{what}");
    let anew =
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC";
    run(pool, anew.to_owned()).await;
}

#[sqlx::test(migrations = false)]
async fn each_tampering_is_named_by_its_place(pool: PgPool) {
    for (what, seq, fault) in TAMPERING {
        assert_found(&pool, what, *seq, *fault).await;
    }
}

#[sqlx::test(migrations = false)]
async fn a_chain_made_anew_is_found_by_what_lies_outside(pool: PgPool) {
    for (what, seq, fault) in CHAINED_ANEW {
        let what = format!("{what}; {CHAIN_ANEW}; DELETE FROM ledger_checkpoint");
        if *fault == Fault::RecordedTwice {
            // Nothing was signed yet: the chain alone says nothing of it.
            let (database, key, _) = ledger_of_30(&pool).await;
            tamper(&pool, &what).await;
            let bad = verified(&database, &key, &[]).await.unwrap_err();
            assert_eq!((bad.seq, bad.fault), (*seq, *fault), "{what}");
            let anew = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC";
            run(&pool, anew.to_owned()).await;
        } else {
            assert_found(&pool, &what, *seq, *fault).await;
        }
    }
}

#[sqlx::test(migrations = false)]
async fn checkpoints_by_another_key_prove_nothing(pool: PgPool) {
    let (database, key, _) = ledger_of_30(&pool).await;
    let change = "UPDATE ledger_entry SET issue = issue + 1 WHERE seq = 13";
    tamper(
        &pool,
        &format!("{change}; {CHAIN_ANEW}; DELETE FROM ledger_checkpoint"),
    )
    .await;
    let other = SigningKey::from_seed(&[4; 32]).unwrap();
    for seq in [10, 20, 30] {
        let h = database.ledger().hash_at(seq).await.unwrap().unwrap();
        let mut signed = other.sign(BODY, Checkpoint { seq, h, time: NOW });
        database.ledger().keep(&signed).await.unwrap();
        signed.public_key = key.public_key();
        database.ledger().keep(&signed).await.unwrap();
    }
    let bad = verified(&database, &key, &[]).await.unwrap_err();
    assert_eq!(bad.seq, 10);
    assert!(matches!(
        bad.fault,
        Fault::ForeignKey | Fault::FalseSignature
    ));
}

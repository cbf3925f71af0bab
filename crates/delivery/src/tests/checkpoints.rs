//! The ledger's head is signed outside of the database, and a ledger that is another one is not.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use domain::{Actor, Clock, Effect, Entropy, EventId, IssueNumber, LedgerEntry, Method, Restored};
use ledger::{Fault, SignedCheckpoint};
use sqlx::PgPool;
use store::Changes;

use super::house::House;
use crate::checkpoint_file::CheckpointFile;
use crate::checkpoints::{Checkpoints, NotSigned, newest_outside};
use crate::ledger_audit::LedgerAudit;

/// A worker's part in it, with a folder of its own.
struct Signer {
    file: Arc<CheckpointFile>,
    task: Checkpoints,
    audit: LedgerAudit,
}

impl Signer {
    fn open(house: &House, folder: &str) -> Self {
        let state_dir = house.folder.path().join(folder);
        fs::create_dir_all(&state_dir).unwrap();
        let file = Arc::new(CheckpointFile::open(&state_dir).unwrap());
        let signer = house.keys().ledger;
        let reader = house.database.ledger();
        let task = Checkpoints::new(
            reader.clone(),
            Arc::clone(&signer),
            Arc::clone(&file),
            state_dir,
            house.clock.clone(),
        );
        let audit = LedgerAudit {
            reader,
            signer,
            file: Arc::clone(&file),
        };
        Self { file, task, audit }
    }

    /// The seqs of its file.
    fn seqs(&self) -> Vec<u64> {
        let all = self.file.read().unwrap();
        all.iter().map(|signed| signed.checkpoint.seq).collect()
    }
}

async fn append(house: &House, number: usize, method: Method, restored: Option<Restored>) {
    let now = house.clock.now();
    let entries = (0..number).map(|_| LedgerEntry {
        event_id: EventId::new(house.entropy.sixteen()),
        occurred_at: now,
        recorded_at: now,
        newsletter: None,
        subscription_id: None,
        issue: IssueNumber::NONE,
        method,
        effect: Effect::None,
        token: None,
        actor: Actor::System,
        staff_reference: None,
        decision_id: None,
        spool_id: None,
        restored,
    });
    let changes = Changes {
        ledger: entries.collect(),
        ..Changes::default()
    };
    let turn = house.database.registrar().take_turn([]).await.unwrap();
    turn.finish(&changes, now).await.unwrap();
}

async fn stops(house: &House, number: usize) {
    append(house, number, Method::OneClick, None).await;
}

/// The database of a backup that had so many entries.
async fn go_back_to(house: &House, seq: u64) {
    let sql = format!(
        "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_is_append_only;
         ALTER TABLE ledger_checkpoint DISABLE TRIGGER checkpoints_are_append_only;
         DELETE FROM ledger_entry WHERE seq > {seq};
         DELETE FROM ledger_checkpoint WHERE seq > {seq};
         UPDATE ledger_head SET seq = {seq}, h = (SELECT h FROM ledger_entry WHERE seq = {seq});
         ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER checkpoints_are_append_only;
         ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_is_append_only"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&house.pool)
        .await
        .unwrap();
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_head_is_signed_after_a_minute_or_a_thousand_entries(pool: PgPool) {
    let house = House::open(pool).await;
    let mut worker = Signer::open(&house, "one");
    worker.task.look().await.unwrap();
    assert_eq!(worker.seqs(), Vec::<u64>::new(), "there is nothing yet");
    stops(&house, 3).await;
    worker.task.look().await.unwrap();
    stops(&house, 2).await;
    house.clock.advance(Duration::from_secs(59));
    worker.task.look().await.unwrap();
    assert_eq!(worker.seqs(), [3]);
    house.clock.advance(Duration::from_secs(1));
    worker.task.look().await.unwrap();
    house.clock.advance(Duration::from_hours(1));
    worker.task.look().await.unwrap();
    assert_eq!(worker.seqs(), [3, 5], "and none while nothing happens");
    stops(&house, 1).await;
    worker.task.look().await.unwrap();
    stops(&house, 999).await;
    worker.task.look().await.unwrap();
    assert_eq!(worker.seqs(), [3, 5, 6]);
    stops(&house, 1).await;
    worker.task.look().await.unwrap();
    assert_eq!(worker.seqs(), [3, 5, 6, 1_006]);
    let newest: Option<SignedCheckpoint> =
        house.database.ledger().newest_checkpoint().await.unwrap();
    assert_eq!(newest, worker.file.newest());
    // A page for the data protection officer, once a day.
    let pages = || {
        fs::read_dir(house.folder.path().join("one/checkpoints"))
            .unwrap()
            .count()
    };
    assert_eq!(pages(), 1);
    house.clock.advance(Duration::from_hours(24));
    worker.task.look().await.unwrap();
    worker.task.look().await.unwrap();
    assert_eq!(pages(), 2);
    let verified = worker.audit.verify().await.unwrap().unwrap();
    assert_eq!((verified.entries, verified.proven_upto), (1_006, 1_006));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn each_worker_keeps_what_the_others_signed(pool: PgPool) {
    let house = House::open(pool).await;
    let (mut one, mut two) = (Signer::open(&house, "one"), Signer::open(&house, "two"));
    stops(&house, 3).await;
    one.task.look().await.unwrap();
    two.task.look().await.unwrap();
    stops(&house, 3).await;
    house.clock.advance(Duration::from_mins(2));
    two.task.look().await.unwrap();
    one.task.look().await.unwrap();
    assert_eq!(one.seqs(), [3, 6]);
    assert_eq!(one.file.read().unwrap(), two.file.read().unwrap());
    // One that starts with an empty folder gets all of them.
    let mut three = Signer::open(&house, "three");
    three.task.look().await.unwrap();
    assert_eq!(three.seqs(), [3, 6]);
    // And what was written to the file and not to the table is in the table after the next start.
    sqlx::raw_sql(
        "ALTER TABLE ledger_checkpoint DISABLE TRIGGER checkpoints_are_append_only;
         DELETE FROM ledger_checkpoint WHERE seq = 6",
    )
    .execute(&house.pool)
    .await
    .unwrap();
    Signer::open(&house, "one").task.look().await.unwrap();
    let newest = house.database.ledger().newest_checkpoint().await.unwrap();
    assert_eq!(newest, one.file.newest());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_chain_made_anew_is_not_signed(pool: PgPool) {
    let house = House::open(pool).await;
    let mut worker = Signer::open(&house, "one");
    stops(&house, 5).await;
    worker.task.look().await.unwrap();
    stops(&house, 5).await;
    sqlx::raw_sql(
        "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_is_append_only;
         CREATE TRIGGER again BEFORE UPDATE ON ledger_entry
             FOR EACH ROW EXECUTE FUNCTION chain_ledger_entry();
         UPDATE ledger_entry SET effect = 1 WHERE seq = 4;
         DO $$ DECLARE place bigint; BEGIN
             FOR place IN SELECT seq FROM ledger_entry ORDER BY seq LOOP
                 UPDATE ledger_entry SET leaf = NULL WHERE seq = place;
             END LOOP;
         END $$;
         UPDATE ledger_head SET h = (SELECT h FROM ledger_entry WHERE seq = 10);
         DELETE FROM ledger_checkpoint WHERE false",
    )
    .execute(&house.pool)
    .await
    .unwrap();
    house.clock.advance(Duration::from_mins(2));
    let refused = worker.task.look().await;
    assert!(
        matches!(refused, Err(NotSigned::OffTheChain(5))),
        "{refused:?}"
    );
    assert_eq!(worker.seqs(), [5], "nothing hides it");
    let bad = worker.audit.verify().await.unwrap().unwrap_err();
    assert_eq!((bad.seq, bad.fault), (5, Fault::OffTheChain));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn after_a_restore_its_entry_says_why_and_the_chain_goes_on(pool: PgPool) {
    let house = House::open(pool).await;
    let (mut one, mut two) = (Signer::open(&house, "one"), Signer::open(&house, "two"));
    for number in [3, 4, 2] {
        stops(&house, number).await;
        house.clock.advance(Duration::from_mins(2));
        one.task.look().await.unwrap();
        two.task.look().await.unwrap();
    }
    assert_eq!(two.seqs(), [3, 7, 9]);
    go_back_to(&house, 5).await;
    for worker in [&mut one, &mut two] {
        let refused = worker.task.look().await;
        assert!(
            matches!(refused, Err(NotSigned::OffTheChain(9))),
            "{refused:?}"
        );
    }
    let outside = newest_outside(&one.file, house.keys().ledger.body_id);
    assert_eq!(outside.checkpoint_seq, 9);
    append(&house, 1, Method::Restore, Some(outside)).await;
    stops(&house, 2).await;
    one.task.look().await.unwrap();
    two.task.look().await.unwrap();
    stops(&house, 40).await;
    house.clock.advance(Duration::from_mins(2));
    two.task.look().await.unwrap();
    one.task.look().await.unwrap();
    for worker in [&one, &two] {
        assert!(
            worker.seqs().starts_with(&[3, 7, 9, 6]),
            "{:?}",
            worker.seqs()
        );
        assert_eq!(worker.seqs().last(), Some(&48));
        let verified = worker.audit.verify().await.unwrap().unwrap();
        assert_eq!((verified.entries, verified.abandoned), (48, 2));
        assert_eq!(verified.proven_upto, 48);
    }
    // A worker that was away meanwhile finds its way too.
    let mut three = Signer::open(&house, "three");
    three.task.look().await.unwrap();
    assert!(three.audit.verify().await.unwrap().is_ok());
}

//! A database that went back in time: nothing is sent, nothing is applied before the ledger says so, and
//! all goes on by itself once what was forgotten is there again.

use std::sync::Arc;
use std::time::Duration;

use domain::{Effect, EmailAddress, EventId, Method, SpoolId, Timestamp};
use sqlx::PgPool;
use store::{Barrier, InDoubtPolicy, PastErasure, StoreError};

use super::house::{House, stop};
use crate::erasure_journal::ErasureJournal;
use crate::memory::{Memory, MemoryFile};
use crate::registrar::Registrar;
use crate::restoration::{Restoration, Standing};

const SPOOL: SpoolId = SpoolId::new([7; 16]);
const OPEN: Standing = Standing::Restoring { reassert: false };
const NOTICED: Standing = Standing::Restoring { reassert: true };

/// A worker's watch, and a spool of stops that reports and is applied up to 5.
async fn watched(house: &House) -> Arc<Restoration> {
    let spools = house.database.spools();
    spools
        .register(SPOOL, "unsubscribe", true, house.now())
        .await
        .unwrap();
    house.execute("UPDATE spool SET applied_upto = 5").await;
    let restoration = house.open_worker(house.caught()).restoration();
    assert_eq!(restoration.look().await.unwrap(), Standing::Whole);
    restoration
}

async fn beat(house: &House, times: usize) {
    let spools = house.database.spools();
    for _ in 0..times {
        spools.beat(SPOOL, None, house.now()).await.unwrap();
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_database_that_went_back_is_whole_again_once_its_spools_are_applied(pool: PgPool) {
    let house = House::open(pool).await;
    let restoration = watched(&house).await;
    let barrier = async || {
        let deliveries = house.database.deliveries();
        deliveries.barrier(house.now()).await.unwrap()
    };
    let registrar = house.database.registrar().not_before(restoration.seen());
    let may_apply = async || match registrar.take_turn([]).await {
        Ok(_) => true,
        Err(StoreError::WentBack) => false,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(barrier().await, Barrier::Open);
    assert!(may_apply().await);

    house.execute("UPDATE spool SET applied_upto = 2").await;
    assert_eq!(restoration.look().await.unwrap(), NOTICED);
    restoration.reasserted().await.unwrap();
    assert_eq!(barrier().await, Barrier::Closed("restored"));
    assert!(!may_apply().await, "the ledger does not say so yet");
    assert_eq!(restoration.look().await.unwrap(), OPEN);
    assert!(!may_apply().await, "other workers have time to join");

    house.clock.advance(Duration::from_secs(6));
    assert_eq!(restoration.look().await.unwrap(), OPEN);
    assert!(may_apply().await);
    let ledger = house.database.ledger().entries_after(0, 10).await.unwrap();
    let (seq, entry) = ledger.last().unwrap();
    assert_eq!(
        (*seq, entry.method, entry.effect),
        (1, Method::Restore, Effect::None)
    );
    assert!(entry.restored.is_some());

    // Its role reports, and is not applied as far as it was.
    beat(&house, 2).await;
    assert_eq!(restoration.look().await.unwrap(), OPEN);
    assert_eq!(restoration.look().await.unwrap(), OPEN);
    house.execute("UPDATE spool SET applied_upto = 5").await;
    assert_eq!(restoration.look().await.unwrap(), OPEN, "it ends with this");
    assert_eq!(restoration.look().await.unwrap(), Standing::Whole);
    assert_eq!(barrier().await, Barrier::Open);
    let ledger = house.database.ledger().entries_after(0, 10).await.unwrap();
    assert_eq!(ledger.len(), 1, "one restore, one entry");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spool_that_is_applied_must_have_reported_since(pool: PgPool) {
    let house = House::open(pool).await;
    let restoration = watched(&house).await;
    house.execute("UPDATE installation SET tick = 0").await;
    beat(&house, 1).await;
    house.execute("UPDATE installation SET tick = 0").await;
    // The tick was 0 from the start: the worker's own heartbeat tells.
    drop(restoration);
    let (file, mut memory) = MemoryFile::open(&house.folder.path().join("state")).unwrap();
    memory.heartbeat = 9;
    file.keep(&memory).unwrap();
    let restoration = house.open_worker(house.caught()).restoration();
    assert_eq!(restoration.look().await.unwrap(), NOTICED);
    restoration.reasserted().await.unwrap();
    house.clock.advance(Duration::from_secs(6));
    for beats in [0, 1] {
        beat(&house, beats).await;
        assert_eq!(restoration.look().await.unwrap(), OPEN);
        assert_eq!(
            restoration.look().await.unwrap(),
            OPEN,
            "{beats} heartbeats"
        );
    }
    beat(&house, 1).await;
    assert_eq!(restoration.look().await.unwrap(), OPEN, "it ends with this");
    assert_eq!(restoration.look().await.unwrap(), Standing::Whole);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spool_that_the_database_never_knew_is_waited_for_until_it_is_retired(pool: PgPool) {
    let house = House::open(pool).await;
    let restoration = watched(&house).await;
    house.execute("DELETE FROM spool").await;
    assert_eq!(restoration.look().await.unwrap(), NOTICED);
    restoration.reasserted().await.unwrap();
    house.clock.advance(Duration::from_secs(6));
    for _ in 0..3 {
        assert_eq!(restoration.look().await.unwrap(), OPEN);
    }
    let acts = house.database.barrier_acts();
    let (event_id, now) = (EventId::new([3; 16]), house.now());
    let act = store::BarrierAct::Retire(SPOOL);
    acts.ask(event_id, act, "its machine burnt down", now)
        .await
        .unwrap();
    assert_eq!(acts.record(now).await.unwrap(), 1);
    assert_eq!(acts.recorded(event_id).await.unwrap(), Some(2));
    assert_eq!(restoration.look().await.unwrap(), OPEN, "it ends with this");
    assert_eq!(restoration.look().await.unwrap(), Standing::Whole);
    let ledger = house.database.ledger().entries_after(1, 10).await.unwrap();
    assert_eq!(ledger[0].1.method, Method::Override);
    assert_eq!(ledger[0].1.spool_id, Some(SPOOL));
}

/// The database is that of before an erasure and an issue; the worker's folder is that of after.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_was_erased_since_the_backup_is_erased_again_before_anything_is_sent(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(2).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let state = house.folder.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let (file, memory) = MemoryFile::open(&state).unwrap();
    let later = Memory { tick: 99, ..memory };
    file.keep(&later).unwrap();
    let erased_at = Timestamp::from_millis(1_795_500_123_456);
    let event_id = EventId::new([0xe5; 16]);
    for address in ["reader0@residents.example", "new@residents.example"] {
        let codes = EmailAddress::parse(address).map(|one| house.keys().address.codes(&one));
        let past = PastErasure {
            event_id: if address.starts_with('n') {
                EventId::new([0xe6; 16])
            } else {
                event_id
            },
            accepted_at: erased_at,
            code: codes.unwrap().suppression,
            generation: 1,
            spool_id: SPOOL,
        };
        let journal = ErasureJournal::open(&state.join("erasures")).unwrap();
        journal.note(&past).unwrap();
    }

    let worker = house.open_worker(house.caught());
    let restoration = worker.restoration();
    let registrar = Registrar::new(
        &house.database,
        Arc::new(house.keys()),
        house.clock.clone(),
        house.entropy.clone(),
    )
    .beside(restoration.seen(), restoration.journal());
    assert_eq!(restoration.look().await.unwrap(), NOTICED);
    restoration.reasserted().await.unwrap();
    assert!(matches!(
        registrar.erase_again().await,
        Err(StoreError::WentBack)
    ));
    worker.recover().await.unwrap();
    let shutdown = service_runtime::Shutdown::new();
    worker.spawn(None, &shutdown);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(house.recipients(), [""; 0], "nothing is sent");
    house.clock.advance(Duration::from_secs(6));
    house
        .until(
            "the restore is recorded and the erasures are applied",
            async || {
                registrar
                    .erase_again()
                    .await
                    .is_ok_and(|applied| applied > 0)
            },
        )
        .await;
    house.finished(issue).await;
    stop(shutdown).await;
    assert_eq!(house.recipients(), ["reader1@residents.example"]);
    let ledger = house.database.ledger().entries_after(0, 10).await.unwrap();
    let entry = ledger.iter().find(|(_, entry)| entry.event_id == event_id);
    let entry = &entry.unwrap().1;
    assert_eq!(
        (entry.method, entry.effect, entry.occurred_at),
        (Method::Erasure, Effect::Stopped, erased_at)
    );
    assert_eq!(registrar.erase_again().await.unwrap(), 0, "once");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn erasures_of_others_are_copied_into_every_journal(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(1).await;
    let restoration = house.open_worker(house.caught()).restoration();
    restoration.look().await.unwrap();
    house.erase("reader0@residents.example").await;
    assert_eq!(restoration.journal().all(), []);
    restoration.look().await.unwrap();
    let journal = restoration.journal().all();
    let address = EmailAddress::parse("reader0@residents.example").unwrap();
    let codes = house.keys().address.codes(&address);
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].code, codes.suppression);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_heart_beats_on_while_the_fence_is_shut(pool: PgPool) {
    let house = House::open(pool).await;
    let worker = house.open_worker(house.caught());
    worker.recover().await.unwrap();
    let (heart, fence) = (worker.heartbeat(), worker.fence());
    // No task of this test settles it.
    fence.settle_timeline(house.database.timeline().seen());
    for _ in 0..2 {
        heart.beat_once().await;
    }
    assert!(fence.may_send());
    // The backup knows an earlier boot of the worker, or none.
    for forget in [
        "UPDATE worker SET heartbeat = 1, boot_id = sha256('earlier')",
        "DELETE FROM worker",
    ] {
        house.execute(forget).await;
        heart.beat_once().await;
        assert!(!fence.may_send(), "{forget}");
        let fresh = house.column("SELECT count(*)::smallint FROM worker WHERE heartbeat > 1");
        assert_eq!(fresh.await, [1], "{forget}");
        house.clock.advance(Duration::from_secs(6));
        for _ in 0..3 {
            heart.beat_once().await;
        }
        assert!(fence.may_send(), "no spool is missing: {forget}");
    }
    house
        .execute("UPDATE worker SET boot_id = sha256('x')")
        .await;
    heart.beat_once().await;
    assert!(!fence.may_send(), "another boot took the place");
}

/// A snapshot comes back under a running worker, between two heartbeats.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nothing_is_claimed_from_an_older_database_before_the_next_heartbeat(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(2).await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    house.sign_up("new@residents.example", &house.news).await;
    house.apply().await;
    house.execute("UPDATE installation SET tick = 50").await;
    let restoration = watched(&house).await;
    let database = house.database.not_before(restoration.seen());
    let worker = domain::WorkerId::new([9; 16]);
    let chunk = database.chunks().take_due(worker, house.now()).await;
    let chunk = chunk.unwrap().unwrap();
    assert_eq!(chunk.issue, issue);
    let claims = async || {
        let claimed = database.deliveries().claim(&chunk, 1, house.now()).await;
        let mails = database.mails().claim(worker, 1, house.now()).await;
        (
            claimed.unwrap().deliveries.len(),
            mails.unwrap().mails.len(),
        )
    };
    house.execute("UPDATE installation SET tick = 49").await;
    assert_eq!(claims().await, (0, 0));
    let barrier = database.deliveries().barrier(house.now()).await;
    assert_eq!(barrier.unwrap(), Barrier::Closed("restored"));
    house.execute("UPDATE installation SET tick = 50").await;
    assert_eq!(claims().await, (1, 1));
}

//! A worker that was killed: nobody twice, nobody lost, and in doubt only what nothing proves
//! (`reliability.md` 1.6, the points P5 to P13).

use std::time::Duration;

use domain::{DeliveryState, IssueNumber};
use sqlx::PgPool;
use store::{AttemptResult, DeliveryAttempt, InDoubtPolicy, OwnedChunk};

use super::house::{House, stop};
use super::relay::{Order, Relay, transport_to};
use crate::journal::{Attempt, Journal};
use crate::state_dir::StateDir;

const QUEUED: i16 = DeliveryState::Queued.number();
const ACCEPTED: i16 = DeliveryState::Accepted.number();
const IN_DOUBT: i16 = DeliveryState::InDoubt.number();
const RESULT: AttemptResult = AttemptResult {
    state: DeliveryState::Accepted,
    code: Some(250),
    enhanced: None,
    not_before: None,
    counts: true,
};

/// A worker up to its death: what it had claimed, and its journal.
struct Killed {
    journal: Journal,
    chunk: OwnedChunk,
    claimed: Vec<DeliveryAttempt>,
    subjects: Vec<[u8; 16]>,
}

impl Killed {
    /// Takes the chunk and claims everybody in it.
    async fn at_the_claim(house: &House) -> Self {
        let entropy = domain::CountingEntropy::default();
        let path = house.folder.path().join("state");
        let state_dir = StateDir::open(&path, &entropy).unwrap();
        let (journal, _) = Journal::open(&state_dir.journal()).unwrap();
        journal.clear().unwrap();
        let worker = state_dir.worker();
        let now = domain::Clock::now(house.clock.as_ref());
        let chunk = house.database.chunks().take_due(worker, now).await;
        let chunk = chunk.unwrap().unwrap();
        let claim = house.database.deliveries().claim(&chunk, 32, now).await;
        let deliveries = claim.unwrap().deliveries;
        Self {
            journal,
            chunk,
            claimed: deliveries.iter().map(|row| row.key).collect(),
            subjects: deliveries
                .iter()
                .map(|row| *row.person.as_ref().unwrap().subscription_id.as_bytes())
                .collect(),
        }
    }

    fn dot(&self, nth: usize) {
        let attempt = Attempt::Delivery(self.claimed[nth]);
        let now = domain::Timestamp::from_millis(1_795_500_000_000);
        self.journal.dot(attempt, self.subjects[nth], now).unwrap();
    }

    fn result(&self, nth: usize) {
        let attempt = Attempt::Delivery(self.claimed[nth]);
        let now = domain::Timestamp::from_millis(1_795_500_000_000);
        let written = self
            .journal
            .result(attempt, self.subjects[nth], RESULT, now);
        written.unwrap();
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn each_point_of_death_leaves_what_the_table_says(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(6).await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let killed = Killed::at_the_claim(&house).await;
    // 0, 1: P6 and P7, claimed and perhaps half handed over: no dot
    // 2: P8 or P9, the dot may be out; nothing tells
    killed.dot(2);
    // 3: P11, the reply was read
    killed.dot(3);
    killed.result(3);
    // 4: P12, flushed; its records are still there
    killed.dot(4);
    killed.result(4);
    let deliveries = house.database.deliveries();
    let now = domain::Clock::now(house.clock.as_ref());
    let flushed = [(killed.claimed[4], RESULT)];
    deliveries
        .flush(killed.chunk.worker, &flushed, now)
        .await
        .unwrap();
    // 5: refused before the dot, written down, not flushed
    killed.result(5);
    drop(killed);

    let relay = Relay::start().await;
    let worker = house.open_worker(relay.transport());
    worker.recover().await.unwrap();
    assert_eq!(
        house.states().await,
        [QUEUED, QUEUED, IN_DOUBT, ACCEPTED, ACCEPTED, ACCEPTED]
    );
    let attempts = house
        .column("SELECT attempt - uncounted FROM delivery ORDER BY subscriber_id")
        .await;
    assert_eq!(attempts, [0, 0, 1, 1, 1, 1]);
    assert_eq!(house.column("SELECT state FROM chunk").await, [0]);
    // a second death during recovery changes nothing
    worker.recover().await.unwrap();
    assert_eq!(house.states().await[2], IN_DOUBT);

    let shutdown = service_runtime::Shutdown::new();
    worker.spawn(None, &shutdown);
    house
        .until("the rest is sent", async || relay.accepted().len() == 2)
        .await;
    house.clock.advance(Duration::from_mins(16));
    let done = house.finished(issue).await;
    house
        .until("the doubt is decided", async || {
            house.states().await[2] == DeliveryState::AssumedSent.number()
        })
        .await;
    stop(shutdown).await;
    assert_eq!(relay.accepted().len(), 2, "nobody twice");
    assert_eq!(done.counts.accepted, 5);
    assert_eq!(done.counts.uncertain, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_that_was_taken_for_dead_speaks_for_what_it_had(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(4).await;
    house.fan_out(InDoubtPolicy::Skip).await;
    let killed = Killed::at_the_claim(&house).await;
    // 0, 1: no dot; 2: a dot and nothing else; 3: the reply was read
    killed.dot(2);
    killed.dot(3);
    killed.result(3);
    let now = domain::Clock::now(house.clock.as_ref());
    let deliveries = house.database.deliveries();
    let doubted = deliveries.doubt_all_of(&[killed.chunk.worker], now).await;
    assert_eq!(doubted.unwrap(), 4);
    assert_eq!(house.states().await, [IN_DOUBT; 4]);
    drop(killed);

    let relay = Relay::start().await;
    let worker = house.open_worker(relay.transport());
    worker.recover().await.unwrap();
    assert_eq!(house.states().await, [QUEUED, QUEUED, IN_DOUBT, ACCEPTED]);
    assert_eq!(
        house.column("SELECT in_doubt::smallint FROM chunk").await,
        [1],
        "the chunk counts them"
    );
    // Its records are gone now. That proves nothing of what stayed in doubt.
    drop(worker);
    let again = house.open_worker(relay.transport());
    again.recover().await.unwrap();
    assert_eq!(house.states().await, [QUEUED, QUEUED, IN_DOUBT, ACCEPTED]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_chunk_taken_and_never_claimed_from_goes_out(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let entropy = domain::CountingEntropy::default();
    let path = house.folder.path().join("state");
    let state_dir = StateDir::open(&path, &entropy).unwrap();
    let now = domain::Clock::now(house.clock.as_ref());
    let taken = house
        .database
        .chunks()
        .take_due(state_dir.worker(), now)
        .await;
    assert!(taken.unwrap().is_some());
    drop(state_dir);
    let worker = house.start(house.caught()).await;
    house.finished(issue).await;
    stop(worker).await;
    assert_eq!(house.recipients(), readers);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn caught_mail_leaves_no_doubt(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(3).await;
    // a first worker sends to everybody, so that the folder has the mails …
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    let worker = house.start(house.caught()).await;
    house.finished(issue).await;
    stop(worker).await;
    // … then it is as if it had died right after the dot of the first two, and the second mail had
    // not been written
    house
        .execute("UPDATE delivery SET state = 0, attempt = 0, worker = NULL")
        .await;
    house.execute("UPDATE chunk SET state = 0").await;
    house
        .execute("UPDATE issue SET state = 3, finished_at = NULL")
        .await;
    let killed = Killed::at_the_claim(&house).await;
    killed.dot(0);
    killed.dot(1);
    drop(killed);
    let folder = house.folder.path().join("caught");
    for file in mail::list_caught(&folder).unwrap() {
        let path = folder.join(&file.name);
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains(&format!("Delivered-To: {}", readers[0])) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let worker = house.open_worker(house.caught());
    worker.recover().await.unwrap();
    assert_eq!(house.states().await, [ACCEPTED, QUEUED, QUEUED]);
    let shutdown = service_runtime::Shutdown::new();
    worker.spawn(None, &shutdown);
    house.finished(issue).await;
    stop(shutdown).await;
    assert_eq!(house.recipients(), readers);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn after_a_power_cut_a_missing_record_proves_nothing(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(2).await;
    house.fan_out(InDoubtPolicy::Skip).await;
    drop(Killed::at_the_claim(&house).await);
    let boot = house.folder.path().join("state/machine-boot");
    std::fs::write(boot, "the boot before").unwrap();
    // one that is killed before the database answers leaves it so
    drop(house.open_worker(transport_to(9)));
    let worker = house.open_worker(transport_to(9));
    worker.recover().await.unwrap();
    assert_eq!(house.states().await, [IN_DOUBT, IN_DOUBT]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_journal_that_is_gone_proves_nothing_by_what_it_lacks(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(2).await;
    house.fan_out(InDoubtPolicy::Skip).await;
    let killed = Killed::at_the_claim(&house).await;
    killed.dot(0);
    drop(killed);
    std::fs::remove_file(house.folder.path().join("state/journal")).unwrap();
    let worker = house.open_worker(transport_to(9));
    worker.recover().await.unwrap();
    assert_eq!(house.states().await, [IN_DOUBT, IN_DOUBT]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_damaged_journal_proves_nothing_by_what_it_lacks(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(2).await;
    house.fan_out(InDoubtPolicy::Skip).await;
    let killed = Killed::at_the_claim(&house).await;
    killed.dot(0);
    killed.result(0);
    drop(killed);
    let path = house.folder.path().join("state/journal");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let worker = house.open_worker(transport_to(9));
    worker.recover().await.unwrap();
    assert_eq!(house.states().await, [ACCEPTED, IN_DOUBT]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_lost_reply_is_decided_by_the_issues_policy(pool: PgPool) {
    let house = House::open(pool).await;
    let readers = house.readers(2).await;
    let relay = Relay::start().await;
    relay.order(&readers[0], Order::HangUp);
    let issue = house.fan_out(InDoubtPolicy::Resend).await;
    let worker = house.start(relay.transport()).await;
    house
        .until("the second is sent", async || {
            house.states().await == [IN_DOUBT, ACCEPTED]
        })
        .await;
    assert_eq!(house.progress(issue).await.counts.uncertain, 1);
    relay.obey_nobody();
    house.clock.advance(Duration::from_mins(16));
    let done = house.finished(issue).await;
    stop(worker).await;
    assert_eq!(done.counts.accepted, 2);
    assert_eq!(relay.accepted(), readers);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_dead_workers_rows_are_in_doubt_and_its_chunk_goes_on(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(40).await;
    house.fan_out(InDoubtPolicy::Skip).await;
    let killed = Killed::at_the_claim(&house).await;
    let worker = killed.chunk.worker;
    let now = domain::Clock::now(house.clock.as_ref());
    let doubted = house
        .database
        .deliveries()
        .doubt_all_of(&[worker], now)
        .await;
    assert_eq!(doubted.unwrap(), 32);
    let closed = house.database.chunks().close_all_of(worker).await.unwrap();
    assert_eq!(closed, 1);
    // a late result is evidence, whatever it says
    let results = [
        (killed.claimed[0], RESULT),
        (
            killed.claimed[1],
            AttemptResult {
                state: DeliveryState::Deferred,
                ..RESULT
            },
        ),
    ];
    let taken = house
        .database
        .deliveries()
        .flush(worker, &results, now)
        .await;
    assert_eq!(taken.unwrap(), 2);
    let progress = house.progress(IssueNumber(1)).await;
    assert_eq!(progress.counts.accepted, 1);
    assert_eq!(progress.counts.uncertain, 30);
    assert_eq!(progress.counts.waiting, 9);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn killed_again_and_again_nobody_gets_two_and_nobody_is_lost(pool: PgPool) {
    const KILLS: usize = 8;
    let house = House::open(pool).await;
    let readers = house.readers(420).await;
    let relay = Relay::start().await;
    let issue = house.fan_out(InDoubtPolicy::Skip).await;
    for kill in 1..=KILLS {
        let (worker, connections) = house.start_apart(relay.transport()).await;
        let goal = kill * 31;
        house
            .until("some more are sent", async || {
                relay.accepted().len() >= goal
            })
            .await;
        // every task is dropped where it stands
        worker.finish(Duration::ZERO).await;
        connections.close().await;
        house.progress(issue).await;
    }
    let worker = house.start(relay.transport()).await;
    let done = house.finished(issue).await;
    stop(worker).await;
    let sent = relay.accepted();
    let mut once = sent.clone();
    once.dedup();
    assert_eq!(once, sent, "nobody twice");
    let counts = done.counts;
    assert_eq!(counts.audience, readers.len() as u64);
    assert_eq!(
        counts.accepted + counts.uncertain,
        counts.audience,
        "{counts:?}"
    );
    // one a connection and kill, and each of them only where the reply was on its way
    assert!(counts.uncertain <= (KILLS * 3) as u64, "{counts:?}");
    assert!(sent.len() as u64 >= counts.accepted);
}

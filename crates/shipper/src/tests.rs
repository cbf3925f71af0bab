//! The shipper against a real PostgreSQL and a real RabbitMQ, behind doors that a test can shut.

mod any_order;
mod by_the_queue;
mod catalogue;
mod door;
mod outages;
mod rabbit;
mod shipping;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{
    BoxId, Clock, Confirm, EventId, IssueNumber, KeyId, KeyState, ManualClock, Method, Request,
    SubscriptionId, Timestamp, TokenKey, Unsubscribe,
};
use service_runtime::{OsEntropy, Shutdown};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use store::{Changes, ConnectSettings, Database, Host, InboxRow, Place, Tls};
use tempfile::TempDir;
use tokio::sync::watch;

use self::rabbit::Rabbit;
use crate::marks::Marks;
use crate::way::{Passage, Way};
use crate::{Route, Shipper};
use spool::{Accepted, OpenError, Spool, SpoolSettings};

/// 2026-11-24.
const START: Timestamp = Timestamp::from_millis(1_795_500_000_000);

/// Nothing here takes so long, even on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// Waits until a question is answered with yes.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answered = tokio::time::timeout(DEADLINE, asking).await;
    assert!(answered.is_ok(), "waited in vain until {what}");
}

/// A role's folder, and the database as the registrar sees it.
struct House {
    folder: TempDir,
    clock: Arc<ManualClock>,
    database: Database,
    pool: PgPool,
    holds_stops: bool,
    /// How long the broker is waited for; in no test as long as this starts with.
    patience: Duration,
}

impl House {
    fn new(pool: &PgPool) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(START)),
            database: Database::from_pool(pool.clone()),
            pool: pool.clone(),
            holds_stops: true,
            patience: Duration::from_hours(1),
        }
    }

    fn spool(&self) -> Spool {
        let settings = SpoolSettings {
            folder: self.folder.path().join("spool"),
            limit_bytes: spool::STOP_LIMIT_BYTES,
            keep_archive: self.holds_stops.then_some(spool::STOP_ARCHIVE),
        };
        // A shipper that was killed may be in the middle of a read, which a process would not outlive.
        let deadline = Instant::now() + DEADLINE;
        loop {
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            // An id of its own: the broker may hold what another test left there.
            match Spool::open(settings.clone(), clock, &OsEntropy) {
                Err(OpenError::Locked { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                opened => return opened.unwrap(),
            }
        }
    }

    /// A process with nothing but a shipper, which reaches the database in its own way.
    fn ship(&self, spool: &Spool, database: &Database) -> Shutdown {
        self.ship_by(spool, database, None).shutdown
    }

    /// The same with a broker.
    fn ship_by(&self, spool: &Spool, database: &Database, rabbit: Option<&Rabbit>) -> Role {
        let shutdown = Shutdown::new();
        let shipper = Shipper::new(
            spool.clone(),
            Route {
                broker: rabbit.map(|rabbit| rabbit.publisher(&shutdown)),
                inbox: database.sign_up_inbox(),
            },
            database.spools(),
            "unsubscribe",
            self.holds_stops,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        )
        .with_inbox_after(self.patience);
        let (marks, passage) = (shipper.marks.subscribe(), shipper.passage.subscribe());
        shutdown.spawn("shipper", shipper.run(shutdown.clone()));
        Role {
            shutdown,
            marks,
            passage,
        }
    }

    /// Seqs in the inbox.
    async fn inbox(&self) -> Vec<u64> {
        let waiting = self
            .database
            .registrar()
            .waiting(u16::MAX, START)
            .await
            .unwrap();
        let mut seqs: Vec<u64> = waiting.iter().map(|waiting| waiting.seq).collect();
        seqs.sort_unstable();
        seqs
    }

    async fn inbox_envelopes(&self) -> Vec<Vec<u8>> {
        let registrar = self.database.registrar();
        let waiting = registrar.waiting(u16::MAX, START).await.unwrap();
        waiting.into_iter().map(|row| row.envelope).collect()
    }

    async fn until_inbox_holds(&self, seqs: std::ops::RangeInclusive<u64>) {
        let expected: Vec<u64> = seqs.collect();
        until("the inbox holds them all", async || {
            self.inbox().await == expected
        })
        .await;
    }

    /// Does a registrar's work on the inbox, without its effects.
    async fn apply(&self, upto: u64) {
        let registrar = self.database.registrar();
        let waiting = registrar.waiting(u16::MAX, START).await.unwrap();
        let waiting = waiting.iter().filter(|waiting| waiting.seq <= upto);
        self.apply_places(waiting.map(InboxRow::place).collect())
            .await;
    }

    /// The same with requests that came by a queue.
    async fn apply_places(&self, places: Vec<Place>) {
        let registrar = self.database.registrar();
        let turn = registrar.take_turn(places).await.unwrap();
        let changes = Changes {
            applied: turn.fresh().iter().copied().collect(),
            ..Changes::default()
        };
        turn.finish(&changes, START).await.unwrap();
        self.database.spools().advance_marks().await.unwrap();
    }

    /// What no code of ours does: a database changes behind its back.
    async fn tamper(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&self.pool).await.unwrap();
    }
}

/// A running shipper, and what it knows.
struct Role {
    shutdown: Shutdown,
    marks: watch::Receiver<Marks>,
    passage: watch::Receiver<Passage>,
}

impl Role {
    fn shipped(&self) -> u64 {
        self.marks.borrow().shipped
    }

    fn applied(&self) -> u64 {
        self.marks.borrow().applied
    }

    async fn until_shipped(&self, seq: u64) {
        until("it is shipped", async || self.shipped() == seq).await;
    }

    async fn until_it_goes_by(&self, way: Way) {
        until(way.label(), async || self.passage.borrow().way() == way).await;
    }

    async fn stop(self) {
        stop(self.shutdown).await;
    }

    /// Drops everything where it stands.
    async fn kill(self) {
        self.shutdown.finish(Duration::ZERO).await;
    }
}

/// The database of a test, through another port.
fn through(port: u16, options: &PgConnectOptions) -> Database {
    Database::connect_later(&ConnectSettings {
        hosts: vec![(Host::Name("127.0.0.1".into()), port)],
        user: options.get_username().into(),
        password: None,
        database: options.get_database().unwrap().into(),
        max_connections: 2,
        tls: Tls::Off,
    })
}

const TOKEN: TokenKey = TokenKey {
    version: 1,
    kid: KeyId(1),
    state: KeyState::Current,
};

/// Accepts a stop.
async fn accept(spool: &Spool, number: u64) -> Accepted {
    let id = u128::from(number).to_be_bytes();
    let request = Request::Unsubscribe(Unsubscribe {
        subscription_id: SubscriptionId::new(id),
        issue: IssueNumber(1),
        method: Method::OneClick,
        token: TOKEN,
    });
    spool.accept(EventId::new(id), &request).await.unwrap()
}

/// Accepts what is no stop.
async fn accept_other(spool: &Spool, number: u64) -> Accepted {
    let id = u128::from(number).to_be_bytes();
    let request = Request::Confirm(Confirm {
        box_id: BoxId::new(id),
        token: TOKEN,
    });
    spool.accept(EventId::new(id), &request).await.unwrap()
}

async fn stop(shutdown: Shutdown) {
    let finished = shutdown.finish(DEADLINE).await;
    assert_eq!(finished.cut_short, 0);
    assert!(!finished.task_panicked);
}

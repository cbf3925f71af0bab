//! The shipper against a real PostgreSQL, behind a door that a test can shut.

mod catalogue;
mod door;
mod shipping;

use std::sync::Arc;
use std::time::Duration;

use domain::{
    Clock, CountingEntropy, EventId, IssueNumber, KeyId, KeyState, ManualClock, Method, Request,
    SubscriptionId, Timestamp, TokenKey, Unsubscribe,
};
use service_runtime::Shutdown;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use store::{Changes, ConnectSettings, Database, Host, InboxRow, Place, Tls};
use tempfile::TempDir;

use crate::{Route, Shipper};
use spool::{Accepted, Spool, SpoolSettings};

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
}

impl House {
    fn new(pool: &PgPool) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(START)),
            database: Database::from_pool(pool.clone()),
            pool: pool.clone(),
            holds_stops: true,
        }
    }

    fn spool(&self) -> Spool {
        let settings = SpoolSettings {
            folder: self.folder.path().join("spool"),
            limit_bytes: spool::STOP_LIMIT_BYTES,
            keep_archive: self.holds_stops.then_some(spool::STOP_ARCHIVE),
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Spool::open(settings, clock, &CountingEntropy::default()).unwrap()
    }

    /// A process with nothing but a shipper, which reaches the database in its own way.
    fn ship(&self, spool: &Spool, database: &Database) -> Shutdown {
        let shutdown = Shutdown::new();
        let shipper = Shipper::new(
            spool.clone(),
            Route {
                broker: None,
                inbox: database.sign_up_inbox(),
            },
            database.spools(),
            "unsubscribe",
            self.holds_stops,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        );
        shutdown.spawn("shipper", shipper.run(shutdown.clone()));
        shutdown
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

    async fn until_inbox_holds(&self, seqs: std::ops::RangeInclusive<u64>) {
        let expected: Vec<u64> = seqs.collect();
        until("the inbox holds them all", async || {
            self.inbox().await == expected
        })
        .await;
    }

    /// Does a registrar's work without its effects.
    async fn apply(&self, upto: u64) {
        let registrar = self.database.registrar();
        let waiting = registrar.waiting(u16::MAX, START).await.unwrap();
        let places: Vec<Place> = waiting
            .iter()
            .filter(|waiting| waiting.seq <= upto)
            .map(InboxRow::place)
            .collect();
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

async fn accept(spool: &Spool, number: u64) -> Accepted {
    let id = u128::from(number).to_be_bytes();
    let request = Request::Unsubscribe(Unsubscribe {
        subscription_id: SubscriptionId::new(id),
        issue: IssueNumber(1),
        method: Method::OneClick,
        token: TokenKey {
            version: 1,
            kid: KeyId(1),
            state: KeyState::Current,
        },
    });
    spool.accept(EventId::new(id), &request).await.unwrap()
}

async fn stop(shutdown: Shutdown) {
    let finished = shutdown.finish(DEADLINE).await;
    assert_eq!(finished.cut_short, 0);
    assert!(!finished.task_panicked);
}

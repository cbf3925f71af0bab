//! Whatever happens, in any order: what was accepted is applied in the end.

use std::time::Duration;

use domain::EventId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use queue::{Consumer, Queue};
use service_runtime::Shutdown;
use spool::{Content, Spool};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::Place;
use tokio::task::JoinSet;

use super::door::Door;
use super::rabbit::{Rabbit, read};
use super::{House, Role, accept, stop, through};

/// Histories that run beside each other, over one database.
const HISTORIES: usize = 6;

/// A history ends with everything back; it has this long to come right.
const DEADLINE: Duration = Duration::from_mins(3);

#[derive(Debug, Clone, Copy)]
enum Step {
    Accept(u64),
    /// The broker comes, goes, or is connected and keeps silent.
    BrokerOpen,
    BrokerShut,
    BrokerSilent,
    DatabaseOpen,
    DatabaseShut,
    /// Its queues lose all they hold, with or without the connection.
    BrokerWiped {
        cut: bool,
    },
    /// An older backup is restored, perhaps from before the spool was known.
    DatabaseWentBack,
    DatabaseForgot,
    /// The process is killed and starts again.
    Killed,
    /// The registrar works.
    Applied,
    /// Nothing happens for a moment, so that what is under way may arrive.
    Passes(u64),
    /// A minute and a half, for those who count minutes.
    Minutes,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..40_u64).prop_map(Step::Accept),
        2 => Just(Step::BrokerOpen),
        2 => Just(Step::BrokerShut),
        1 => Just(Step::BrokerSilent),
        2 => Just(Step::DatabaseOpen),
        2 => Just(Step::DatabaseShut),
        2 => any::<bool>().prop_map(|cut| Step::BrokerWiped { cut }),
        1 => Just(Step::DatabaseWentBack),
        1 => Just(Step::DatabaseForgot),
        2 => Just(Step::Killed),
        3 => Just(Step::Applied),
        6 => (1..400_u64).prop_map(Step::Passes),
        1 => Just(Step::Minutes),
    ]
}

struct World {
    house: House,
    rabbit: Rabbit,
    door: Door,
    options: PgConnectOptions,
    running: Option<(Spool, Role)>,
    /// The registrar's, which go by no door.
    consumer: Consumer,
    consuming: Shutdown,
    accepted: u64,
}

impl World {
    async fn new(house: House, options: PgConnectOptions) -> Self {
        let rabbit = Rabbit::take().await;
        let consuming = Shutdown::new();
        let consumer = rabbit.consumer(Queue::Stops, &consuming);
        let mut world = Self {
            house,
            rabbit,
            door: Door::to(options.get_host(), options.get_port()),
            options,
            running: None,
            consumer,
            consuming,
            accepted: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let database = through(self.door.port, &self.options);
        let spool = self.house.spool();
        assert_eq!(spool.last_seq(), self.accepted);
        let role = self.house.ship_by(&spool, &database, Some(&self.rabbit));
        self.running = Some((spool, role));
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Accept(count) => {
                for _ in 0..count {
                    self.accepted += 1;
                    let (spool, _) = self.running.as_ref().unwrap();
                    assert_eq!(accept(spool, self.accepted).await.seq, self.accepted);
                }
            }
            Step::BrokerOpen => self.rabbit.door.open(),
            Step::BrokerShut => self.rabbit.door.shut(),
            Step::BrokerSilent => self.rabbit.door.silence(),
            Step::DatabaseOpen => self.door.open(),
            Step::DatabaseShut => self.door.shut(),
            Step::BrokerWiped { cut } => {
                if cut {
                    self.rabbit.door.shut();
                }
                while let Some(batch) = self.consumer.try_next(500) {
                    batch.ack().await;
                }
                if cut {
                    self.rabbit.door.open();
                }
            }
            Step::DatabaseWentBack => {
                let statements =
                    "DELETE FROM applied_request; UPDATE spool SET applied_upto = applied_upto / 2";
                self.house.tamper(statements).await;
            }
            Step::DatabaseForgot => {
                let statements = "DELETE FROM applied_request; DELETE FROM spool";
                self.house.tamper(statements).await;
            }
            Step::Killed => {
                let (spool, role) = self.running.take().unwrap();
                role.kill().await;
                drop(spool);
                self.start();
            }
            Step::Applied => self.apply().await,
            Step::Passes(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Minutes => self.house.clock.advance(Duration::from_secs(90)),
        }
    }

    /// The registrar's work on what has come either way.
    async fn apply(&mut self) {
        let (spool, _) = self.running.as_ref().unwrap();
        let spool_id = spool.spool_id();
        let mut came = Vec::new();
        let mut batches = Vec::new();
        while let Some(batch) = self.consumer.try_next(500) {
            let messages = batch.messages().iter();
            came.extend(messages.filter_map(|message| read(message, spool_id)));
            batches.push(batch);
        }
        for envelope in self.house.inbox_envelopes().await {
            came.push(spool::record::decode_envelope(&envelope).unwrap());
        }
        let mut places: Vec<Place> = Vec::new();
        // The inbox holds the requests of other histories too.
        for envelope in came.into_iter().filter(|one| one.spool_id == spool_id) {
            let seq = envelope.seq;
            // It is the very request that was accepted there, and no stand-in.
            let Content::Accepted(accepted) = envelope.content else {
                panic!("{seq} came as a tombstone");
            };
            let number = u128::from(seq).to_be_bytes();
            assert_eq!(accepted.event_id, EventId::new(number));
            places.push(Place { spool_id, seq });
        }
        self.house.apply_places(places).await;
        for batch in batches {
            batch.ack().await;
        }
    }

    /// With everything back, all is applied.
    async fn come_right(mut self, history: &[Step]) {
        self.rabbit.door.shut();
        self.rabbit.door.open();
        self.door.shut();
        self.door.open();
        let coming = async {
            loop {
                self.apply().await;
                self.house.clock.advance(Duration::from_secs(61));
                let (spool, role) = self.running.as_ref().unwrap();
                if role.marks.borrow().registered && role.applied() == spool.last_seq() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let came = tokio::time::timeout(DEADLINE, coming).await;
        let (spool, role) = self.running.unwrap();
        assert!(
            came.is_ok(),
            "{:?} of {} accepted, after {history:?}",
            *role.marks.borrow(),
            spool.last_seq()
        );
        assert_eq!(spool.last_seq(), self.accepted);
        role.stop().await;
        stop(self.consuming).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_was_accepted_is_applied_whatever_happened(
    pool_options: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = pool_options.connect_with(options.clone()).await.unwrap();
    let mut runner = TestRunner::deterministic();
    let mut running = JoinSet::new();
    for _ in 0..HISTORIES {
        let history = vec(step(), 25).new_tree(&mut runner).unwrap().current();
        let mut house = House::new(&pool);
        house.patience = Duration::from_millis(200);
        let options = options.clone();
        running.spawn(async move {
            let mut world = World::new(house, options).await;
            for step in &history {
                world.take(*step).await;
            }
            world.come_right(&history).await;
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

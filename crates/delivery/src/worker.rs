//! A worker: recovery first, then the tasks that send.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Clock, Entropy};
use mail::Transport;
use service_runtime::Shutdown;
use store::{Database, StoreError};

use crate::boot_clock::BootClock;
use crate::bounces::{self, Bounces};
use crate::checkpoint_file::CheckpointFile;
use crate::checkpoints::{Checkpoints, newest_outside};
use crate::connections::WorkQueues;
use crate::fence::Fence;
use crate::heartbeat::Heartbeat;
use crate::hints::hints;
use crate::journal::{Journal, Recovered};
use crate::ledger_audit::LedgerAudit;
use crate::lookout::Lookout;
use crate::relay::Relay;
use crate::replay::Replay;
use crate::restoration::{BUILD, Restoration};
use crate::route::Route;
use crate::sender::mail_sender::MailSender;
use crate::sender::{AfterStop, Opens, Sender, bulk};
use crate::state_dir::StateDir;
use crate::sweeper::Sweeper;
use crate::timeline::{TimelineFile, TimelineWatch};
use crate::work_source::{Tables, WorkSource};
use crate::{Keys, Settings, StartError, planner};

const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A worker that has its folder and has not touched the database yet.
pub(crate) struct Worker {
    database: Database,
    sender: Arc<Sender>,
    state_dir: StateDir,
    checkpoints: Arc<CheckpointFile>,
    restoration: Arc<Restoration>,
    timeline: TimelineFile,
    found: Recovered,
    connections: usize,
}

impl Worker {
    pub(crate) fn open(
        database: &Database,
        keys: Arc<Keys>,
        transport: Transport,
        settings: Settings,
        clock: Arc<dyn Clock>,
        boot_clock: Arc<dyn BootClock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let state_dir = StateDir::open(&settings.state_dir, entropy.as_ref())?;
        let path = state_dir.journal();
        let (journal, found) =
            Journal::open(&path).map_err(|source| StartError::StateDir { path, source })?;
        if found.damaged > 0 {
            tracing::warn!(
                places = found.damaged,
                "the journal is damaged: what it does not tell is in doubt"
            );
        }
        let path = state_dir.path().to_owned();
        let checkpoints =
            CheckpointFile::open(&path).map_err(|source| StartError::StateDir { path, source })?;
        let checkpoints = Arc::new(checkpoints);
        let restoration = Restoration::open(
            database,
            state_dir.worker(),
            state_dir.path(),
            {
                let (outside, signer) = (Arc::clone(&checkpoints), Arc::clone(&keys.ledger));
                Arc::new(move || newest_outside(&outside, signer.body_id))
            },
            Arc::clone(&clock),
            Arc::clone(&entropy),
        )
        .map_err(|source| StartError::StateDir {
            path: state_dir.path().to_owned(),
            source,
        })?;
        let database = &database.not_before(restoration.seen());
        let route = Route::new(
            settings.limits,
            settings.connections,
            database.rate_grants(),
            database.issues(),
            Arc::clone(&clock),
        );
        let timeline = TimelineFile::new(state_dir.timeline());
        let sender = Sender {
            worker: state_dir.worker(),
            reassertion: database.reassertion(),
            issues: database.issues(),
            chunks: database.chunks(),
            deliveries: database.deliveries(),
            mails: database.mails(),
            catalogue: database.catalogue(),
            keys,
            transport,
            base_url: settings.base_url,
            return_path_domain: settings.return_path_domain,
            window: settings.window,
            opens: Opens::new(settings.opens_per_second),
            clock,
            entropy,
            journal,
            fence: Arc::new(Fence::new(
                Arc::clone(&boot_clock),
                database.timeline(),
                timeline.read(),
            )),
            lookout: Arc::new(Lookout::new(Arc::clone(&boot_clock))),
            boot_clock,
            after_stop: AfterStop::default(),
            route: Arc::new(route),
            issue: Mutex::new(None),
            in_hand: Mutex::new(HashSet::new()),
        };
        Ok(Self {
            database: database.clone(),
            sender: Arc::new(sender),
            state_dir,
            restoration: Arc::new(restoration),
            timeline,
            checkpoints,
            found,
            connections: settings.connections.max(1),
        })
    }

    /// Recovers as soon as the database answers, then starts the tasks.
    pub(crate) async fn start(self, queues: Option<WorkQueues>, shutdown: &Shutdown) {
        loop {
            match self.look_and_recover().await {
                Ok(()) => break,
                Err(error) if error.is_temporary() => {}
                Err(error) => tracing::error!(%error, "the worker cannot recover: trying again"),
            }
            if shutdown.is_stopping() {
                return;
            }
            crate::pause(AFTER_FAILURE, shutdown).await;
        }
        self.spawn(queues, shutdown);
    }

    /// First whether the database is the one that we know: everything else may change that.
    async fn look_and_recover(&self) -> Result<(), StoreError> {
        self.restoration.look().await?;
        self.recover().await
    }

    /// Says who we are, and settles what the last boot left.
    pub(crate) async fn recover(&self) -> Result<(), StoreError> {
        let sender = &self.sender;
        self.database.read_timeline().await?;
        let boot_id = self.restoration.boot_id();
        let workers = self.database.workers();
        workers.register(sender.worker, &boot_id, BUILD).await?;
        let replay = Replay {
            worker: sender.worker,
            keys: &sender.keys,
            transport: &sender.transport,
            deliveries: &sender.deliveries,
            mails: &sender.mails,
            chunks: &sender.chunks,
            complete: self.found.damaged == 0
                && self.state_dir.same_machine_boot()
                && (self.found.has_mark() || self.state_dir.is_new()),
        };
        let replayed = replay.run(&self.found, sender.clock.now()).await?;
        metrics::counter!("letterbox_in_doubt_resolved_total", "how" => "journal")
            .increment(replayed.applied);
        tracing::info!(
            applied = replayed.applied,
            released = replayed.released,
            in_doubt = replayed.in_doubt,
            "the journal is applied"
        );
        if let Err(error) = sender.journal.clear() {
            // its records stay and are harmless; new ones are written over them
            tracing::error!(%error, "the journal cannot be emptied");
        }
        if let Err(error) = self.state_dir.remember_machine_boot() {
            // the next start doubts more than it would have to
            tracing::error!(%error, "the machine's boot cannot be remembered");
        }
        Ok(())
    }

    /// What its lanes share.
    #[cfg(test)]
    pub(crate) fn sender(&self) -> Arc<Sender> {
        Arc::clone(&self.sender)
    }

    pub(crate) fn lookout(&self) -> Arc<Lookout> {
        Arc::clone(&self.sender.lookout)
    }

    /// This boot's heart.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            workers: self.database.workers(),
            sender: Arc::clone(&self.sender),
            restoration: Arc::clone(&self.restoration),
            boot_id: self.restoration.boot_id(),
        }
    }

    pub(crate) fn restoration(&self) -> Arc<Restoration> {
        Arc::clone(&self.restoration)
    }

    pub(crate) fn fence(&self) -> Arc<Fence> {
        Arc::clone(&self.sender.fence)
    }

    /// Starts everything that runs for as long as the process. Without a broker the lanes follow the
    /// tables.
    pub(crate) fn spawn(self, queues: Option<WorkQueues>, shutdown: &Shutdown) {
        // an alert on an increase needs a value to increase from
        for alarm in [
            "letterbox_row_mac_failures_total",
            "letterbox_fence_trips_total",
        ] {
            metrics::counter!(alarm).increment(0);
        }
        bounces::describe();
        let heartbeat = self.heartbeat();
        let sender = self.sender;
        let task = shutdown.clone();
        // The lock on the folder lasts as long as the heart beats.
        let state_dir = self.state_dir;
        let signing = Checkpoints::new(
            self.database.ledger(),
            Arc::clone(&sender.keys.ledger),
            Arc::clone(&self.checkpoints),
            state_dir.path().to_owned(),
            Arc::clone(&sender.clock),
        );
        shutdown.spawn("checkpoints", signing.run(shutdown.clone()));
        let audit = LedgerAudit {
            reader: self.database.ledger(),
            signer: Arc::clone(&sender.keys.ledger),
            file: self.checkpoints,
        };
        shutdown.spawn("ledger audit", audit.run(shutdown.clone()));
        shutdown.spawn("heartbeat", async move {
            heartbeat.run(&task).await;
            drop(state_dir);
        });
        let timeline = TimelineWatch {
            database: self.database.clone(),
            sender: Arc::clone(&sender),
            file: self.timeline,
        };
        let task = shutdown.clone();
        shutdown.spawn("timeline", async move { timeline.run(&task).await });
        let (task, route) = (shutdown.clone(), Arc::clone(&sender.route));
        shutdown.spawn("route", async move { route.run(&task).await });
        let (task, shared) = (shutdown.clone(), Arc::clone(&sender));
        let dead = self.database.dead_letters();
        shutdown.spawn("lookout", async move {
            let (store, clock) = (&shared.deliveries, shared.clock.as_ref());
            shared.lookout.run(store, &dead, clock, &task).await;
        });
        let (task, shared) = (shutdown.clone(), Arc::clone(&sender));
        let table = self.database.mail_after_stop();
        shutdown.spawn("after stop", async move {
            let clock = shared.clock.as_ref();
            shared.after_stop.run(&table, clock, &task).await;
        });
        let (task, fan_out, clock) = (
            shutdown.clone(),
            self.database.fan_out(),
            Arc::clone(&sender.clock),
        );
        shutdown.spawn("planner", async move {
            planner::run(&fan_out, clock.as_ref(), &task).await;
        });
        let sweeper = Sweeper {
            sender: Arc::clone(&sender),
            fan_out: self.database.fan_out(),
            upkeep: self.database.issue_upkeep(),
            workers: self.database.workers(),
            bounces: Bounces {
                table: self.database.bounces(),
                worker: sender.worker,
                clock: Arc::clone(&sender.clock),
                entropy: Arc::clone(&sender.entropy),
            },
        };
        let task = shutdown.clone();
        shutdown.spawn("sweeper", async move { sweeper.run(&task).await });
        let [chunks, mails] = work_sources(&self.database, queues, &sender.clock, shutdown);
        let lane = MailSender::new(Arc::clone(&sender), mails, shutdown.clone());
        shutdown.spawn("mail sender", lane.run());
        bulk::spawn(&sender, chunks, self.connections, shutdown);
    }
}

/// Where chunks and mails come from, and the tasks that bring hints of them.
fn work_sources(
    database: &Database,
    queues: Option<WorkQueues>,
    clock: &Arc<dyn Clock>,
    shutdown: &Shutdown,
) -> [WorkSource; 2] {
    let tables = Tables {
        chunks: database.chunks(),
        mails: database.mails(),
    };
    let task = shutdown.clone();
    let Some(queues) = queues else {
        let (source, poll) = WorkSource::tables(tables);
        shutdown.spawn("hints", async move { poll.run(&task).await });
        return [source.clone(), source];
    };
    let relay = Relay {
        outbox: database.outbox(),
        publisher: queues.publisher.clone(),
        clock: Arc::clone(clock),
    };
    shutdown.spawn("relay", async move { relay.run(&task).await });
    [queues.bulk, queues.confirm].map(|consumer| {
        let (hints, feed) = hints(consumer, queues.publisher.clone(), 1);
        shutdown.spawn("hints", feed.run(shutdown.clone()));
        WorkSource::Queue(tables.clone(), hints)
    })
}

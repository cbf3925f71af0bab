//! Notices that the database went back in time, and sees that what it has forgotten is made up for before
//! anything is sent (`DESIGN.md` 2).
//!
//! With each heartbeat the database is compared with the worker's memory on disk. If it has less of
//! anything, the worker hands over what it remembers and nobody sends: no issue, no confirmation, no other
//! mail, since each may go to somebody who left or was erased meanwhile. Web roles ship again from the mark
//! by themselves; a dead machine's spool is played by `letterbox replay`, or given up by `letterbox spool
//! retire`. When all is there again, sending goes on by itself.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, Entropy, EventId, Restored, WorkerId};
use store::{Database, Joined, Obstacle, Present, Remembered, RestoreTable, SeenTick, StoreError};
use tokio::time::Instant;

use crate::erasure_journal::ErasureJournal;
use crate::memory::{Memory, MemoryFile};

/// How often it is said what a restore waits for, while that stays the same.
const REMIND: Duration = Duration::from_mins(1);

/// The version that a worker says it is.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Whether anything may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The database has all that was ever seen in it.
    Whole,
    /// It went back, and not all of it is made up for.
    Restoring {
        /// Whether this worker's journal of mails is to be held against it: it may prove more to be sent
        /// than the database knows.
        reassert: bool,
    },
}

/// Gives the newest checkpoint that is kept outside of the database.
pub(crate) type NewestCheckpoint = Arc<dyn Fn() -> Restored + Send + Sync>;

/// The watch.
pub(crate) struct Restoration {
    restores: RestoreTable,
    worker: WorkerId,
    boot_id: [u8; 16],
    file: MemoryFile,
    memory: Mutex<Memory>,
    journal: Arc<ErasureJournal>,
    seen: SeenTick,
    checkpoint: NewestCheckpoint,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    said: Mutex<Said>,
}

/// What was said last.
#[derive(Debug, Default)]
struct Said {
    obstacles: Vec<Obstacle>,
    at: Option<Instant>,
    open: bool,
}

impl Restoration {
    /// The watch of the worker with this folder.
    pub(crate) fn open(
        database: &Database,
        worker: WorkerId,
        folder: &Path,
        checkpoint: NewestCheckpoint,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::io::Result<Self> {
        let (file, memory) = MemoryFile::open(folder)?;
        let journal = ErasureJournal::open(&folder.join("erasures"))?;
        Ok(Self {
            restores: database.restores(),
            worker,
            boot_id: entropy.sixteen(),
            file,
            memory: Mutex::new(memory),
            journal: Arc::new(journal),
            seen: SeenTick::unknown(),
            checkpoint,
            clock,
            entropy,
            said: Mutex::default(),
        })
    }

    /// This boot of the worker.
    pub(crate) const fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }

    /// Where the registrar writes erasures.
    pub(crate) fn journal(&self) -> Arc<ErasureJournal> {
        Arc::clone(&self.journal)
    }

    /// What keeps the registrar from applying anything to a database that went back.
    pub(crate) fn seen(&self) -> SeenTick {
        self.seen.clone()
    }

    /// One look, before each heartbeat.
    ///
    /// # Errors
    /// Those of the database; nothing may be sent on the strength of an older look for long. One of the
    /// disk counts as the same: what was seen and is not kept would not be missed.
    pub(crate) async fn look(&self) -> Result<Standing, StoreError> {
        let now = self.clock.now();
        let present = self.restores.present(self.worker, now).await?;
        let forgotten = self.memory().forgotten_by(&present);
        if let Some(forgotten) = forgotten {
            tracing::error!(
                why = %forgotten,
                "the database went back in time, as a restored backup does: nothing is sent until what it \
                 has forgotten is applied again"
            );
            metrics::counter!("letterbox_restores_noticed_total").increment(1);
        }
        let reassert = match present.restore {
            _ if forgotten.is_some() => true,
            Some(Joined::No) => true,
            Some(Joined::Yes { reasserted }) => !reasserted,
            None => false,
        };
        let is_open = forgotten.is_some() || present.restore.is_some();
        if forgotten.is_some() || present.restore == Some(Joined::No) {
            self.hand_over(&present).await?;
        } else {
            self.see(&present, |_| {});
            self.follow_erasures().await?;
        }
        gauge("letterbox_barrier_overridden", present.overridden);
        gauge("letterbox_restore_open", is_open);
        if !is_open {
            self.said().open = false;
            return Ok(Standing::Whole);
        }
        let event_id = EventId::new(self.entropy.sixteen());
        if self.restores.record(event_id, now).await? {
            tracing::warn!("the restore is recorded in the ledger");
        }
        let obstacles = self.restores.obstacles(now).await?;
        if obstacles.is_empty() && self.restores.end(now).await? {
            tracing::warn!("all that the database had forgotten is applied again: sending goes on");
        }
        self.say(obstacles);
        // Ended or not: the next look tells, and so do other workers' ends.
        Ok(Standing::Restoring { reassert })
    }

    /// What the worker's journal of mails proves to be sent stands in the database again.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn reasserted(&self) -> Result<(), StoreError> {
        self.restores.reasserted(self.worker).await
    }

    /// Tells the database what it has forgotten. From then on that stands there, and what is seen now is
    /// what there is.
    async fn hand_over(&self, present: &Present) -> Result<(), StoreError> {
        self.seen.set(u64::MAX);
        let remembered = Remembered {
            boot_id: self.boot_id,
            build: BUILD,
            spools: self.memory().marks(),
            erasures: self.journal.all(),
            checkpoint: (self.checkpoint)(),
        };
        self.restores
            .join(self.worker, &remembered, self.clock.now())
            .await?;
        // The ledger begins earlier as well: what was erased is in the journal already.
        self.see(present, |memory| memory.erasures_upto = 0);
        Ok(())
    }

    /// This worker's heartbeat was committed, and the tick with it. A backup from before knows neither.
    pub(crate) fn beaten(&self, tick: u64) {
        self.keep(|memory| {
            memory.heartbeat += 1;
            memory.tick = memory.tick.max(tick);
        });
    }

    fn see(&self, present: &Present, change: impl FnOnce(&mut Memory)) {
        self.keep(|memory| {
            memory.see(present);
            change(memory);
        });
    }

    fn keep(&self, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory();
        change(&mut memory);
        if let Err(error) = self.file.keep(&memory) {
            tracing::error!(%error, "what was seen of the database cannot be written to the worker's folder");
        }
        self.seen.set(memory.tick);
    }

    /// Copies erasures that other workers applied, so that each journal has all.
    async fn follow_erasures(&self) -> Result<(), StoreError> {
        loop {
            let upto = self.memory().erasures_upto;
            let erasures = self.restores.erasures_after(upto).await?;
            let Some((last, _)) = erasures.last() else {
                return Ok(());
            };
            for (_, past) in &erasures {
                if let Err(error) = self.journal.note(past) {
                    tracing::error!(%error, "an erasure cannot be written to the journal");
                    return Ok(());
                }
            }
            self.keep(|memory| memory.erasures_upto = *last);
        }
    }

    /// Says what is missing and what to do about it, when that changes and every minute.
    fn say(&self, obstacles: Vec<Obstacle>) {
        let mut said = self.said();
        let is_due = said.at.is_none_or(|at| at.elapsed() >= REMIND);
        if !is_due && said.open && said.obstacles == obstacles {
            return;
        }
        for obstacle in &obstacles {
            let Obstacle::Spool {
                spool_id,
                role,
                applied_upto,
                seen_upto,
                reported,
            } = obstacle
            else {
                continue;
            };
            tracing::warn!(
                spool.id = %spool_id,
                spool.role = role.as_str(),
                spool.applied = applied_upto,
                spool.seen = seen_upto,
                spool.reported = reported,
                "nothing is sent before this spool is applied again: start its role; where its machine is \
                 gone, play its folder with `letterbox replay DIR` and then `letterbox spool retire`"
            );
        }
        said.obstacles = obstacles;
        said.at = Some(Instant::now());
        said.open = true;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gauge(name: &'static str, is: bool) {
    metrics::gauge!(name).set(f64::from(u8::from(is)));
}

/// Says what they mean.
pub(crate) fn describe_metrics() {
    metrics::describe_gauge!(
        "letterbox_restore_open",
        "1 while the database went back in time and not all is applied again: nothing is sent."
    );
    metrics::describe_counter!(
        "letterbox_restores_noticed_total",
        "Times that this worker found the database older than what it had seen of it."
    );
    metrics::describe_gauge!(
        "letterbox_barrier_overridden",
        "1 while an operator's override lets bulk mail pass a closed barrier."
    );
}

//! What nobody waits for and somebody has to do: issues that are finished, what follows from an
//! operator's word, mail that came back, doubts that are old enough, deadlines, chunks that nobody has in hand, workers whose
//! heart stopped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{DeliveryState, MailKind, Timestamp, WorkerId};
use service_runtime::Shutdown;
use store::{FanOut, IssueUpkeep, NewDoubt, OwnedChunk, Resolved, StoreError, WorkerTable};
use tokio::time::Instant;

use crate::bounces::Bounces;
use crate::sender::{Sender, sending_domain};

const EVERY: Duration = Duration::from_secs(1);
const WATCH_WORKERS: Duration = Duration::from_secs(10);
const RECONCILE: Duration = Duration::from_mins(1);
/// So far may our clock be from the server's: the barrier allows less.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);
/// A worker whose counter stood still for this long, as seen by our own clock, is dead.
const DEAD: Duration = Duration::from_mins(1);

/// Sweeps.
pub(crate) struct Sweeper {
    pub(crate) sender: Arc<Sender>,
    pub(crate) fan_out: FanOut,
    pub(crate) upkeep: IssueUpkeep,
    pub(crate) workers: WorkerTable,
    pub(crate) bounces: Bounces,
}

/// What was seen of other workers, and of our own chunks that no lane has.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    looked_at: Option<Instant>,
    reconciled_at: Option<Instant>,
    pulses: HashMap<WorkerId, (u64, Instant)>,
    strays: HashSet<OwnedChunk>,
    clock_is_wrong: bool,
}

impl Sweeper {
    /// Sweeps until the process stops.
    pub(crate) async fn run(self, shutdown: &Shutdown) {
        let mut watch = Watch::default();
        while !shutdown.is_stopping() {
            if let Err(error) = self.sweep(&mut watch, shutdown).await
                && !error.is_temporary()
            {
                tracing::error!(%error, "a sweep failed");
            }
            crate::pause(EVERY, shutdown).await;
        }
    }

    /// One round. A step that fails keeps none of the others from being done.
    pub(crate) async fn sweep(
        &self,
        watch: &mut Watch,
        shutdown: &Shutdown,
    ) -> Result<(), StoreError> {
        if !self.clock_is_right(watch).await? {
            return Ok(());
        }
        let now = self.sender.clock.now();
        let mut steps = vec![
            self.follow_operators(now, shutdown).await,
            self.end_what_is_over(now).await,
        ];
        if watch
            .looked_at
            .is_none_or(|at| at.elapsed() >= WATCH_WORKERS)
        {
            steps.push(self.bounces.judge(shutdown).await.map(|_| ()));
            steps.push(self.hand_back_strays(watch).await);
            steps.push(self.bury_the_dead(watch).await);
            steps.push(self.count_and_forget(now, shutdown).await);
            watch.looked_at = Some(Instant::now());
        }
        if watch
            .reconciled_at
            .is_none_or(|at| at.elapsed() >= RECONCILE)
        {
            steps.push(self.reconcile(now).await);
            watch.reconciled_at = Some(Instant::now());
        }
        steps.into_iter().collect()
    }

    /// Whether our clock shows what the server's does, so that no deadline passes by a wrong one: with
    /// any other, whoever waits would be ended for good (`reliability.md` 1.7).
    async fn clock_is_right(&self, watch: &mut Watch) -> Result<bool, StoreError> {
        let clock = &self.sender.clock;
        if !clock.shows_the_time_of_day() {
            return Ok(true);
        }
        let server = self.workers.server_time().await?;
        let ours = clock.now();
        let off = ours.since(server).max(server.since(ours));
        metrics::gauge!("letterbox_clock_off_seconds").set(off.as_secs_f64());
        let is_right = off <= CLOCKS_DIFFER;
        if is_right == watch.clock_is_wrong {
            watch.clock_is_wrong = !is_right;
            if is_right {
                tracing::info!("the clock is right again");
            } else {
                tracing::error!(
                    seconds = off.as_secs(),
                    "this machine's clock is not the database's: nothing ends by it until it is set right"
                );
            }
        }
        Ok(is_right)
    }

    /// Finishes issues, ends what is too late, and decides on doubts that are old enough.
    async fn end_what_is_over(&self, now: Timestamp) -> Result<(), StoreError> {
        let sender = &self.sender;
        let finished = self.fan_out.finish(now).await?;
        if finished > 0 {
            tracing::info!(issues = finished, "finished");
        }
        let late = sender.deliveries.expire(now).await?;
        expired(MailKind::Issue, late);
        expired(MailKind::Confirmation, sender.mails.expire(now).await?);
        resolved(sender.deliveries.resolve_in_doubt(now).await?);
        resolved(sender.mails.resolve_in_doubt(now).await?);
        in_doubt(MailKind::Issue, sender.deliveries.in_doubt().await?);
        in_doubt(MailKind::Confirmation, sender.mails.in_doubt().await?);
        Ok(())
    }

    /// Says what was set aside, and deletes what nobody asks for any more.
    async fn count_and_forget(
        &self,
        now: Timestamp,
        shutdown: &Shutdown,
    ) -> Result<(), StoreError> {
        self.upkeep.forget_settled().await?;
        set_aside(self.upkeep.set_aside().await?);
        self.bounces.forget(now).await?;
        self.forget_old(now, shutdown).await
    }

    /// Gives hints again that were lost, and checks that nobody else is.
    async fn reconcile(&self, now: Timestamp) -> Result<(), StoreError> {
        let unbalanced = self.upkeep.unbalanced(now).await?;
        unbalanced_issues(unbalanced.len());
        for issue in unbalanced {
            tracing::error!(
                issue = issue.0,
                "what became of its recipients does not add up to its audience: somebody changed its rows"
            );
        }
        let hints = self.upkeep.reconcile(now).await?;
        if hints > 0 {
            tracing::info!(hints, "hints that were lost are given again");
        }
        Ok(())
    }

    /// Cancels, tries again and decides, as far as operators said so.
    async fn follow_operators(
        &self,
        now: Timestamp,
        shutdown: &Shutdown,
    ) -> Result<(), StoreError> {
        let upkeep = &self.upkeep;
        loop {
            let cancelled = upkeep.cancel_step(now).await?;
            super::sender::count(MailKind::Issue, DeliveryState::Cancelled, cancelled);
            if cancelled == 0 || shutdown.is_stopping() {
                break;
            }
        }
        while !shutdown.is_stopping() && upkeep.retry_step(now).await? {}
        self.note_doubts().await?;
        let decided = upkeep.carry_out(now).await?;
        metrics::counter!("letterbox_in_doubt_resolved_total", "how" => "operator")
            .increment(decided);
        upkeep.wake(now).await?;
        Ok(())
    }

    /// Deletes who got issues that ended long ago.
    async fn forget_old(&self, now: Timestamp, shutdown: &Shutdown) -> Result<(), StoreError> {
        while !shutdown.is_stopping() {
            let deleted = self.upkeep.purge_step(now).await?;
            if deleted == 0 {
                break;
            }
            metrics::counter!("letterbox_purged_total", "what" => "deliveries").increment(deleted);
        }
        Ok(())
    }

    /// Writes down what operators look for in the relay's log.
    async fn note_doubts(&self) -> Result<(), StoreError> {
        let doubts = self.upkeep.new_doubts().await?;
        if doubts.is_empty() {
            return Ok(());
        }
        let address = &self.sender.keys.address;
        let noted: Vec<(NewDoubt, Option<String>)> = doubts
            .into_iter()
            .map(|doubt| {
                let id = doubt.subscription_id.map(|subscription| {
                    let local = address.message_id_local_part(doubt.issue, subscription.as_bytes());
                    format!("{local}@{}", sending_domain(&doubt.sender_address))
                });
                (doubt, id)
            })
            .collect();
        self.upkeep.note(&noted).await
    }

    /// Chunks that are ours by the database and in nobody's hand, twice in a row: the statement that
    /// took them succeeded and its answer was lost.
    async fn hand_back_strays(&self, watch: &mut Watch) -> Result<(), StoreError> {
        let sender = &self.sender;
        let ours = sender.chunks.running(sender.worker).await?;
        let strays: HashSet<OwnedChunk> = {
            let in_hand = sender.in_hand();
            ours.into_iter()
                .filter(|chunk| !in_hand.contains(chunk))
                .collect()
        };
        for chunk in strays.intersection(&watch.strays) {
            let now = sender.clock.now();
            sender.deliveries.release_chunk(chunk, now).await?;
            sender.chunks.close(chunk).await?;
            tracing::warn!(issue = chunk.issue.0, chunk = chunk.chunk, "a stray chunk");
        }
        watch.strays = strays;
        Ok(())
    }

    /// Workers whose counter stood still for a minute. Time counts only while our own looks
    /// succeeded: after an outage of the database nobody is condemned by the first look.
    async fn bury_the_dead(&self, watch: &mut Watch) -> Result<(), StoreError> {
        let sender = &self.sender;
        let unbroken = watch
            .looked_at
            .is_some_and(|at| at.elapsed() < WATCH_WORKERS * 2);
        if !unbroken {
            watch.pulses.clear();
        }
        let mut dead = Vec::new();
        for pulse in self.workers.pulses().await? {
            let seen = watch
                .pulses
                .entry(pulse.worker)
                .or_insert((pulse.heartbeat, Instant::now()));
            if seen.0 != pulse.heartbeat {
                *seen = (pulse.heartbeat, Instant::now());
            }
            if pulse.worker != sender.worker && seen.1.elapsed() >= DEAD {
                dead.push(pulse.worker);
            }
        }
        if dead.is_empty() {
            return Ok(());
        }
        let now = sender.clock.now();
        let doubted = sender.deliveries.doubt_all_of(&dead, now).await?
            + sender.mails.doubt_all_of(&dead, now).await?;
        let mut chunks = 0;
        for worker in &dead {
            chunks += sender.chunks.close_all_of(*worker).await?;
        }
        if doubted + chunks > 0 {
            tracing::warn!(workers = ?dead, doubted, chunks, "workers are dead");
        }
        Ok(())
    }
}

fn expired(kind: MailKind, number: u64) {
    super::sender::count(kind, domain::DeliveryState::Expired, number);
}

fn resolved(resolved: Resolved) {
    let count = |how: &'static str, number: u64| {
        metrics::counter!("letterbox_in_doubt_resolved_total", "how" => how).increment(number);
    };
    count("skip", resolved.assumed_sent);
    count("resend", resolved.queued_again);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and these numbers are small"
)]
fn unbalanced_issues(issues: usize) {
    metrics::gauge!("letterbox_issue_unbalanced").set(issues as f64);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and these numbers are small"
)]
fn set_aside(chunks: u64) {
    metrics::gauge!("letterbox_chunks_set_aside").set(chunks as f64);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and these numbers are small"
)]
fn in_doubt(kind: MailKind, number: u64) {
    metrics::gauge!("letterbox_in_doubt_deliveries", "kind" => kind.label()).set(number as f64);
}

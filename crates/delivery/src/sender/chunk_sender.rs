//! A lane for issues: one connection that works through one chunk after another.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use domain::{DeliveryState, IssueNumber, MailKind};
use service_runtime::Shutdown;
use store::{AttemptResult, Barrier, ClaimedDelivery, DeliveryAttempt, OwnedChunk, StoreError};
use tokio::time::Instant;

use super::attempt::{self, Cut, Sent};
use super::line::Line;
use super::prepare::{self, Ready, Unmailable};
use super::settlement::{alarm, complain, count, insist, without_reply};
use super::{AFTER_FAILURE, IssueInHand, REASONS_LAST, Sender};
use crate::journal::Attempt;
use crate::work_source::WorkSource;

/// A result waits this long for company, at most.
const PATIENCE: Duration = Duration::from_millis(100);
/// While bulk may not go, it is asked again after this.
const BULK_WAITS: Duration = Duration::from_millis(250);

/// A lane.
pub(crate) struct ChunkSender {
    sender: Arc<Sender>,
    source: WorkSource,
    line: Line,
    shutdown: Shutdown,
}

/// What to do after a round.
enum Round {
    /// There may be more to claim.
    More,
    /// The chunk has nothing for now, or bulk may not go: it is handed back.
    Over,
}

/// Results and given-back rows that the database has not seen.
#[derive(Default)]
struct Tray {
    results: Vec<(DeliveryAttempt, AttemptResult)>,
    released: Vec<DeliveryAttempt>,
    since: Option<Instant>,
}

impl ChunkSender {
    pub(crate) fn new(sender: Arc<Sender>, source: WorkSource, shutdown: Shutdown) -> Self {
        Self {
            sender,
            source,
            line: Line::new(),
            shutdown,
        }
    }

    /// Works until the process stops.
    pub(crate) async fn run(mut self) {
        while !self.shutdown.is_stopping() {
            if !self.may_go() {
                self.line.rest().await;
                crate::pause(BULK_WAITS, &self.shutdown).await;
                continue;
            }
            let now = self.sender.clock.now();
            match self.source.next_chunk(self.sender.worker, now).await {
                Ok(Some(chunk)) => self.work(chunk).await,
                Ok(None) => {
                    self.line.rest().await;
                    self.source.wait(&self.shutdown).await;
                }
                Err(error) => complain(&error, "no chunk can be taken", &self.shutdown).await,
            }
        }
        self.line.close().await;
    }

    /// Whether bulk may be sent: heart, barrier and relay.
    fn may_go(&self) -> bool {
        let now = Instant::now();
        self.sender.may_send(now)
            && self.sender.lookout.bulk(now) == Barrier::Open
            && !self.shutdown.is_stopping()
    }

    async fn work(&mut self, chunk: OwnedChunk) {
        self.sender.take_in_hand(&chunk);
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P5", |_| std::process::abort());
        match self.issue(chunk.issue).await {
            Ok(Some(issue)) => while let Round::More = self.round(&chunk, &issue).await {},
            Ok(None) => {}
            Err(error) => complain(&error, "an issue cannot be read", &self.shutdown).await,
        }
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P12", |_| std::process::abort());
        let chunks = &self.sender.chunks;
        insist("chunk", &self.shutdown, || chunks.close(&chunk)).await;
        self.sender.put_down(&chunk);
    }

    /// The issue, compiled; none, and the issue held, where it cannot be.
    async fn issue(&self, number: IssueNumber) -> Result<Option<Arc<IssueInHand>>, StoreError> {
        let cached = {
            let cache = &self.sender.issue;
            cache.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        if let Some(issue) = cached
            && issue.number == number
        {
            return Ok(Some(issue));
        }
        let Some(issue) = self.sender.issues.to_send(number).await? else {
            return Ok(None);
        };
        let catalogue = self.sender.catalogue.read().await?;
        let base_url = self.sender.base_url.clone();
        let compiled = tokio::task::spawn_blocking(move || {
            IssueInHand::compile(&issue, &catalogue, &base_url)
        })
        .await;
        match compiled {
            Ok(Ok(issue)) => {
                let issue = Arc::new(issue);
                let cache = &self.sender.issue;
                *cache.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&issue));
                Ok(Some(issue))
            }
            Ok(Err(why)) => self.hold(number, &why.to_string()).await,
            Err(_) => self.hold(number, "its text broke the renderer").await,
        }
    }

    async fn hold<T>(&self, issue: IssueNumber, why: &str) -> Result<Option<T>, StoreError> {
        tracing::error!(issue = issue.0, why, "the issue cannot be sent: held");
        metrics::counter!("letterbox_issue_held_total", "reason" => "render").increment(1);
        self.sender.issues.hold(issue).await?;
        Ok(None)
    }

    /// One claim and what follows from it.
    async fn round(&mut self, chunk: &OwnedChunk, issue: &Arc<IssueInHand>) -> Round {
        if !self.may_go() {
            return Round::Over;
        }
        let looked_at = Instant::now();
        let now = self.sender.clock.now();
        let claim = match self
            .sender
            .deliveries
            .claim(chunk, self.sender.window, now)
            .await
        {
            Ok(claim) => claim,
            Err(error) => {
                complain(&error, "no recipient can be claimed", &self.shutdown).await;
                self.release_chunk(chunk).await;
                return Round::Over;
            }
        };
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P6", |_| std::process::abort());
        count(MailKind::Issue, DeliveryState::Suppressed, claim.suppressed);
        if claim.deliveries.is_empty() {
            return if claim.suppressed > 0 {
                Round::More
            } else {
                Round::Over
            };
        }
        let mut tray = Tray::default();
        let Some(queue) = self.prepare(issue, claim.deliveries, &mut tray).await else {
            self.release_chunk(chunk).await;
            if let Err(error) = self
                .hold::<()>(chunk.issue, "a mail broke the renderer")
                .await
            {
                complain(&error, "an issue cannot be held", &self.shutdown).await;
            }
            return Round::Over;
        };
        let round = self
            .send_all(issue.number, queue, looked_at, &mut tray)
            .await;
        self.flush(&mut tray).await;
        round
    }

    /// The answer to a claim was lost, or its mails cannot be made: nothing of it is in hand.
    async fn release_chunk(&self, chunk: &OwnedChunk) {
        let (deliveries, clock) = (&self.sender.deliveries, &self.sender.clock);
        insist("release", &self.shutdown, || {
            deliveries.release_chunk(chunk, clock.now())
        })
        .await;
    }

    /// Opens and renders a claim off the I/O threads. None where that panicked.
    async fn prepare(
        &self,
        issue: &Arc<IssueInHand>,
        claimed: Vec<ClaimedDelivery>,
        tray: &mut Tray,
    ) -> Option<VecDeque<Ready>> {
        let (sender, issue) = (Arc::clone(&self.sender), Arc::clone(issue));
        let prepared: Vec<(DeliveryAttempt, Result<Ready, Unmailable>)> =
            tokio::task::spawn_blocking(move || {
                claimed
                    .iter()
                    .map(|row| {
                        let (keys, base_url) = (&sender.keys, &sender.base_url);
                        let bounces = sender.return_path_domain.as_deref();
                        let now = sender.clock.now();
                        let ready =
                            prepare::delivery(keys, base_url, bounces, &issue, row, now);
                        (row.key, ready)
                    })
                    .collect()
            })
            .await
            .ok()?;
        let mut queue = VecDeque::with_capacity(prepared.len());
        for (key, ready) in prepared {
            match ready {
                Ok(ready) => queue.push_back(ready),
                Err(why) => {
                    alarm(MailKind::Issue, &why);
                    tray.settle(key, without_reply(DeliveryState::FailedInternal));
                }
            }
        }
        Some(queue)
    }

    async fn send_all(
        &mut self,
        issue: IssueNumber,
        mut queue: VecDeque<Ready>,
        mut looked_at: Instant,
        tray: &mut Tray,
    ) -> Round {
        while !queue.is_empty() {
            if !self.may_go() {
                tray.give_back(queue);
                return Round::Over;
            }
            if self.reasons_are_old(&queue, looked_at) {
                let asked = Instant::now();
                match self.last_look(issue, &mut queue, tray).await {
                    Ok(()) => looked_at = asked,
                    Err(error) => {
                        tray.give_back(queue);
                        complain(&error, "no last look", &self.shutdown).await;
                        return Round::Over;
                    }
                }
            }
            let Some(ready) = queue.pop_front() else {
                break;
            };
            let sender = &self.sender;
            let sent =
                attempt::send(sender, &mut self.line, &ready, looked_at, &self.shutdown).await;
            match (sent, key_of(&ready)) {
                (Sent::Settled(result), Some(key)) => tray.settle(key, result),
                (Sent::Cut(Cut::Stop), _) => tray.give_back([ready]),
                (Sent::Cut(why), _) => {
                    tracing::debug!(?why, "cut before the dot");
                    tray.give_back([ready]);
                    tray.give_back(queue);
                    if why == Cut::Journal {
                        crate::pause(AFTER_FAILURE, &self.shutdown).await;
                    }
                    return Round::Over;
                }
                (Sent::RelayAway, _) => {
                    tray.give_back([ready]);
                    tray.give_back(queue);
                    return Round::Over;
                }
                (Sent::Settled(_), None) => {}
            }
            if tray.is_due() {
                self.flush(tray).await;
            }
        }
        Round::More
    }

    fn reasons_are_old(&self, queue: &VecDeque<Ready>, looked_at: Instant) -> bool {
        looked_at.elapsed() > REASONS_LAST
            || queue.front().is_some_and(|ready| {
                ready.subscription.is_some_and(|subscription| {
                    self.sender
                        .lookout
                        .changed_since(subscription, looked_at, Instant::now())
                })
            })
    }

    /// Reads the reasons of all that is left of a claim; who lost theirs is suppressed.
    async fn last_look(
        &self,
        issue: IssueNumber,
        queue: &mut VecDeque<Ready>,
        tray: &mut Tray,
    ) -> Result<(), StoreError> {
        let subscribers: Vec<i64> = queue
            .iter()
            .filter_map(key_of)
            .map(|key| key.subscriber)
            .collect();
        let now = self.sender.clock.now();
        let deliveries = &self.sender.deliveries;
        let wanted = deliveries.still_wanted(issue, &subscribers, now).await?;
        queue.retain(|ready| match key_of(ready) {
            Some(key) if !wanted.contains(&key.subscriber) => {
                tray.settle(key, without_reply(DeliveryState::Suppressed));
                false
            }
            _ => true,
        });
        Ok(())
    }

    /// Writes results and given-back rows down; insists until the database has them.
    async fn flush(&self, tray: &mut Tray) {
        let sender = &self.sender;
        let (deliveries, worker, clock) = (&sender.deliveries, sender.worker, &sender.clock);
        let (results, released) = (&tray.results, &tray.released);
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P11", |_| std::process::abort());
        let written = insist("results", &self.shutdown, || async {
            deliveries.flush(worker, results, clock.now()).await?;
            if released.is_empty() {
                return Ok(0);
            }
            deliveries.release(worker, released, clock.now()).await
        })
        .await;
        if written {
            let settled = results.iter().map(|(key, _)| Attempt::Delivery(*key));
            sender.journal.flushed(settled);
        }
        *tray = Tray::default();
    }
}

impl Tray {
    fn settle(&mut self, key: DeliveryAttempt, result: AttemptResult) {
        count(MailKind::Issue, result.state, 1);
        self.since.get_or_insert_with(Instant::now);
        self.results.push((key, result));
    }

    fn give_back(&mut self, rows: impl IntoIterator<Item = Ready>) {
        self.released
            .extend(rows.into_iter().filter_map(|ready| key_of(&ready)));
    }

    fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= PATIENCE)
    }
}

fn key_of(ready: &Ready) -> Option<DeliveryAttempt> {
    match ready.attempt {
        Attempt::Delivery(key) => Some(key),
        Attempt::Mail(_) => None,
    }
}

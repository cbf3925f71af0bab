//! The lane for one-to-one mail. It has a connection of its own, so that an issue never makes a
//! confirmation wait, and it does not wait for the barrier.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::{DeliveryState, MailKind};
use service_runtime::Shutdown;
use store::{AttemptResult, ClaimedMail, MailAttempt, MailResult, StoreError};
use tokio::time::Instant;

use super::attempt::{self, Cut, Sent};
use super::line::Line;
use super::prepare::{self, Ready, Unmailable};
use super::settlement::{alarm, complain, count, insist, without_reply};
use super::{AFTER_FAILURE, Sender};
use crate::boot_clock::Moment;
use crate::journal::Attempt;
use crate::route::Permit;
use crate::work_source::WorkSource;

/// Mails in one claim: few, so that somebody's confirmation is never long in one hand.
const WINDOW: u16 = 8;
const WAIT: Duration = Duration::from_millis(250);
/// How often mails are looked for that are ours by the database and in nobody's hand.
const STRAYS: Duration = Duration::from_secs(10);

/// The lane.
pub(crate) struct MailSender {
    sender: Arc<Sender>,
    source: WorkSource,
    line: Line,
    looked_for_strays: Instant,
    shutdown: Shutdown,
}

#[derive(Default)]
struct Tray {
    results: Vec<MailResult>,
    released: Vec<MailAttempt>,
}

impl MailSender {
    pub(crate) fn new(sender: Arc<Sender>, source: WorkSource, shutdown: Shutdown) -> Self {
        Self {
            sender,
            source,
            line: Line::default(),
            looked_for_strays: Instant::now(),
            shutdown,
        }
    }

    /// Works until the process stops.
    pub(crate) async fn run(mut self) {
        while !self.shutdown.is_stopping() {
            if !self.may_go() {
                self.line.rest().await;
                crate::pause(WAIT, &self.shutdown).await;
                continue;
            }
            self.release_strays().await;
            let looked_at = self.sender.boot_clock.now();
            let (worker, now) = (self.sender.worker, self.sender.clock.now());
            match self.source.next_mails(worker, WINDOW, now).await {
                Ok(claim) if claim.mails.is_empty() && claim.suppressed == 0 => {
                    self.line.rest().await;
                    self.source.wait(&self.shutdown).await;
                }
                Ok(claim) => {
                    count(
                        MailKind::Confirmation,
                        DeliveryState::Suppressed,
                        claim.suppressed,
                    );
                    self.work(claim.mails, looked_at).await;
                }
                Err(error) => {
                    complain(&error, "no mail can be claimed", &self.shutdown).await;
                    self.release_all().await;
                }
            }
        }
        self.line.close().await;
    }

    fn may_go(&self) -> bool {
        self.sender.may_send(MailKind::Confirmation) && !self.shutdown.is_stopping()
    }

    /// The answer to a claim was lost, or its mails cannot be made: nothing is in hand.
    async fn release_all(&self) {
        let (mails, worker, clock) = (&self.sender.mails, self.sender.worker, &self.sender.clock);
        insist("release", &self.shutdown, || {
            mails.release_all(worker, clock.now())
        })
        .await;
    }

    /// Mails that are being attempted by the database while nothing is in hand: the server went on with
    /// a claim whose process had died, or whose answer was lost. Nobody ever had them, so nothing was
    /// sent.
    async fn release_strays(&mut self) {
        if self.looked_for_strays.elapsed() < STRAYS {
            return;
        }
        self.looked_for_strays = Instant::now();
        let (mails, worker) = (&self.sender.mails, self.sender.worker);
        match mails.release_all(worker, self.sender.clock.now()).await {
            Ok(0) => {}
            Ok(strays) => tracing::warn!(strays, "mails in nobody's hand are queued again"),
            Err(error) => complain(&error, "no strays can be released", &self.shutdown).await,
        }
    }

    async fn work(&mut self, claimed: Vec<ClaimedMail>, looked_at: Moment) {
        let mut tray = Tray::default();
        match self.prepare(claimed, &mut tray).await {
            Ok(queue) => self.send_all(queue, looked_at, &mut tray).await,
            Err(error) => {
                complain(&error, "no catalogue", &self.shutdown).await;
                self.release_all().await;
                return;
            }
        }
        self.flush(tray).await;
    }

    /// Opens and renders off the I/O threads, each mail by itself: one that breaks the renderer
    /// harms no other.
    async fn prepare(
        &self,
        claimed: Vec<ClaimedMail>,
        tray: &mut Tray,
    ) -> Result<VecDeque<Ready>, StoreError> {
        let catalogue = Arc::new(self.sender.catalogue.read().await?);
        self.sender.opens.wait(claimed.len()).await;
        let mut queue = VecDeque::with_capacity(claimed.len());
        for row in claimed {
            let (key, kind) = (row.key, row.kind);
            if kind == MailKind::AlreadySubscribed && row.held.is_empty() {
                // they left between the two statements of the claim
                self.settle(
                    tray,
                    key,
                    kind,
                    without_reply(DeliveryState::Suppressed),
                    None,
                );
                continue;
            }
            let (sender, catalogue) = (Arc::clone(&self.sender), Arc::clone(&catalogue));
            let now = self.sender.clock.now();
            let ready = tokio::task::spawn_blocking(move || {
                let bounces = sender.return_path_domain.as_deref();
                prepare::mail(
                    &sender.keys,
                    &sender.base_url,
                    bounces,
                    &catalogue,
                    &row,
                    now,
                )
            })
            .await
            .unwrap_or(Err(Unmailable::Unreadable));
            match ready {
                Ok(ready) => queue.push_back(ready),
                Err(why) => {
                    alarm(kind, &why);
                    let failed = without_reply(DeliveryState::FailedInternal);
                    self.settle(tray, key, kind, failed, None);
                }
            }
        }
        Ok(queue)
    }

    async fn send_all(
        &mut self,
        mut queue: VecDeque<Ready>,
        mut looked_at: Moment,
        tray: &mut Tray,
    ) {
        while !queue.is_empty() {
            if !self.may_go() {
                break;
            }
            let turn = self
                .sender
                .route
                .permit(MailKind::Confirmation, &self.shutdown);
            if turn.await != Permit::Go {
                break;
            }
            let subscription = queue.front().and_then(|ready| ready.subscription);
            if self.sender.reasons_are_old(subscription, looked_at) {
                let asked = self.sender.boot_clock.now();
                match self.last_look(&mut queue, tray).await {
                    Ok(()) => looked_at = asked,
                    Err(error) => {
                        complain(&error, "no last look", &self.shutdown).await;
                        break;
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
                (Sent::Settled(result), Some(key)) => {
                    self.settle(tray, key, ready.kind, result, Some(&ready));
                }
                (Sent::Cut(Cut::Old), _) => queue.push_front(ready),
                (Sent::Cut(Cut::Stop), _) => {
                    tray.released.extend(key_of(&ready));
                    crate::pause(WAIT, &self.shutdown).await;
                }
                (Sent::Cut(why), _) => {
                    tracing::debug!(?why, "cut before the dot");
                    tray.released.extend(key_of(&ready));
                    if why == Cut::Journal {
                        crate::pause(AFTER_FAILURE, &self.shutdown).await;
                    }
                    break;
                }
                (Sent::RelayAway, _) => {
                    tray.released.extend(key_of(&ready));
                    break;
                }
                (Sent::Settled(_), None) => {}
            }
        }
        tray.released.extend(queue.iter().filter_map(key_of));
    }

    async fn last_look(
        &self,
        queue: &mut VecDeque<Ready>,
        tray: &mut Tray,
    ) -> Result<(), StoreError> {
        let keys: Vec<MailAttempt> = queue.iter().filter_map(key_of).collect();
        let (worker, now) = (self.sender.worker, self.sender.clock.now());
        let wanted = self.sender.mails.still_wanted(worker, &keys, now).await?;
        queue.retain(|ready| match key_of(ready) {
            Some(key) if !wanted.contains(&key.mail) => {
                let suppressed = without_reply(DeliveryState::Suppressed);
                self.settle(tray, key, ready.kind, suppressed, None);
                false
            }
            _ => true,
        });
        Ok(())
    }

    fn settle(
        &self,
        tray: &mut Tray,
        key: MailAttempt,
        kind: MailKind,
        result: AttemptResult,
        sent: Option<&Ready>,
    ) {
        let now = self.sender.clock.now();
        count(kind, result.state, 1);
        if let Some(ready) = sent
            && result.state == DeliveryState::Accepted
        {
            metrics::histogram!("letterbox_confirm_latency_seconds")
                .record(now.since(ready.created_at).as_secs_f64());
        }
        tray.results.push(MailResult {
            key,
            result,
            sent_at: now,
            message_id: sent.map(|ready| ready.message_id.clone()),
        });
    }

    async fn flush(&self, tray: Tray) {
        let sender = &self.sender;
        let (mails, worker, clock) = (&sender.mails, sender.worker, &sender.clock);
        let (results, released) = (&tray.results, &tray.released);
        let written = insist("results", &self.shutdown, || async {
            mails.flush(worker, results, clock.now()).await?;
            if released.is_empty() {
                return Ok(0);
            }
            mails.release(worker, released, clock.now()).await
        })
        .await;
        if written {
            let settled = results.iter().map(|entry| Attempt::Mail(entry.key));
            sender.journal.flushed(settled);
        }
    }
}

fn key_of(ready: &Ready) -> Option<MailAttempt> {
    match ready.attempt {
        Attempt::Mail(key) => Some(key),
        Attempt::Delivery(_) => None,
    }
}

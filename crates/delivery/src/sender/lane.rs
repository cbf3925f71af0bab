//! A lane for issues: one connection that sends one letter after another.

use std::sync::Arc;
use std::time::Duration;

use domain::{DeliveryState, MailKind};
use service_runtime::Shutdown;

use super::attempt::{self, Cut, Sent};
use super::desk::{Desk, Letter};
use super::line::Line;
use super::settlement::{complain, without_reply};
use super::{AFTER_FAILURE, Sender};
use crate::route::{LaneGuard, Permit};

/// A lane without a letter looks after its connection this often.
const IDLE: Duration = Duration::from_secs(5);

/// What follows a try.
#[derive(PartialEq, Eq)]
enum Next {
    /// The letter is out of our hands.
    Done,
    /// The connection came late: the reasons are to be read again.
    LookAgain,
}

/// A lane.
pub(super) struct Lane {
    sender: Arc<Sender>,
    desk: Arc<Desk>,
    line: Line,
    shutdown: Shutdown,
}

impl Lane {
    pub(super) fn new(sender: Arc<Sender>, desk: Arc<Desk>, shutdown: Shutdown) -> Self {
        Self {
            sender,
            desk,
            line: Line::default(),
            shutdown,
        }
    }

    /// Works until the process stops.
    pub(super) async fn run(mut self) {
        while let Some(turn) = self.turn().await {
            while turn.may_stay() {
                let letter = tokio::select! {
                    biased;
                    letter = self.desk.next_letter(self.sender.boot_clock.as_ref()) => Some(letter),
                    () = self.shutdown.token().cancelled() => break,
                    () = tokio::time::sleep(IDLE) => None,
                };
                match letter {
                    Some(letter) => self.work(letter).await,
                    None => self.line.rest().await,
                }
            }
        }
        self.line.close().await;
    }

    /// Waits until this lane may be one of the busy ones; none when the process stops. One that is too
    /// many leaves the relay.
    async fn turn(&mut self) -> Option<LaneGuard> {
        if !self.shutdown.is_stopping()
            && let Some(turn) = self.sender.route.try_lane()
        {
            return Some(turn);
        }
        self.line.close().await;
        tokio::select! {
            biased;
            () = self.shutdown.token().cancelled() => None,
            turn = self.sender.route.lane() => Some(turn),
        }
    }

    async fn work(&mut self, mut letter: Letter) {
        if self.shutdown.is_stopping() || !self.sender.may_send_bulk() {
            self.give_back_all(&letter);
            return;
        }
        let issue = letter.key.issue;
        if self.sender.lookout.is_stopped(issue) || !self.sender.route.issue_may_go(issue) {
            self.desk.give_back(&letter);
            return;
        }
        let turn = self.sender.route.permit(MailKind::Issue, &self.shutdown);
        if turn.await != Permit::Go {
            self.give_back_all(&letter);
            return;
        }
        while self.may_still_go(&mut letter).await {
            if self.send(&letter).await != Next::LookAgain {
                break;
            }
        }
    }

    /// The last look: asks the database where the reasons to mail them are old. False where the letter is
    /// settled, or given back.
    async fn may_still_go(&self, letter: &mut Letter) -> bool {
        let sender = &self.sender;
        if !sender.reasons_are_old(letter.ready.subscription, letter.looked_at) {
            return true;
        }
        let asked = sender.boot_clock.now();
        let (key, now) = (letter.key, sender.clock.now());
        match sender
            .deliveries
            .still_wanted(sender.worker, &key, now)
            .await
        {
            Ok(true) => {
                letter.looked_at = asked;
                true
            }
            Ok(false) => {
                let suppressed = without_reply(DeliveryState::Suppressed);
                self.desk.settle(letter.chunk, key, suppressed);
                false
            }
            Err(error) => {
                self.give_back_all(letter);
                complain(&error, "no last look", &self.shutdown).await;
                false
            }
        }
    }

    async fn send(&mut self, letter: &Letter) -> Next {
        let (line, ready) = (&mut self.line, &letter.ready);
        let sent = attempt::send(&self.sender, line, ready, letter.looked_at, &self.shutdown).await;
        match sent {
            Sent::Settled(result) => self.desk.settle(letter.chunk, letter.key, result),
            Sent::Cut(Cut::Old) => return Next::LookAgain,
            Sent::Cut(Cut::Stop) => self.desk.give_back(letter),
            Sent::Cut(why) => {
                tracing::debug!(?why, "cut before the dot");
                self.give_back_all(letter);
                if why == Cut::Journal {
                    crate::pause(AFTER_FAILURE, &self.shutdown).await;
                }
            }
            Sent::RelayAway => self.give_back_all(letter),
        }
        Next::Done
    }

    /// What hinders this letter hinders all of them.
    fn give_back_all(&self, letter: &Letter) {
        self.desk.give_back(letter);
        self.desk.give_back_unsent();
    }
}

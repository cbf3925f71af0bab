//! The way to the relay: whether, how fast and on how many connections mail may take it
//! (`reliability.md` 2.4). There is one relay, so there is one route.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `limits` | what an operator allows |
//! | `breaker` | one pause for all while the relay is away |
//! | `width` | connections: fewer after a 421, more after successes |
//! | `purse` | mails that this worker may send now, and who waits for them |
//! | `refusals` | issues that the relay refuses as such |
//! | `treasurer` | the task that asks the database, whose budgets all workers share |
//!
//! A walk: a lane asks [`Route::may_send`] before it claims, waits in [`Route::lane`] until it may be
//! one of the busy ones, and in [`Route::permit`] before each message, without limits for nothing. What
//! the relay answers it tells by [`Route::told`]: a 421 makes the way narrower, a 4.7.x leaves a mail
//! a minute, a relay that cannot be reached closes it.

mod breaker;
mod limits;
mod purse;
mod refusals;
mod treasurer;
mod width;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, IssueNumber, MailKind, Outcome, Reply, is_in_transaction};
use service_runtime::Shutdown;
use store::{Answers, IssueDesk, RateGrants};
use tokio::sync::Notify;
use tokio::time::Instant;

use breaker::Breaker;
pub use limits::RouteLimits;
use purse::{Purse, Take};
use refusals::Refusals;
use width::Width;

/// A message waits so long for its turn; then its row goes back, and others may have it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages on one connection after the relay said that it takes no more on this one.
const FEW_MESSAGES: u32 = 10;

/// What [`Route::permit`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// One message may go.
    Go,
    /// The process stops.
    Stopping,
    /// Not in the next seconds: give it back.
    Held,
}

/// The way to the relay, as this worker may use it.
pub(crate) struct Route {
    limits: RouteLimits,
    grants: RateGrants,
    issues: IssueDesk,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Wakes the treasurer.
    wanted: Notify,
    /// Wakes whoever waits for a permit or a lane.
    changed: Notify,
}

struct State {
    breaker: Breaker,
    width: Width,
    /// Lanes that have a [`LaneGuard`].
    lanes: usize,
    held_until: Option<Instant>,
    /// The database does not know of the hold yet.
    hold_is_news: bool,
    /// The database was asked whether there is one: until then nothing goes, since the last process may
    /// have been told to slow down.
    was_looked: bool,
    /// The relay counts recipients on a connection.
    few_messages: bool,
    purse: Purse,
    answers: Answers,
    refusals: Refusals,
    /// Issues to hold.
    refused: HashSet<IssueNumber>,
}

impl Route {
    /// The way to the relay for a worker with so many connections for issues.
    pub(crate) fn new(
        limits: RouteLimits,
        connections: usize,
        grants: RateGrants,
        issues: IssueDesk,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let width = Width::new(limits.useful_connections(connections.max(1)));
        Self {
            limits,
            grants,
            issues,
            clock,
            state: Mutex::new(State {
                breaker: Breaker::default(),
                width,
                lanes: 0,
                held_until: None,
                hold_is_news: false,
                was_looked: false,
                few_messages: false,
                purse: Purse::default(),
                answers: Answers::default(),
                refusals: Refusals::default(),
                refused: HashSet::new(),
            }),
            wanted: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// Whether mail of this kind may be sent in the next seconds: the relay is there, and there is
    /// budget. Nothing should be claimed otherwise.
    pub(crate) fn may_send(&self, kind: MailKind, now: Instant) -> bool {
        let state = self.state();
        !state.breaker.is_closed(now)
            && (!state.is_limited(&self.limits, now) || !state.purse.is_closed(is_bulk(kind), now))
    }

    /// Waits until one message of this kind may go. Without limits that is at once. May be dropped at
    /// any time.
    pub(crate) async fn permit(&self, kind: MailKind, shutdown: &Shutdown) -> Permit {
        let bulk = is_bulk(kind);
        let mut waiting: Option<Waiting<'_>> = None;
        let mut until = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = Instant::now();
            let until = *until.get_or_insert(now + PATIENCE);
            {
                let mut state = self.state();
                if state.breaker.is_closed(now) {
                    return Permit::Held;
                }
                if !state.is_limited(&self.limits, now) {
                    return Permit::Go;
                }
                match state.purse.take(bulk, now) {
                    Take::Taken => return Permit::Go,
                    Take::Closed => return Permit::Held,
                    Take::Empty if now >= until => return Permit::Held,
                    Take::Empty if waiting.is_none() => state.purse.wait(bulk),
                    Take::Empty => {}
                }
            }
            if waiting.is_none() {
                waiting = Some(Waiting { route: self, bulk });
                metrics::counter!("letterbox_route_rate_limit_waits_total").increment(1);
                self.wanted.notify_one();
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(until) => {}
                () = shutdown.token().cancelled() => return Permit::Stopping,
            }
        }
    }

    /// How many of `most` recipients of issues the worker should have claimed: what it may send in a
    /// second.
    pub(crate) fn room(&self, most: usize) -> usize {
        if self.state().is_held(Instant::now()) {
            most.min(1)
        } else {
            self.limits.room(most)
        }
    }

    /// How many messages of `most` a connection may carry.
    pub(crate) fn messages(&self, most: u32) -> u32 {
        if self.state().few_messages {
            most.min(FEW_MESSAGES)
        } else {
            most
        }
    }

    /// Waits until one more lane may be busy. May be dropped at any time. A lane that has to wait
    /// should close its connection first: see [`Self::try_lane`].
    pub(crate) async fn lane(self: &Arc<Self>) -> LaneGuard {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(lane) = self.try_lane() {
                return lane;
            }
            changed.await;
        }
    }

    /// A lane, where one more may be busy now.
    pub(crate) fn try_lane(self: &Arc<Self>) -> Option<LaneGuard> {
        let mut state = self.state();
        if state.lanes >= state.width.get() {
            return None;
        }
        state.lanes += 1;
        drop(state);
        Some(LaneGuard(Arc::clone(self)))
    }

    /// Whether a connection may be tried. After a pause of the breaker one caller is let through, and
    /// it has to report by [`Self::connected`] or [`Self::told`].
    pub(crate) fn may_connect(&self, now: Instant) -> bool {
        self.state().breaker.may_try(now)
    }

    /// A connection stands.
    pub(crate) fn connected(&self) {
        self.state().breaker.connected();
    }

    /// What became of a message, or of a connection ([`Outcome::NotSent`]).
    pub(crate) fn told(&self, kind: MailKind, outcome: &Outcome, now: Instant) {
        let mut state = self.state();
        match outcome {
            Outcome::NotSent(reached) => {
                // What broke off within a transaction may be that one mail's doing: everybody
                // else's must not wait for it.
                if !is_in_transaction(reached) {
                    state.breaker.failed(reached, now);
                }
                state.width.halve(now);
            }
            Outcome::InDoubt => state.width.halve(now),
            Outcome::CannotDeliver(_) => {}
            Outcome::Accepted | Outcome::Rejected(_) => {
                state.breaker.succeeded();
                state.answers.all += 1;
                if is_bulk(kind) && state.width.succeeded() {
                    drop(state);
                    self.changed.notify_waiters();
                    return self.show();
                }
                return;
            }
            Outcome::Deferred(reply) => {
                state.breaker.succeeded();
                state.answers.all += 1;
                state.deferred(*reply, now);
            }
        }
        let news = state.hold_is_news;
        drop(state);
        if news {
            self.wanted.notify_one();
        }
        self.show();
    }

    /// What became of a recipient's copy of an issue: where the relay refuses the issue as such, it is
    /// held.
    pub(crate) fn told_of_issue(&self, issue: IssueNumber, outcome: &Outcome) {
        let mut state = self.state();
        if state.refusals.told(issue, outcome) {
            state.refused.insert(issue);
            drop(state);
            self.wanted.notify_one();
        }
    }

    /// False from the refusal that was one too many until the database holds the issue.
    pub(crate) fn issue_may_go(&self, issue: IssueNumber) -> bool {
        let state = self.state();
        state.refused.is_empty() || !state.refused.contains(&issue)
    }

    /// Tells the metrics.
    fn show(&self) {
        let (away, width) = {
            let state = self.state();
            let held = state.is_held(Instant::now());
            (held || state.breaker.is_failing(), state.width.get())
        };
        metrics::gauge!("letterbox_route_hold").set(if away { 1.0 } else { 0.0 });
        metrics::gauge!("letterbox_route_connections")
            .set(f64::from(u32::try_from(width).unwrap_or(u32::MAX)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_held(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Whether messages need a permit from the database.
    fn is_limited(&self, limits: &RouteLimits, now: Instant) -> bool {
        !limits.are_none() || self.is_held(now) || !self.was_looked
    }

    /// Draws the consequences of a 4xx.
    fn deferred(&mut self, reply: Reply, now: Instant) {
        if reply.code == 421 {
            self.width.halve(now);
        }
        match reply.enhanced {
            Some([4, 7, _]) => {
                self.answers.throttled += 1;
                self.hold_is_news = true;
                self.hold(treasurer::HOLD, now);
            }
            Some([4, 5, 3]) if reply.code == 452 => self.few_messages = true,
            _ => {}
        }
    }

    /// From now on a mail a minute, on one connection.
    fn hold(&mut self, rest: Duration, now: Instant) {
        if !self.is_held(now) {
            tracing::warn!("the relay throttles us: one mail a minute until it stops to");
            self.purse.empty();
        }
        self.width.narrow();
        self.held_until = Some(now + rest);
    }
}

/// Makes a lane one of the busy ones; another may follow when it is dropped.
pub(crate) struct LaneGuard(Arc<Route>);

impl LaneGuard {
    /// Whether there are not too many: when the way has become narrower, one lane after the other
    /// should finish the message in its hands and drop its guard.
    pub(crate) fn may_stay(&self) -> bool {
        let state = self.0.state();
        state.lanes <= state.width.get()
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.0.state().lanes -= 1;
        self.0.changed.notify_waiters();
    }
}

/// Counts one who waits for a permit.
struct Waiting<'a> {
    route: &'a Route,
    bulk: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.route.state().purse.wait_no_more(self.bulk);
    }
}

fn is_bulk(kind: MailKind) -> bool {
    kind == MailKind::Issue
}

//! The task that asks the database: nothing else of the route does, so that whoever waits for a permit
//! can stop waiting at any moment.

use std::sync::Arc;
use std::time::Duration;

use domain::IssueNumber;
use service_runtime::Shutdown;
use store::{Answers, Ask, DailyCap, HoldReason, StoreError};
use tokio::time::Instant;

use super::{Route, State};

/// A hold of which the database was not told yet.
pub(super) const HOLD: Duration = Duration::from_mins(30);
/// Whether another worker was throttled is looked at this often.
const LOOK: Duration = Duration::from_secs(5);
/// A worker whose budget is shared with others asks no more often than this.
const BREATH: Duration = Duration::from_millis(5);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl Route {
    /// Works until the process stops.
    pub(crate) async fn run(self: Arc<Self>, shutdown: &Shutdown) {
        self.show();
        let mut look_at = Instant::now();
        while !shutdown.is_stopping() {
            if let Err(error) = self.tell(Some(Instant::now())).await {
                self.failed(&error);
            }
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK;
                if let Err(error) = self.look().await {
                    self.failed(&error);
                }
            }
            for bulk in [false, true] {
                if let Err(error) = self.ask(bulk).await {
                    self.failed(&error);
                    self.state()
                        .purse
                        .close(bulk, Instant::now() + AFTER_FAILURE);
                }
            }
            let next = self.state().next(look_at, Instant::now());
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.wanted.notified() => {}
                () = shutdown.token().cancelled() => {}
            }
        }
        if let Err(error) = self.tell(None).await {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &StoreError) {
        let _ = self;
        if !error.is_temporary() {
            tracing::error!(%error, "the budget of the relay cannot be read");
        }
    }

    /// Says what is new: a hold, issues to hold, what was not used by `now`, the day's answers.
    async fn tell(&self, now: Option<Instant>) -> Result<(), StoreError> {
        // Taken where it is told, so that an error before leaves it for the next time. The hold comes
        // first, for every worker has to know of it.
        let is_new = std::mem::take(&mut self.state().hold_is_news);
        if is_new && let Err(error) = self.grants.hold().await {
            self.state().hold_is_news = true;
            return Err(error);
        }
        let refused: Vec<IssueNumber> = self.state().refused.iter().copied().collect();
        for issue in refused {
            tracing::error!(
                issue = issue.0,
                "the relay refuses too many mails of an issue: held"
            );
            self.issues.hold(issue, HoldReason::Refusals).await?;
            metrics::counter!("letterbox_issue_held_total", "reason" => HoldReason::Refusals.label())
                .increment(1);
            self.state().refused.remove(&issue);
        }
        let unused = self.state().purse.unused(now);
        if !self.limits.by_day() {
            return Ok(());
        }
        for (leased_at, mails) in unused {
            self.grants.give_back(mails, leased_at).await?;
        }
        let today = self.clock.now();
        let answers = std::mem::take(&mut self.state().answers);
        if answers != Answers::default() {
            self.grants.report(answers, today).await?;
        }
        Ok(())
    }

    /// Looks whether the relay is to be left in peace, whoever found that out.
    async fn look(&self) -> Result<(), StoreError> {
        let held = self.grants.held().await?;
        self.hold_for(held);
        self.changed.notify_waiters();
        self.show();
        Ok(())
    }

    fn hold_for(&self, held: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.state();
        state.was_looked = true;
        match held {
            Some(rest) => state.hold(rest, now),
            None if !state.hold_is_news && state.held_until.take().is_some() => {
                tracing::info!("the relay is no longer left in peace");
                state.purse.empty();
                drop(state);
                self.changed.notify_waiters();
            }
            None => {}
        }
    }

    /// Asks for those who wait.
    async fn ask(&self, bulk: bool) -> Result<(), StoreError> {
        let now = Instant::now();
        let ask = {
            let state = self.state();
            let Some((waiting, not_before)) = state.purse.wanted(bulk) else {
                return Ok(());
            };
            if not_before.is_some_and(|at| now < at) || !state.is_limited(&self.limits, now) {
                return Ok(());
            }
            let mails = if state.is_held(now) {
                1
            } else if bulk {
                waiting.max(self.limits.lease(state.purse.left_of_day))
            } else {
                waiting
            };
            Ask {
                mails,
                bulk,
                pace: self.limits.pace(),
                day: self.limits.by_day().then_some(DailyCap {
                    most: self.limits.per_day.map(u64::from),
                    warm_up: self.limits.warm_up,
                }),
            }
        };
        let today = self.clock.now();
        let mut lease = self.grants.lease(&ask, today).await?;
        self.hold_for(lease.held);
        if lease.mails > 0 {
            lease.again = None;
        } else {
            lease.again = lease.again.map(|again| again.max(BREATH));
        }
        self.state().purse.put(bulk, &lease, today, Instant::now());
        self.changed.notify_waiters();
        Ok(())
    }
}

impl State {
    /// When there is something to do, if nobody asks before.
    fn next(&self, look_at: Instant, now: Instant) -> Instant {
        let asked = [false, true]
            .into_iter()
            .filter_map(|bulk| self.purse.wanted(bulk))
            .map(|(_, not_before)| not_before.unwrap_or(now + BREATH));
        asked
            .chain(self.purse.unused_at())
            .chain([look_at])
            .min()
            .unwrap_or(look_at)
    }
}

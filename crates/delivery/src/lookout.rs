//! The newest stops, the issues that were stopped and the barrier, from memory, so that they can be
//! asked before every message.
//!
//! Several times a second the ledger's tail and the barrier are read. A view older than two seconds is no
//! view: bulk waits until the database answers (`reliability.md` 1.9).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, IssueNumber, SubscriptionId};
use service_runtime::Shutdown;
use store::{Barrier, DeadLetters, DeliveryStore, StoreError};
use tokio::time::Instant;

use crate::boot_clock::{BootClock, Moment};

/// A mail to somebody who left may still go out for so long (`reliability.md` 8.2, F31).
const EVERY: Duration = Duration::from_millis(150);
const FRESH: Duration = Duration::from_secs(2);
/// A stop older than this was seen by every claim that is still in hand.
const MEMORY: Duration = Duration::from_mins(15);
/// The reasons of a closed barrier, for the metric.
const REASONS: [&str; 5] = [
    DEAD_LETTER,
    "silent_spool",
    "waiting_stop",
    RESTORED,
    "blind",
];
const RESTORED: &str = "restored";
const DEAD_LETTER: &str = "dead_letter";
/// From acceptance by a web role, whose clock may be another, to our knowing (`privacy.md` EML-07).
const EFFECT: &str = "letterbox_unsubscribe_effect_seconds";
/// How often it is said that somebody has to look at dead letters.
const REMIND: Duration = Duration::from_mins(1);
/// How often dead letters are counted.
const COUNT: Duration = Duration::from_secs(5);

/// What the last looks saw.
#[derive(Debug)]
pub(crate) struct Lookout {
    clock: Arc<dyn BootClock>,
    view: Mutex<View>,
}

#[derive(Debug, Default)]
struct View {
    looked_at: Option<Moment>,
    barrier: Option<Barrier>,
    seq: Option<u64>,
    stops: HashMap<SubscriptionId, Moment>,
    unnamed: Option<Moment>,
    issues: HashSet<IssueNumber>,
}

impl Lookout {
    /// One that has not looked yet. What it saw before the machine slept is old.
    pub(crate) fn new(clock: Arc<dyn BootClock>) -> Self {
        Self {
            clock,
            view: Mutex::default(),
        }
    }

    /// Whether bulk may be sent, and if not, why.
    pub(crate) fn bulk(&self) -> Barrier {
        let view = self.view();
        if !view.is_fresh(self.now()) {
            return Barrier::Closed("blind");
        }
        view.barrier.unwrap_or(Barrier::Closed("blind"))
    }

    /// Whether the database went back and is not made up for: no mail of any kind may be sent.
    pub(crate) fn is_restoring(&self) -> bool {
        self.view().barrier == Some(Barrier::Closed(RESTORED))
    }

    /// Whether a stop of this subscription, or one that names none, was seen after `since`, or may
    /// have been missed.
    pub(crate) fn changed_since(&self, subscription: SubscriptionId, since: Moment) -> bool {
        let view = self.view();
        !view.is_fresh(self.now())
            || view.unnamed.is_some_and(|seen| seen >= since)
            || view
                .stops
                .get(&subscription)
                .is_some_and(|seen| *seen >= since)
    }

    /// Whether a stop that names no subscription was seen after `since`, or any may have been missed: for a
    /// confirmation, whose reader has none yet.
    pub(crate) fn unnamed_since(&self, since: Moment) -> bool {
        let view = self.view();
        !view.is_fresh(self.now()) || view.unnamed.is_some_and(|seen| seen >= since)
    }

    /// Whether an operator, or a safety rule, stopped this issue.
    pub(crate) fn is_stopped(&self, issue: IssueNumber) -> bool {
        self.view().issues.contains(&issue)
    }

    /// How long ago the database last answered; none before it first did.
    pub(crate) fn age(&self) -> Option<Duration> {
        let looked_at = self.view().looked_at?;
        Some(self.now().since(looked_at))
    }

    /// Now, by the clock that it goes by.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Looks until the process stops.
    pub(crate) async fn run(
        &self,
        store: &DeliveryStore,
        dead: &DeadLetters,
        clock: &dyn Clock,
        shutdown: &Shutdown,
    ) {
        metrics::describe_histogram!(
            EFFECT,
            metrics::Unit::Seconds,
            "Time from the acceptance of a stop to the moment from which this process mails the person no more"
        );
        let mut signs = Signs::default();
        while !shutdown.is_stopping() {
            if let Err(error) = self.look(store, clock).await
                && !error.is_temporary()
            {
                tracing::error!(%error, "the newest stops cannot be read: bulk waits");
            }
            signs.count(dead).await;
            signs.show(self.bulk(), Instant::now());
            crate::pause(EVERY, shutdown).await;
        }
    }

    /// One look.
    pub(crate) async fn look(
        &self,
        store: &DeliveryStore,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        // What commits after this moment may be missing from the answer.
        let asked = self.now();
        let barrier = store.barrier(clock.now()).await?;
        let issues = store.stopped_issues().await?.into_iter().collect();
        let mut seq = self.view().seq;
        let mut subscriptions = Vec::new();
        let mut unnamed = false;
        let mut accepted = Vec::new();
        loop {
            let news = store.stops_since(seq).await?;
            subscriptions.extend(news.subscriptions);
            unnamed |= news.unnamed;
            accepted.extend(news.accepted);
            // a look that is not at the end of the ledger is no look
            let at_the_end = seq.is_none() || seq == Some(news.seq);
            seq = Some(news.seq);
            if at_the_end {
                break;
            }
        }
        let answered = self.now();
        let mut view = self.view();
        view.barrier = Some(barrier);
        view.issues = issues;
        view.seq = seq;
        for subscription in subscriptions {
            view.stops.insert(subscription, answered);
        }
        if unnamed {
            view.unnamed = Some(answered);
        }
        view.stops.retain(|_, seen| answered.since(*seen) < MEMORY);
        view.looked_at = Some(asked);
        drop(view);
        let in_force = clock.now();
        for accepted in accepted {
            metrics::histogram!(EFFECT).record(in_force.since(accepted).as_secs_f64());
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn has_looked(&self) {
        self.view().looked_at = Some(self.now());
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    fn is_fresh(&self, now: Moment) -> bool {
        self.looked_at.is_some_and(|at| now.since(at) < FRESH)
    }
}

/// What an operator sees of it.
#[derive(Debug, Default)]
struct Signs {
    closed: Option<&'static str>,
    reminded: Option<Instant>,
    counted: Option<Instant>,
}

impl Signs {
    /// Says that the barrier opened or closed, and again and again if only somebody can open it.
    fn show(&mut self, barrier: Barrier, now: Instant) {
        let reason = match barrier {
            Barrier::Open => None,
            Barrier::Closed(reason) => Some(reason),
        };
        for name in REASONS {
            let value = f64::from(u8::from(reason == Some(name)));
            metrics::gauge!("letterbox_barrier_closed", "reason" => name).set(value);
        }
        if reason != self.closed {
            if let Some(reason) = reason {
                tracing::info!(reason, "bulk waits");
            } else {
                tracing::info!("bulk may go");
            }
            self.closed = reason;
        }
        if reason == Some(DEAD_LETTER) && self.is_reminder_due(now) {
            self.reminded = Some(now);
            tracing::warn!(
                "a stop could not be read or applied, so nobody can say whose it is: bulk waits until \
                 somebody has looked at it: `letterbox dead-letters list`, then `letterbox dead-letters seen`"
            );
        }
    }

    fn is_reminder_due(&self, now: Instant) -> bool {
        self.reminded
            .is_none_or(|last| now.duration_since(last) >= REMIND)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and this number is small"
    )]
    async fn count(&mut self, dead: &DeadLetters) {
        if self.counted.is_some_and(|last| last.elapsed() < COUNT) {
            return;
        }
        self.counted = Some(Instant::now());
        // without an answer the gauge stands still
        if let Ok(number) = dead.unseen().await {
            metrics::gauge!("letterbox_dead_requests").set(number as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot_clock::SleptClock;

    #[test]
    fn a_stale_view_stops_bulk_and_trusts_nobody() {
        let clock = Arc::new(SleptClock::default());
        let lookout = Lookout::new(clock.clone());
        let [left, stayed] = [1, 2].map(|byte| SubscriptionId::new([byte; 16]));
        let start = lookout.now();
        assert_eq!(lookout.bulk(), Barrier::Closed("blind"));
        {
            let mut view = lookout.view();
            view.looked_at = Some(start);
            view.barrier = Some(Barrier::Open);
            view.stops.insert(left, start);
        }
        assert_eq!(lookout.bulk(), Barrier::Open);
        assert!(lookout.changed_since(left, start));
        assert!(!lookout.changed_since(stayed, start));
        clock.sleep(Duration::from_millis(1));
        let after = lookout.now();
        assert!(!lookout.changed_since(left, after), "read again since then");
        assert!(!lookout.unnamed_since(start));
        lookout.view().unnamed = Some(after);
        assert!(lookout.changed_since(stayed, start));
        assert!(lookout.unnamed_since(start));
        clock.sleep(FRESH);
        assert_eq!(lookout.bulk(), Barrier::Closed("blind"), "after a sleep");
        assert!(lookout.changed_since(stayed, lookout.now()));
    }

    #[test]
    fn who_has_to_look_at_dead_letters_is_reminded_every_minute() {
        let mut signs = Signs::default();
        let start = Instant::now();
        assert!(signs.is_reminder_due(start));
        signs.show(Barrier::Closed("waiting_stop"), start);
        assert!(signs.is_reminder_due(start), "that passes by itself");
        signs.show(Barrier::Closed(DEAD_LETTER), start);
        assert!(!signs.is_reminder_due(start + REMIND / 2));
        assert!(signs.is_reminder_due(start + REMIND));
    }
}

//! One pause for all when the relay is away: no row is touched, and the log has one line when it
//! begins and one when it ends.
//!
//! One that refuses us is asked again every minute (`reliability.md` 2.4): more often would look like
//! an attack to it. One that cannot be reached is tried every ten seconds, so that mail flows again
//! within seconds of its start.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE_UNREACHED: Duration = Duration::from_secs(10);

/// The state of the way to the relay.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Route>);

#[derive(Debug, Default)]
struct Route {
    failures: u32,
    closed_until: Option<Instant>,
    probing: bool,
}

impl Breaker {
    /// Whether a connection may be tried. After a pause one caller is let through, and it has to
    /// report with [`Self::connected`] or [`Self::failed`].
    pub(crate) fn may_try(&self, now: Instant) -> bool {
        let mut route = self.route();
        match route.closed_until {
            None => true,
            Some(until) if now < until || route.probing => false,
            Some(_) => {
                route.probing = true;
                true
            }
        }
    }

    /// Whether nothing should be claimed: the relay is away, or one caller is finding out. Who
    /// claimed meanwhile would only have to give it back, again and again.
    pub(crate) fn is_closed(&self, now: Instant) -> bool {
        let route = self.route();
        route.probing || route.closed_until.is_some_and(|until| now < until)
    }

    /// A connection stands. Everybody may try now; what the relay makes of a mail is still to be
    /// seen, so the next failure pauses for longer.
    pub(crate) fn connected(&self) {
        let mut route = self.route();
        route.closed_until = None;
        route.probing = false;
    }

    /// The relay gave an answer about a recipient.
    pub(crate) fn succeeded(&self) {
        let mut route = self.route();
        if route.failures > 0 {
            tracing::info!(failures = route.failures, "the relay answers again");
            metrics::gauge!("letterbox_route_hold").set(0.0);
        }
        *route = Route::default();
    }

    /// The relay was not reached, or refused us before any recipient.
    pub(crate) fn failed(&self, stage: &'static str, now: Instant) {
        let mut route = self.route();
        if route.failures == 0 {
            tracing::warn!(stage, "the relay is away: mail waits and loses no attempt");
        }
        metrics::gauge!("letterbox_route_hold").set(1.0);
        let longest = if stage == "connect" {
            LONGEST_PAUSE_UNREACHED
        } else {
            LONGEST_PAUSE
        };
        let pause = FIRST_PAUSE * 2u32.pow(route.failures.min(6));
        route.failures = route.failures.saturating_add(1);
        route.closed_until = Some(now + pause.min(longest));
        route.probing = false;
    }

    fn route(&self) -> MutexGuard<'_, Route> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of eight pauses in a row, in seconds.
    fn pauses(breaker: &Breaker, stage: &'static str, now: &mut Instant) -> [u64; 8] {
        std::array::from_fn(|_| {
            assert!(breaker.may_try(*now));
            breaker.failed(stage, *now);
            let begin = *now;
            while breaker.is_closed(*now) {
                assert!(!breaker.may_try(*now));
                *now += Duration::from_millis(500);
            }
            (*now - begin).as_secs()
        })
    }

    #[test]
    fn pauses_grow_to_a_minute_and_let_one_probe_through() {
        let breaker = Breaker::default();
        let mut now = Instant::now();
        let refused = pauses(&breaker, "auth", &mut now);
        assert_eq!(refused, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(breaker.may_try(now));
        assert!(!breaker.may_try(now), "one probe at a time");
        assert!(breaker.is_closed(now), "and nothing is claimed meanwhile");
        breaker.connected();
        assert!(breaker.may_try(now) && breaker.may_try(now));
        breaker.failed("mail", now);
        assert!(
            breaker.is_closed(now + Duration::from_secs(59)),
            "it had only connected"
        );
        breaker.succeeded();
        assert!(!breaker.is_closed(now));
    }

    #[test]
    fn a_relay_that_comes_back_is_found_within_ten_seconds() {
        let mut now = Instant::now();
        let unreached = pauses(&Breaker::default(), "connect", &mut now);
        assert_eq!(unreached, [1, 2, 4, 8, 10, 10, 10, 10]);
    }
}

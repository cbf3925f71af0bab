//! One pause for all when the relay is away: no row is touched, and the log has one line when it
//! begins and one when it ends (`reliability.md` 2.4).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

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

    /// Whether nothing should be claimed: the relay is away.
    pub(crate) fn is_closed(&self, now: Instant) -> bool {
        self.route().closed_until.is_some_and(|until| now < until)
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
        let pause = FIRST_PAUSE * 2u32.pow(route.failures.min(6));
        route.failures = route.failures.saturating_add(1);
        route.closed_until = Some(now + pause.min(LONGEST_PAUSE));
        route.probing = false;
    }

    fn route(&self) -> MutexGuard<'_, Route> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_let_one_probe_through() {
        let breaker = Breaker::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(breaker.may_try(now));
            breaker.failed("connect", now);
            let begin = now;
            while breaker.is_closed(now) {
                assert!(!breaker.may_try(now));
                now += Duration::from_millis(500);
            }
            pauses.push((now - begin).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(breaker.may_try(now));
        assert!(!breaker.may_try(now), "one probe at a time");
        breaker.connected();
        assert!(breaker.may_try(now) && breaker.may_try(now));
        breaker.failed("MAIL", now);
        assert!(
            breaker.is_closed(now + Duration::from_secs(59)),
            "it had only connected"
        );
        breaker.succeeded();
        assert!(!breaker.is_closed(now));
    }
}

//! One pause for all while the relay is away: no row is touched, and the log has one line when it
//! begins and one when it ends.
//!
//! The first failures pause for 1, 2, 4 and 8 seconds, so that a relay that was restarted is found at
//! once; from the fifth in a row on it is asked once a minute (`reliability.md` 2.4): more often would
//! look like an attack to one that refuses us.

use std::time::Duration;

use tokio::time::Instant;

/// From so many failures in a row on the pause is the long one.
const OPEN_AFTER: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONG_PAUSE: Duration = Duration::from_mins(1);

/// Whether the relay can be reached, as far as we know.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    closed_until: Option<Instant>,
    probing: bool,
}

impl Breaker {
    /// Whether a connection may be tried. After a pause one caller is let through, and it has to
    /// report with [`Self::connected`] or [`Self::failed`].
    pub(super) fn may_try(&mut self, now: Instant) -> bool {
        match self.closed_until {
            None => true,
            Some(until) if now < until || self.probing => false,
            Some(_) => {
                self.probing = true;
                true
            }
        }
    }

    /// Whether nothing should be claimed: the relay is away, or one caller is finding out. Who
    /// claimed meanwhile would only have to give it back, again and again.
    pub(super) fn is_closed(&self, now: Instant) -> bool {
        self.probing || self.closed_until.is_some_and(|until| now < until)
    }

    /// Whether it failed and has not answered about a recipient since.
    pub(super) const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// A connection stands. Everybody may try now; what the relay makes of a mail is still to be
    /// seen, so the next failure pauses for longer.
    pub(super) const fn connected(&mut self) {
        self.closed_until = None;
        self.probing = false;
    }

    /// The relay gave an answer about a recipient.
    pub(super) fn succeeded(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the relay answers again");
            *self = Self::default();
        }
    }

    /// The relay was not reached, or refused us before any recipient. What other connections find in
    /// the same moment is the same failure.
    pub(super) fn failed(&mut self, stage: &'static str, now: Instant) {
        if !self.probing && self.closed_until.is_some_and(|until| now < until) {
            return;
        }
        if self.failures == 0 {
            tracing::warn!(stage, "the relay is away: mail waits and loses no attempt");
        }
        self.failures = self.failures.saturating_add(1);
        let pause = if self.failures < OPEN_AFTER {
            FIRST_PAUSE * 2u32.pow(self.failures - 1)
        } else {
            LONG_PAUSE
        };
        self.closed_until = Some(now + pause);
        self.probing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_make_a_minute_and_then_one_probe() {
        let mut breaker = Breaker::default();
        let mut now = Instant::now();
        let pauses: [u64; 7] = std::array::from_fn(|_| {
            assert!(breaker.may_try(now));
            breaker.failed("connect", now);
            let begin = now;
            while breaker.is_closed(now) {
                assert!(!breaker.may_try(now));
                now += Duration::from_millis(500);
            }
            (now - begin).as_secs()
        });
        assert_eq!(pauses, [1, 2, 4, 8, 60, 60, 60]);
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
        now += Duration::from_mins(1);
        assert!(breaker.may_try(now));
        breaker.connected();
        breaker.succeeded();
        assert!(!breaker.is_closed(now) && !breaker.is_failing());
        breaker.failed("connect", now);
        assert!(!breaker.is_closed(now + Duration::from_secs(1)));
    }

    #[test]
    fn what_all_connections_find_at_once_is_one_failure() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        for _ in 0..10 {
            breaker.failed("connect", now);
        }
        assert!(!breaker.is_closed(now + Duration::from_secs(1)));
    }
}

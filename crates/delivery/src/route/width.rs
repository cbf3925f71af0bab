//! How many connections bulk may keep busy: halved when the relay says that it has too many of us, one
//! more after each run of successes (additive increase, multiplicative decrease).

use std::time::Duration;

use tokio::time::Instant;

/// So many messages in a row must have been answered well for one more connection.
const SUCCESSES: u32 = 20;
/// What all connections are told in one moment is one reason, not ten.
const ONE_REASON: Duration = Duration::from_secs(1);

/// The width of the way to the relay.
#[derive(Debug)]
pub(super) struct Width {
    most: usize,
    now: usize,
    successes: u32,
    narrowed_at: Option<Instant>,
}

impl Width {
    /// As wide as the settings allow.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            now: most,
            successes: 0,
            narrowed_at: None,
        }
    }

    /// How many connections may be busy.
    pub(super) const fn get(&self) -> usize {
        self.now
    }

    /// Whether that is as many as the settings allow.
    pub(super) const fn is_full(&self) -> bool {
        self.now == self.most
    }

    /// A message was answered well. True where there may be one connection more.
    pub(super) const fn succeeded(&mut self) -> bool {
        if self.is_full() {
            return false;
        }
        self.successes += 1;
        if self.successes < SUCCESSES {
            return false;
        }
        self.successes = 0;
        self.now += 1;
        true
    }

    /// The relay said 421, or could not be reached.
    pub(super) fn halve(&mut self, now: Instant) {
        self.successes = 0;
        let same = self
            .narrowed_at
            .is_some_and(|at| now.saturating_duration_since(at) < ONE_REASON);
        if !same {
            self.narrowed_at = Some(now);
            self.now = (self.now / 2).max(1);
        }
    }

    /// One connection, to find out from there.
    pub(super) const fn narrow(&mut self) {
        self.successes = 0;
        self.now = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halved_by_one_reason_and_wider_by_one_after_twenty_successes() {
        let mut width = Width::new(10);
        let mut now = Instant::now();
        for _ in 0..10 {
            width.halve(now);
        }
        assert_eq!(width.get(), 5, "ten connections heard the same");
        for expected in [2, 1, 1] {
            now += ONE_REASON;
            width.halve(now);
            assert_eq!(width.get(), expected);
        }
        let wider = (0..SUCCESSES).filter(|_| width.succeeded()).count();
        assert_eq!((wider, width.get()), (1, 2));
        for _ in 0..SUCCESSES - 1 {
            width.succeeded();
        }
        now += ONE_REASON;
        width.halve(now);
        assert!(!width.succeeded(), "a run that was broken begins anew");
        assert_eq!(width.get(), 1);
        for _ in 0..1000 {
            width.succeeded();
        }
        assert!(width.is_full());
        assert_eq!(width.get(), 10);
    }
}

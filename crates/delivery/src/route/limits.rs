//! What an operator allows the way to the relay, and what follows from it for one worker.

use std::time::Duration;

use domain::Timestamp;
use store::Pace;

/// Mails are leased for so long ahead at the most: what a killed worker wastes.
const LEASE: Duration = Duration::from_millis(100);
/// A budget that nobody used is kept for so long, for bulk and for confirmations each.
const UNUSED: Duration = Duration::from_millis(500);

/// What the relay may be sent, by all workers of an installation together. The default sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteLimits {
    /// Mails a second. At least 1.
    pub per_second: Option<u32>,
    /// Mails a day (UTC). A twentieth of it is kept for confirmations.
    pub per_day: Option<u32>,
    /// The first day of a relay that must get used to us: 500 mails on it, and more from day to day.
    pub warm_up: Option<Timestamp>,
}

impl RouteLimits {
    /// No limit.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            per_second: None,
            per_day: None,
            warm_up: None,
        }
    }

    /// Whether there is none.
    pub(super) const fn are_none(&self) -> bool {
        self.per_second.is_none() && !self.by_day()
    }

    /// Whether mails of a day are counted.
    pub(super) const fn by_day(&self) -> bool {
        self.per_day.is_some() || self.warm_up.is_some()
    }

    /// The rate, as the database grants it.
    pub(super) fn pace(&self) -> Option<Pace> {
        self.per_second.map(|rate| {
            let interval = Duration::from_secs(1) / rate.max(1);
            let unused = interval.max(UNUSED);
            Pace {
                interval,
                unused: unused * 2,
                reserve: unused,
            }
        })
    }

    /// How many mails are leased at once where nobody waits for more.
    pub(super) fn lease(&self, left_of_day: Option<u64>) -> u32 {
        const MOST: u32 = 256;
        let of_day = left_of_day.map_or(MOST, |left| u32::try_from(left / 64).unwrap_or(MOST));
        let of_rate = self.per_second.map_or(MOST, |rate| {
            u32::try_from(u128::from(rate) * LEASE.as_millis() / 1000).unwrap_or(MOST)
        });
        of_day.min(of_rate).clamp(1, MOST)
    }

    /// How many connections of `most` such a rate can keep busy, though each mail take a second.
    pub(super) fn useful_connections(&self, most: usize) -> usize {
        self.per_second.map_or(most, |rate| {
            usize::try_from(rate.max(1)).unwrap_or(most).min(most)
        })
    }

    /// How many of `most` recipients a worker can send in a second.
    pub(super) fn room(&self, most: usize) -> usize {
        self.useful_connections(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_the_default() {
        let none = RouteLimits::default();
        assert!(none.are_none());
        assert_eq!(none.pace(), None);
        assert_eq!(none.room(100), 100);
        assert_eq!(none.useful_connections(10), 10);
    }

    #[test]
    fn a_minute_never_sees_more_than_a_twentieth_above_the_rate() {
        for rate in [1, 2, 3, 10, 50, 1000, 100_000] {
            let limits = RouteLimits {
                per_second: Some(rate),
                ..RouteLimits::default()
            };
            let pace = limits.pace().unwrap();
            let kept = pace.unused.as_secs_f64() / pace.interval.as_secs_f64();
            let most = 60.0 * f64::from(rate) + kept + f64::from(limits.lease(None));
            assert!(most <= 63.0 * f64::from(rate) + 0.01, "{rate}: {most}");
        }
    }

    #[test]
    fn a_slow_rate_keeps_few_rows_in_hand() {
        let slow = RouteLimits {
            per_second: Some(2),
            ..RouteLimits::default()
        };
        assert_eq!(slow.useful_connections(10), 2);
        assert_eq!(slow.room(100), 2);
        assert_eq!(slow.lease(None), 1);
        assert_eq!(slow.lease(Some(0)), 1);
    }
}

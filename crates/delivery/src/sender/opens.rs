//! How many addresses a worker opens in a second: counted, and limited, so that a stolen login to the
//! database does not make a list of addresses out of a running worker at any speed (`privacy.md` 5).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So much of the limit may be used at once.
const BURST: Duration = Duration::from_millis(500);

/// The limit of a worker.
#[derive(Debug)]
pub(crate) struct Opens {
    each: Duration,
    /// When all opened so far would have been opened at the limit's pace.
    paid_until: Mutex<Option<Instant>>,
}

impl Opens {
    /// At most so many in a second; at least one.
    pub(crate) fn new(a_second: u32) -> Self {
        Self {
            each: Duration::from_secs(1) / a_second.max(1),
            paid_until: Mutex::new(None),
        }
    }

    /// Waits until so many may be opened, and counts them.
    pub(super) async fn wait(&self, number: usize) {
        metrics::counter!("letterbox_row_opens_total").increment(number as u64);
        let wait = self.pay(number, Instant::now());
        if !wait.is_zero() {
            metrics::counter!("letterbox_row_opens_delayed_total").increment(number as u64);
            tokio::time::sleep(wait).await;
        }
    }

    fn pay(&self, number: usize, now: Instant) -> Duration {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let mut paid_until = self
            .paid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let from = paid_until.map_or(now, |until| until.max(now));
        let until = from + self.each * number;
        *paid_until = Some(until);
        (until - now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_opened_in_any_stretch() {
        let opens = Opens::new(100);
        let start = Instant::now();
        assert_eq!(opens.pay(50, start), Duration::ZERO, "a burst");
        assert_eq!(opens.pay(10, start), Duration::from_millis(100));
        assert_eq!(opens.pay(100, start), Duration::from_millis(1100));
        let later = start + Duration::from_secs(10);
        assert_eq!(opens.pay(50, later), Duration::ZERO, "nothing is saved up");
        assert_eq!(opens.pay(100, later), Duration::from_secs(1));
    }
}

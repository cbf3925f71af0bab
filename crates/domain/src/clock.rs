//! Time and randomness as parameters: no code below the binary reads a wall clock or the system's
//! random source by itself, so tests decide both.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A moment, in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(u64);

const DAY_MS: u64 = 86_400_000;

impl Timestamp {
    /// The moment this many milliseconds after 1970 began.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Days since 1970 in UTC, as in return paths.
    #[must_use]
    pub const fn utc_day(self) -> u64 {
        self.0 / DAY_MS
    }

    /// Minutes since 1970, rounded up: the expiry in a token is this of (sending time + life).
    #[must_use]
    pub const fn minutes_rounded_up(self) -> u64 {
        self.0.div_ceil(60_000)
    }

    /// The moment at which a day begins in UTC; none where the text is no day like 2026-11-24.
    #[must_use]
    pub fn of_day(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let year = parts.next()?.parse::<i32>().ok()?;
        let month = parts.next()?.parse::<u8>().ok()?;
        let day = parts.next()?.parse().ok()?;
        let date = time::Date::from_calendar_date(year, month.try_into().ok()?, day).ok()?;
        let begin = date.midnight().assume_utc();
        (parts.next().is_none() && year >= 1970).then(|| Self::from_date_time(begin))
    }

    /// This moment and a duration later.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// This moment and a duration earlier; never before 1970.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero where it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The same moment for calendars and the database; none after the year 9999.
    #[must_use]
    pub fn to_date_time(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok()
    }

    /// The moment of a calendar date and time; the part below a millisecond is cut off.
    #[must_use]
    pub fn from_date_time(date_time: OffsetDateTime) -> Self {
        Self(u64::try_from(date_time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Whether it should show the time of day, so that one that shows another is wrong. Not where a test
    /// moves it.
    fn shows_the_time_of_day(&self) -> bool {
        true
    }
}

/// Gives random bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);

    /// Sixteen random bytes, the stuff of ids.
    fn sixteen(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves it forward.
    pub fn advance(&self, duration: std::time::Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets it, back as well as forward.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn shows_the_time_of_day(&self) -> bool {
        false
    }
}

/// Bytes that count upwards: all different, the same in each run. For tests only.
#[derive(Debug, Default)]
pub struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let next = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            chunk.copy_from_slice(&next.to_be_bytes()[8 - chunk.len()..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_expiry_is_rounded_up_to_whole_minutes() {
        assert_eq!(Timestamp::from_millis(60_000).minutes_rounded_up(), 1);
        assert_eq!(Timestamp::from_millis(60_001).minutes_rounded_up(), 2);
    }

    #[test]
    fn a_moment_survives_the_calendar() {
        let moment = Timestamp::from_millis(1_795_500_001_617);
        let date_time = moment.to_date_time().unwrap();
        assert_eq!(Timestamp::from_date_time(date_time), moment);
        assert_eq!(moment.utc_day(), 20_781);
    }

    #[test]
    fn a_day_is_read_as_people_write_it() {
        let day = Timestamp::of_day("2026-11-24").unwrap();
        assert_eq!((day.utc_day(), day.as_millis() % DAY_MS), (20_781, 0));
        for wrong in [
            "",
            "2026-11",
            "2026-02-30",
            "24.11.2026",
            "2026-11-24-1",
            "1969-01-01",
        ] {
            assert_eq!(Timestamp::of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_never_go_below_zero() {
        let early = Timestamp::from_millis(5);
        assert_eq!(early.since(Timestamp::from_millis(9)), Duration::ZERO);
        assert_eq!(
            early.minus(Duration::from_secs(1)),
            Timestamp::from_millis(0)
        );
    }
}

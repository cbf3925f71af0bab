//! Moments by a clock that goes on while the machine sleeps, and that nobody can set.
//!
//! What a worker may believe depends on how long ago it was true. [`std::time::Instant`] stands still in a
//! suspended machine, so that one that wakes would think its last heartbeat fresh while others have taken
//! it for dead (`reliability.md` 1.7).

use std::fmt::Debug;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment of this boot of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// How long after `earlier` it is; zero where it is not.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// So much later.
    #[cfg(test)]
    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

/// Tells the time since the machine started.
pub(crate) trait BootClock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Moment;
}

/// The machine's own.
#[derive(Debug)]
pub(crate) struct MachineClock;

impl BootClock for MachineClock {
    fn now(&self) -> Moment {
        // a machine without it could not tell what is old: a panic stops the process, and nothing is sent
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has it since 2.6.39");
        Moment(time.into())
    }
}

/// One that a test puts forward, as a sleep of the machine does.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct SleptClock(std::sync::Mutex<Duration>);

#[cfg(test)]
impl SleptClock {
    /// The machine sleeps for so long.
    pub(crate) fn sleep(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

#[cfg(test)]
impl BootClock for SleptClock {
    fn now(&self) -> Moment {
        MachineClock.now().plus(*self.0.lock().unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_and_is_the_machines() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let now = MachineClock.now();
        let apart = (now.0.as_secs_f64() - seconds).abs();
        assert!(
            apart < 60.0,
            "{apart} s from /proc/uptime, which counts sleep too"
        );
        assert!(MachineClock.now() >= now);
        assert_eq!(now.since(now.plus(Duration::from_secs(1))), Duration::ZERO);
    }
}

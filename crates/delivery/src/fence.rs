//! Whether this worker may send at all: not without a fresh sign of life (`reliability.md` 1.7).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_runtime::admin::CheckResult;
use store::Timeline;

use crate::boot_clock::{BootClock, Moment};

/// A worker whose last committed heartbeat is this old starts no mail and ends none: when it is twice as
/// old others may call it dead, and decide on what it had in hand.
const FENCE: Duration = Duration::from_secs(30);

/// The fence.
#[derive(Debug)]
pub(crate) struct Fence {
    clock: Arc<dyn BootClock>,
    timeline: Timeline,
    standing: Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    last_beat: Option<Moment>,
    locked: bool,
    restoring: bool,
    /// The history of the database with which this worker has made its peace.
    settled_timeline: u32,
    /// When it last let nothing through, as far as anybody asked.
    shut_at: Option<Moment>,
}

impl Fence {
    /// One that lets nothing through before the first heartbeat, nor while the database goes by another
    /// history than this one.
    pub(crate) fn new(clock: Arc<dyn BootClock>, timeline: Timeline, settled: u32) -> Self {
        Self {
            clock,
            timeline,
            standing: Mutex::new(Standing {
                settled_timeline: settled,
                ..Standing::default()
            }),
        }
    }

    /// Whether a `MAIL FROM` may be started and a message ended.
    pub(crate) fn may_send(&self) -> bool {
        self.is_open(&mut self.standing())
    }

    fn is_open(&self, standing: &mut Standing) -> bool {
        let now = self.now();
        let is_open = !standing.locked
            && !standing.restoring
            && standing.settled_timeline == self.timeline.seen()
            && standing
                .last_beat
                .is_some_and(|beat| now.since(beat) < FENCE);
        if !is_open {
            standing.shut_at = Some(now);
        }
        is_open
    }

    /// Whether it has let everything through since this moment: what was read before it was shut may be of
    /// a database that has forgotten it since.
    pub(crate) fn open_since(&self, looked_at: Moment) -> bool {
        let mut standing = self.standing();
        self.is_open(&mut standing) && standing.shut_at.is_none_or(|shut| shut < looked_at)
    }

    /// The same in words.
    pub(crate) fn check(&self) -> CheckResult {
        if self.standing().locked {
            return Err("sending is locked: read the log".to_owned());
        }
        if self.standing().restoring {
            return Err(
                "the database went back in time: `letterbox status` says what it waits for"
                    .to_owned(),
            );
        }
        if self.settled_timeline() != self.timeline.seen() {
            return Err(
                "another server has the database, or none: what was sent is said again".to_owned(),
            );
        }
        match self.age() {
            None => Err("none was committed yet".to_owned()),
            Some(age) if age >= FENCE => {
                Err(format!("none was committed for {} seconds", age.as_secs()))
            }
            Some(_) => Ok(()),
        }
    }

    /// A heartbeat, whose question was put at `asked`, is committed.
    pub(crate) fn beat(&self, asked: Moment) {
        self.standing().last_beat = Some(asked);
    }

    /// Nothing is sent any more, until somebody has looked and started the worker anew.
    pub(crate) fn lock(&self) {
        self.standing().locked = true;
        metrics::counter!("letterbox_fence_trips_total").increment(1);
    }

    /// Nothing is sent while the database is being made up for what it has forgotten.
    pub(crate) fn hold(&self, restoring: bool) {
        let mut standing = self.standing();
        if standing.restoring {
            standing.shut_at = Some(self.now());
        }
        standing.restoring = restoring;
    }

    /// What this worker sent is known again on this timeline.
    pub(crate) fn settle_timeline(&self, timeline: u32) {
        let mut standing = self.standing();
        standing.shut_at = Some(self.now());
        standing.settled_timeline = timeline;
    }

    /// The timeline that it lets through.
    pub(crate) fn settled_timeline(&self) -> u32 {
        self.standing().settled_timeline
    }

    /// How old the last heartbeat is; none before the first.
    pub(crate) fn age(&self) -> Option<Duration> {
        let last_beat = self.standing().last_beat?;
        Some(self.now().since(last_beat))
    }

    /// Now, by the clock that it goes by.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot_clock::SleptClock;

    #[test]
    fn without_a_heartbeat_for_30_seconds_nothing_is_sent_also_after_a_sleep() {
        let clock = Arc::new(SleptClock::default());
        let fence = Fence::new(clock.clone(), Timeline::default(), 0);
        assert!(!fence.may_send(), "no heartbeat yet");
        assert!(fence.check().is_err());
        fence.beat(fence.now());
        clock.sleep(Duration::from_secs(25));
        assert!(fence.may_send());
        clock.sleep(Duration::from_secs(5));
        assert!(!fence.may_send(), "the machine slept meanwhile");
        assert!(fence.check().unwrap_err().contains("30 seconds"));
        fence.beat(fence.now());
        assert!(fence.may_send());
        fence.hold(true);
        assert!(!fence.may_send());
        assert!(fence.check().unwrap_err().contains("letterbox status"));
        let claimed = fence.now();
        fence.hold(false);
        assert!(fence.may_send());
        assert!(!fence.open_since(claimed), "claimed before it opened");
        clock.sleep(Duration::from_millis(1));
        assert!(fence.open_since(fence.now()));
        fence.lock();
        assert!(!fence.may_send());
    }
}

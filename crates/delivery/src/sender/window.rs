//! How many recipients a worker may have in hand: what it can send in about a second, and never more
//! than the setting, which bounds what is in doubt should the journal be lost.

use std::time::Duration;

use crate::boot_clock::Moment;

/// A recipient who waited less than this leaves room for one more.
const SOON: Duration = Duration::from_millis(250);
/// One who waited longer was claimed too early.
const LATE: Duration = Duration::from_secs(1);

/// The claim window of a worker.
#[derive(Debug)]
pub(super) struct Window {
    least: usize,
    most: usize,
    now: usize,
    shrunk_at: Option<Moment>,
}

impl Window {
    /// For so many lanes; each of them can have a recipient, whatever the setting.
    pub(super) fn new(lanes: usize, most: usize) -> Self {
        let most = most.max(lanes);
        Self {
            least: lanes,
            most,
            now: most.min(lanes * 2),
            shrunk_at: None,
        }
    }

    /// Recipients that may be claimed beside those that are held, if the way to the relay takes so many
    /// in a second; none where they would be too few for a statement.
    pub(super) fn room(&self, held: usize, way: usize) -> usize {
        let most = self.now.min(way);
        let room = most.saturating_sub(held);
        if held > 0 && room < most.div_ceil(4) {
            0
        } else {
            room
        }
    }

    /// Whether so many results are worth a statement.
    pub(super) const fn is_large_part(&self, results: usize) -> bool {
        results >= self.now.div_ceil(4)
    }

    /// A recipient claimed at that moment goes out now.
    pub(super) fn waited(&mut self, claimed_at: Moment, now: Moment) {
        let wait = now.since(claimed_at);
        if wait < SOON {
            self.now = self.most.min(self.now + 1);
        } else if wait > LATE && self.shrunk_at.is_none_or(|at| now.since(at) > LATE) {
            self.now = self.least.max(self.now / 2);
            self.shrunk_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot_clock::{BootClock as _, MachineClock};

    #[test]
    fn it_grows_to_the_setting_while_mail_flows_and_shrinks_when_it_does_not() {
        let mut window = Window::new(10, 128);
        let start = MachineClock.now();
        assert_eq!(window.room(0, 1000), 20);
        for _ in 0..500 {
            window.waited(start, start.plus(Duration::from_millis(5)));
        }
        assert_eq!(window.room(0, 1000), 128);
        assert_eq!(window.room(96, 1000), 32);
        assert_eq!(window.room(97, 1000), 0, "not worth a statement");
        assert_eq!(window.room(0, 1), 1);
        assert_eq!(window.room(1, 1), 0);
        let mut now = start.plus(Duration::from_secs(2));
        window.waited(start, now);
        window.waited(start, now);
        assert_eq!(window.room(0, 1000), 64, "once a second");
        for _ in 0..10 {
            now = now.plus(Duration::from_secs(2));
            window.waited(start, now);
        }
        assert_eq!(window.room(0, 1000), 10, "one for each lane is left");
        assert_eq!(Window::new(10, 3).room(0, 1000), 10);
    }
}

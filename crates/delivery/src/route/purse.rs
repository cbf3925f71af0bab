//! Mails that this worker may send now, out of the budget of all, and who waits for one.

use std::time::Duration;

use domain::Timestamp;
use store::Lease;
use tokio::time::Instant;

/// What was leased and not used by then is given back.
const KEPT: Duration = Duration::from_millis(500);
/// Where the next mail may go only later than this, nobody waits for it.
const SOON: Duration = Duration::from_secs(5);

/// The purse.
#[derive(Debug, Default)]
pub(super) struct Purse {
    bulk: Side,
    confirmations: Side,
    /// What is left of the day, where it has a limit.
    pub(super) left_of_day: Option<u64>,
    /// Mails of a day that is over, for nobody to use.
    left_over: Vec<(Timestamp, u32)>,
}

#[derive(Debug)]
struct Side {
    mails: u32,
    /// When they were leased: they are given back to that day, not to one that began meanwhile.
    leased_at: Timestamp,
    spent_at_the_latest: Option<Instant>,
    waiting: u32,
    /// The database has nothing before this.
    not_before: Option<Instant>,
}

/// What [`Purse::take`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// One mail may go.
    Taken,
    /// Wait: there is nothing now.
    Empty,
    /// There is nothing for some time.
    Closed,
}

impl Purse {
    /// Takes one mail. A confirmation may take what was meant for an issue, never the other way round,
    /// and while one waits an issue takes nothing.
    pub(super) fn take(&mut self, bulk: bool, now: Instant) -> Take {
        if !bulk && self.confirmations.spend(now) {
            return Take::Taken;
        }
        let others_first = bulk && self.confirmations.waiting > 0;
        if !others_first && self.bulk.spend(now) {
            return Take::Taken;
        }
        if self.is_closed(bulk, now) {
            Take::Closed
        } else {
            Take::Empty
        }
    }

    /// Whether nothing can be had in the next seconds.
    pub(super) fn is_closed(&self, bulk: bool, now: Instant) -> bool {
        self.side_of(bulk)
            .not_before
            .is_some_and(|at| at > now + SOON)
    }

    /// One waits.
    pub(super) const fn wait(&mut self, bulk: bool) {
        self.side(bulk).waiting += 1;
    }

    /// One waits no longer.
    pub(super) const fn wait_no_more(&mut self, bulk: bool) {
        let side = self.side(bulk);
        side.waiting = side.waiting.saturating_sub(1);
    }

    /// How many wait, and since when the database may be asked for them.
    pub(super) fn wanted(&self, bulk: bool) -> Option<(u32, Option<Instant>)> {
        let side = self.side_of(bulk);
        (side.waiting > 0).then_some((side.waiting, side.not_before))
    }

    /// What the database gave, on the day of this moment.
    pub(super) fn put(&mut self, bulk: bool, lease: &Lease, leased_at: Timestamp, now: Instant) {
        let side = self.side(bulk);
        let before = (side.leased_at, side.mails);
        side.leased_at = leased_at;
        if day(before.0) != day(leased_at) && before.1 > 0 {
            side.mails = 0;
            self.left_over.push(before);
        }
        let side = self.side(bulk);
        side.mails += lease.mails;
        side.spent_at_the_latest = Some(now + KEPT);
        side.not_before = lease.again.map(|again| now + again);
        if let Some(left) = lease.left_of_day {
            self.left_of_day = Some(left);
        }
    }

    /// The database cannot be asked before this.
    pub(super) const fn close(&mut self, bulk: bool, until: Instant) {
        self.side(bulk).not_before = Some(until);
    }

    /// Empties it of what nobody used in time, each with when it was leased; of all of it with `none`.
    pub(super) fn unused(&mut self, now: Option<Instant>) -> Vec<(Timestamp, u32)> {
        let mut unused = std::mem::take(&mut self.left_over);
        for side in [&mut self.bulk, &mut self.confirmations] {
            if side.mails > 0 && now.is_none_or(|now| side.is_late(now)) {
                unused.push((side.leased_at, std::mem::take(&mut side.mails)));
            }
        }
        unused
    }

    /// When that is to be looked at.
    pub(super) fn unused_at(&self) -> Option<Instant> {
        [&self.bulk, &self.confirmations]
            .into_iter()
            .filter(|side| side.mails > 0)
            .filter_map(|side| side.spent_at_the_latest)
            .min()
    }

    /// Other rules hold from now on.
    pub(super) fn empty(&mut self) {
        for side in [&mut self.bulk, &mut self.confirmations] {
            side.mails = 0;
            side.not_before = None;
        }
    }

    const fn side(&mut self, bulk: bool) -> &mut Side {
        if bulk {
            &mut self.bulk
        } else {
            &mut self.confirmations
        }
    }

    const fn side_of(&self, bulk: bool) -> &Side {
        if bulk {
            &self.bulk
        } else {
            &self.confirmations
        }
    }
}

impl Default for Side {
    fn default() -> Self {
        Self {
            mails: 0,
            leased_at: Timestamp::from_millis(0),
            spent_at_the_latest: None,
            waiting: 0,
            not_before: None,
        }
    }
}

impl Side {
    fn spend(&mut self, now: Instant) -> bool {
        let has = self.mails > 0 && !self.is_late(now);
        self.mails -= u32::from(has);
        has
    }

    fn is_late(&self, now: Instant) -> bool {
        self.spent_at_the_latest.is_some_and(|at| now >= at)
    }
}

/// The day, in UTC, as the budget has it.
const fn day(at: Timestamp) -> u64 {
    at.as_millis() / (24 * 60 * 60 * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Timestamp = Timestamp::from_millis(1_795_500_000_000);

    fn lease(mails: u32, again: Option<Duration>) -> Lease {
        Lease {
            mails,
            again,
            ..Lease::default()
        }
    }

    #[test]
    fn a_confirmation_takes_what_was_meant_for_an_issue() {
        let (mut purse, now) = (Purse::default(), Instant::now());
        purse.put(true, &lease(2, None), TODAY, now);
        purse.wait(false);
        assert_eq!(purse.take(true, now), Take::Empty, "a confirmation waits");
        assert_eq!(purse.take(false, now), Take::Taken);
        purse.wait_no_more(false);
        assert_eq!(purse.take(true, now), Take::Taken);
        assert_eq!(purse.take(true, now), Take::Empty);
        purse.put(false, &lease(1, None), TODAY, now);
        assert_eq!(purse.take(true, now), Take::Empty, "never the other way");
        assert_eq!(purse.take(false, now), Take::Taken);
    }

    #[test]
    fn what_is_not_used_is_not_kept() {
        let (mut purse, now) = (Purse::default(), Instant::now());
        purse.put(true, &lease(3, None), TODAY, now);
        assert_eq!(purse.take(true, now), Take::Taken);
        assert_eq!(purse.unused(Some(now)), []);
        let later = purse.unused_at().unwrap();
        assert_eq!(purse.take(true, later), Take::Empty);
        assert_eq!(purse.unused(Some(later)), [(TODAY, 2)]);
        assert_eq!(purse.unused_at(), None);
        purse.put(true, &lease(3, None), TODAY, now);
        assert_eq!(purse.unused(None), [(TODAY, 3)]);
    }

    #[test]
    fn what_was_leased_before_midnight_goes_back_to_that_day() {
        let (mut purse, now) = (Purse::default(), Instant::now());
        let tomorrow = TODAY.plus(Duration::from_hours(24));
        purse.put(true, &lease(5, None), TODAY, now);
        purse.put(true, &lease(3, None), tomorrow, now);
        purse.put(true, &lease(1, None), tomorrow, now);
        assert_eq!(purse.take(true, now), Take::Taken);
        assert_eq!(purse.unused(Some(now)), [(TODAY, 5)]);
        assert_eq!(purse.unused(None), [(tomorrow, 3)]);
        purse.put(false, &lease(2, None), TODAY, now);
        assert_eq!(purse.unused(None), [(TODAY, 2)]);
    }

    #[test]
    fn nobody_waits_for_a_budget_that_is_far_away() {
        let (mut purse, now) = (Purse::default(), Instant::now());
        purse.put(true, &lease(0, Some(Duration::from_mins(1))), TODAY, now);
        assert_eq!(purse.take(true, now), Take::Closed);
        assert_eq!(purse.take(false, now), Take::Empty);
        assert_eq!(purse.take(true, now + Duration::from_secs(56)), Take::Empty);
        purse.empty();
        assert_eq!(purse.take(true, now), Take::Empty);
    }
}

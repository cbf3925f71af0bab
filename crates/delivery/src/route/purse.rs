//! Mails that this worker may send now, out of the budget of all, and who waits for one.

use std::time::Duration;

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
}

#[derive(Debug, Default)]
struct Side {
    mails: u32,
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

    /// What the database gave.
    pub(super) fn put(&mut self, bulk: bool, lease: &Lease, now: Instant) {
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

    /// Empties it of what nobody used in time; all of it with `none`.
    pub(super) fn unused(&mut self, now: Option<Instant>) -> u32 {
        [&mut self.bulk, &mut self.confirmations]
            .into_iter()
            .filter(|side| now.is_none_or(|now| side.is_late(now)))
            .map(|side| std::mem::take(&mut side.mails))
            .sum()
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

#[cfg(test)]
mod tests {
    use super::*;

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
        purse.put(true, &lease(2, None), now);
        purse.wait(false);
        assert_eq!(purse.take(true, now), Take::Empty, "a confirmation waits");
        assert_eq!(purse.take(false, now), Take::Taken);
        purse.wait_no_more(false);
        assert_eq!(purse.take(true, now), Take::Taken);
        assert_eq!(purse.take(true, now), Take::Empty);
        purse.put(false, &lease(1, None), now);
        assert_eq!(purse.take(true, now), Take::Empty, "never the other way");
        assert_eq!(purse.take(false, now), Take::Taken);
    }

    #[test]
    fn what_is_not_used_is_not_kept() {
        let (mut purse, now) = (Purse::default(), Instant::now());
        purse.put(true, &lease(3, None), now);
        assert_eq!(purse.take(true, now), Take::Taken);
        assert_eq!(purse.unused(Some(now)), 0);
        let later = purse.unused_at().unwrap();
        assert_eq!(purse.take(true, later), Take::Empty);
        assert_eq!(purse.unused(Some(later)), 2);
        assert_eq!(purse.unused_at(), None);
        purse.put(true, &lease(3, None), now);
        assert_eq!(purse.unused(None), 3);
    }

    #[test]
    fn nobody_waits_for_a_budget_that_is_far_away() {
        let (mut purse, now) = (Purse::default(), Instant::now());
        purse.put(true, &lease(0, Some(Duration::from_mins(1))), now);
        assert_eq!(purse.take(true, now), Take::Closed);
        assert_eq!(purse.take(false, now), Take::Empty);
        assert_eq!(purse.take(true, now + Duration::from_secs(56)), Take::Empty);
        purse.empty();
        assert_eq!(purse.take(true, now), Take::Empty);
    }
}

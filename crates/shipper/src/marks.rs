//! How far a spool is shipped and applied: what the heartbeat learns and the shipping obeys.

/// The marks of one spool. Seqs up to a mark are behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Whether the database knows the spool: its inbox is given nothing before.
    pub(crate) registered: bool,
    /// The registrar's mark, as the last heartbeat brought it; before the first one, what it was at
    /// least once.
    pub(crate) applied: u64,
    /// What a queue confirmed or the inbox took.
    pub(crate) shipped: u64,
    /// The last seq that was sent at all: more cannot be applied, of what this process accepted.
    pub(crate) tried: u64,
    /// How often `shipped` was set back. A batch that was under way meanwhile counts for nothing: what
    /// took it may be just what lost it.
    pub(crate) set_back: u64,
    /// Whether the batch behind the mark goes again.
    pub(crate) again: bool,
    /// The last seq of the batch that went again.
    pub(crate) went_again: Option<u64>,
}

/// What a new `applied_upto` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Movement {
    /// Nothing new.
    Still,
    /// More is applied.
    Forward,
    /// The database is an older one: it was restored.
    Back,
}

impl Marks {
    /// A spool that was opened, with nothing unfinished up to this seq.
    pub(crate) const fn starting_at(finished: u64) -> Self {
        Self {
            registered: false,
            applied: finished,
            shipped: finished,
            tried: finished,
            set_back: 0,
            again: false,
            went_again: None,
        }
    }

    /// The database was asked to know the spool and gave this mark.
    pub(crate) fn register(&mut self, applied: u64) -> Movement {
        self.registered = true;
        self.learn(applied)
    }

    /// The database does not know the spool: it was restored to a time before, and whatever it had has
    /// to come again.
    pub(crate) fn forget(&mut self) {
        self.registered = false;
        self.go_back_to(0);
    }

    /// A heartbeat gave this mark.
    pub(crate) fn learn(&mut self, applied: u64) -> Movement {
        let movement = match applied.cmp(&self.applied) {
            std::cmp::Ordering::Less => Movement::Back,
            std::cmp::Ordering::Equal => Movement::Still,
            std::cmp::Ordering::Greater => Movement::Forward,
        };
        self.applied = applied;
        match movement {
            // What was applied and is not any more has to come again, from the archive too.
            Movement::Back => self.go_back_to(applied),
            Movement::Forward => {
                // Beyond it where the mark was not known before.
                self.shipped = self.shipped.max(applied);
                self.again = false;
                if self.went_again == Some(applied) && applied < self.shipped {
                    // Only what went again was applied: the rest is lost as well.
                    self.go_back_to(applied);
                }
            }
            Movement::Still => {}
        }
        movement
    }

    /// A batch up to this seq, read when `shipped` had been set back so many times, has arrived.
    pub(crate) fn ship(&mut self, upto: u64, set_back: u64) {
        if self.set_back == set_back {
            self.shipped = self.shipped.max(upto);
        }
    }

    /// Ships everything again from the mark: what was shipped is lost, or may be.
    pub(crate) fn ship_again(&mut self) {
        self.go_back_to(self.applied);
    }

    /// The mark has stood still for long: was the batch behind it lost, or is nobody there to apply it?
    /// To find out, that batch goes again, not all behind it: a registrar that is down for days would
    /// find its queue filled with copies.
    pub(crate) fn ask_again(&mut self) {
        self.again = self.shipped > self.applied;
    }

    /// The batch behind the mark, up to this seq, went again.
    pub(crate) fn went_again(&mut self, upto: u64, set_back: u64) {
        if self.set_back == set_back {
            self.again = false;
            self.went_again = Some(upto);
        }
    }

    fn go_back_to(&mut self, seq: u64) {
        self.shipped = seq;
        self.set_back += 1;
        self.again = false;
        self.went_again = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(applied: u64, shipped: u64) -> Marks {
        Marks {
            registered: true,
            shipped,
            ..Marks::starting_at(applied)
        }
    }

    fn both(marks: Marks) -> (u64, u64) {
        (marks.applied, marks.shipped)
    }

    #[test]
    fn shipping_starts_at_the_mark_of_the_database() {
        let mut marks = Marks::starting_at(0);
        assert_eq!(marks.register(7), Movement::Forward);
        assert_eq!((both(marks), marks.registered), ((7, 7), true));
        marks.ship(9, 0);
        assert_eq!(both(marks), (7, 9));
    }

    #[test]
    fn shipping_starts_at_what_is_finished_while_the_mark_is_not_known() {
        let mut marks = Marks::starting_at(4);
        marks.ship(9, 0);
        assert_eq!((both(marks), marks.registered), ((4, 9), false));
        assert_eq!(marks.register(6), Movement::Forward);
        assert_eq!((both(marks), marks.registered), ((6, 9), true));

        // The database that comes is older than the finished segments.
        let mut marks = Marks::starting_at(4);
        marks.ship(9, 0);
        assert_eq!(marks.register(3), Movement::Back);
        assert_eq!(both(marks), (3, 3));
    }

    #[test]
    fn a_mark_that_went_back_takes_the_shipping_with_it() {
        let mut marks = at(7, 9);
        assert_eq!(marks.learn(3), Movement::Back);
        assert_eq!(both(marks), (3, 3));
        // a batch that was under way
        marks.ship(12, 0);
        assert_eq!(both(marks), (3, 3));
        marks.ship(5, 1);
        assert_eq!(both(marks), (3, 5));
        assert_eq!(marks.register(0), Movement::Back);
        assert_eq!(both(marks), (0, 0));
    }

    #[test]
    fn a_database_that_does_not_know_the_spool_gets_everything_again() {
        let mut marks = at(0, 9);
        marks.forget();
        assert_eq!((both(marks), marks.registered), ((0, 0), false));
        assert_eq!(marks.register(0), Movement::Still);
        assert_eq!(both(marks), (0, 0));

        let mut marks = at(7, 9);
        marks.forget();
        assert_eq!(marks.register(0), Movement::Back);
        assert_eq!(both(marks), (0, 0));
    }

    #[test]
    fn a_batch_under_way_when_the_broker_was_lost_does_not_count() {
        // The first batch behind the mark: by its seqs alone nothing would tell it from one that is
        // read after the broker came back empty.
        let mut marks = at(7, 7);
        marks.ship_again();
        marks.ship(9, 0);
        assert_eq!(both(marks), (7, 7));
        marks.ship(9, 1);
        assert_eq!(both(marks), (7, 9));
    }

    #[test]
    fn a_batch_that_went_again_tells_whether_the_rest_is_lost() {
        // Nobody applies anything.
        let mut marks = at(7, 3000);
        marks.ask_again();
        assert!(marks.again);
        marks.went_again(507, 0);
        assert!(!marks.again);
        assert_eq!(marks.learn(7), Movement::Still);
        assert_eq!(both(marks), (7, 3000));

        // It was applied, and nothing behind it.
        marks.ask_again();
        marks.went_again(507, 0);
        assert_eq!(marks.learn(507), Movement::Forward);
        assert_eq!(both(marks), (507, 507));

        // It was all that was lost.
        let mut marks = at(7, 3000);
        marks.ask_again();
        marks.went_again(507, 0);
        marks.learn(3000);
        assert_eq!(both(marks), (3000, 3000));
        assert_eq!(marks.set_back, 0);
    }

    #[test]
    fn nothing_goes_again_when_nothing_waits_or_the_mark_moved() {
        let mut marks = at(7, 7);
        marks.ask_again();
        assert!(!marks.again);
        let mut marks = at(7, 9);
        marks.ask_again();
        marks.learn(8);
        assert!(!marks.again);
        marks.ask_again();
        marks.ship_again();
        assert!(!marks.again);
        // Went while everything was set back.
        marks.went_again(9, 0);
        marks.ship(12, 1);
        marks.learn(9);
        assert_eq!(both(marks), (9, 12));
    }

    #[test]
    fn a_mark_that_went_forward_does_not_take_the_shipping_back() {
        let mut marks = at(7, 9);
        assert_eq!(marks.learn(8), Movement::Forward);
        assert_eq!(both(marks), (8, 9));
        assert_eq!(marks.learn(8), Movement::Still);
        assert_eq!(marks.learn(20), Movement::Forward);
        assert_eq!(both(marks), (20, 20));
        // A batch from before that.
        marks.ship(12, 0);
        assert_eq!(both(marks), (20, 20));
        marks = at(20, 25);
        marks.ship_again();
        assert_eq!(both(marks), (20, 20));
    }
}

//! How far a spool is shipped and applied: what the heartbeat learns and the shipping obeys.

/// The marks of one spool. Seqs up to a mark are behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// Whether the database knows the spool: nothing is shipped before.
    pub(crate) registered: bool,
    /// The registrar's mark, as the last heartbeat brought it.
    pub(crate) applied: u64,
    /// What the inbox took.
    pub(crate) shipped: u64,
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
    /// The database was asked to know the spool and gave this mark: ship from there.
    pub(crate) fn register(&mut self, applied: u64) -> Movement {
        let movement = self.compare(applied);
        *self = Self {
            registered: true,
            applied,
            shipped: applied,
        };
        movement
    }

    /// A heartbeat gave this mark.
    pub(crate) fn learn(&mut self, applied: u64) -> Movement {
        let movement = self.compare(applied);
        self.applied = applied;
        match movement {
            // What was applied and is not any more has to come again, from the archive too.
            Movement::Back => self.shipped = applied,
            // Another process shipped for this spool, or a restart is under way.
            Movement::Forward => self.shipped = self.shipped.max(applied),
            Movement::Still => {}
        }
        movement
    }

    fn compare(&self, applied: u64) -> Movement {
        match applied.cmp(&self.applied) {
            std::cmp::Ordering::Less => Movement::Back,
            std::cmp::Ordering::Equal => Movement::Still,
            std::cmp::Ordering::Greater => Movement::Forward,
        }
    }

    /// The inbox took what lies between; void if the mark was set back meanwhile.
    pub(crate) fn ship(&mut self, from: u64, upto: u64) {
        if self.registered && self.shipped == from {
            self.shipped = upto;
        }
    }

    /// Ships again from the mark.
    pub(crate) fn ship_again(&mut self) {
        self.shipped = self.applied;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(applied: u64, shipped: u64) -> Marks {
        Marks {
            registered: true,
            applied,
            shipped,
        }
    }

    #[test]
    fn shipping_starts_at_the_mark_of_the_database() {
        let mut marks = Marks::default();
        marks.ship(0, 5);
        assert_eq!(marks.shipped, 0, "not registered");
        assert_eq!(marks.register(7), Movement::Forward);
        assert_eq!(marks, at(7, 7));
        marks.ship(7, 9);
        assert_eq!(marks, at(7, 9));
    }

    #[test]
    fn a_mark_that_went_back_takes_the_shipping_with_it() {
        let mut marks = at(7, 9);
        assert_eq!(marks.learn(3), Movement::Back);
        assert_eq!(marks, at(3, 3));
        // a batch that was under way
        marks.ship(9, 12);
        assert_eq!(marks, at(3, 3));
        marks = at(7, 9);
        assert_eq!(marks.register(0), Movement::Back);
        assert_eq!(marks, at(0, 0));
    }

    #[test]
    fn a_mark_that_went_forward_does_not_take_the_shipping_back() {
        let mut marks = at(7, 9);
        assert_eq!(marks.learn(8), Movement::Forward);
        assert_eq!(marks, at(8, 9));
        assert_eq!(marks.learn(8), Movement::Still);
        assert_eq!(marks.learn(20), Movement::Forward);
        assert_eq!(marks, at(20, 20));
        marks = at(20, 25);
        marks.ship_again();
        assert_eq!(marks, at(20, 20));
    }
}

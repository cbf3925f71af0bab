//! Whether a connection to the broker works.

use std::time::Instant;

use tokio::sync::watch;

use crate::metrics::Connection;

/// The state of one connection. It starts as `Down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It works.
    Up {
        /// Which connection of this process it is, from 1: a new number means that everything sent
        /// before may have been lost with the old broker.
        generation: u64,
    },
    /// No broker answers, or the one that does takes no messages at present.
    Down {
        /// Since when.
        since: Instant,
    },
    /// The broker answers, but something there was declared with other arguments than ours: an
    /// operator must remove it.
    Misdeclared {
        /// Since when.
        since: Instant,
        /// The queue or exchange.
        queue: &'static str,
    },
}

impl Link {
    /// Whether messages flow.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// The side that sets it, and the gauges with it.
pub(crate) struct LinkState {
    sender: watch::Sender<Link>,
    connection: Connection,
    generation: u64,
    blocked: bool,
}

impl LinkState {
    pub(crate) fn new(connection: Connection) -> (Self, watch::Receiver<Link>) {
        let since = Instant::now();
        let (sender, receiver) = watch::channel(Link::Down { since });
        let state = Self {
            sender,
            connection,
            generation: 0,
            blocked: false,
        };
        (state, receiver)
    }

    /// A new connection works.
    pub(crate) fn up(&mut self) {
        self.unblocked();
        self.generation += 1;
        let generation = self.generation;
        self.set(Link::Up { generation });
    }

    /// It does not work.
    pub(crate) fn down(&mut self) {
        self.unblocked();
        let since = self.since();
        self.set(Link::Down { since });
    }

    /// The broker takes nothing at present.
    pub(crate) fn blocked(&mut self) {
        self.down();
        self.blocked = true;
        self.connection.was_blocked();
    }

    /// Something there is not ours.
    pub(crate) fn misdeclared(&mut self, queue: &'static str) {
        self.unblocked();
        let since = self.since();
        self.set(Link::Misdeclared { since, queue });
    }

    fn unblocked(&mut self) {
        if std::mem::take(&mut self.blocked) {
            self.connection.was_unblocked();
        }
    }

    /// An outage began when messages last flowed, whatever was wrong since.
    fn since(&self) -> Instant {
        match *self.sender.borrow() {
            Link::Up { .. } => Instant::now(),
            Link::Down { since } | Link::Misdeclared { since, .. } => since,
        }
    }

    fn set(&mut self, link: Link) {
        let before = self.sender.send_replace(link);
        match (before.is_up(), link.is_up()) {
            (false, true) => self.connection.came_up(),
            (true, false) => self.connection.went_down(),
            _ => {}
        }
    }
}

impl Drop for LinkState {
    // A connection that was stopped is not one that works.
    fn drop(&mut self) {
        self.down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_its_beginning_whatever_is_wrong_meanwhile() {
        let (mut state, link) = LinkState::new(Connection::publisher());
        let Link::Down { since: start } = *link.borrow() else {
            panic!("it starts down");
        };
        state.misdeclared("letterbox.dead.v1");
        state.down();
        assert_eq!(*link.borrow(), Link::Down { since: start });

        state.up();
        assert_eq!(*link.borrow(), Link::Up { generation: 1 });
        state.blocked();
        assert!(matches!(*link.borrow(), Link::Down { since } if since > start));
        state.up();
        assert_eq!(*link.borrow(), Link::Up { generation: 2 });
        drop(state);
        assert!(!link.borrow().is_up());
    }
}

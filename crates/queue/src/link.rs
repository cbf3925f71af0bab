//! Whether a connection to the broker works.

use std::time::Instant;

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

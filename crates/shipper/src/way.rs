//! Which of the two ways requests go, and when that changes: no I/O here, so that every order of events
//! can be tried.

use std::time::{Duration, Instant};

use queue::Link;

/// A way from the spool to the registrar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The broker's queues.
    Queue,
    /// The database's inbox.
    Inbox,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Queue, Self::Inbox];

    /// Its name in metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Inbox => "inbox",
        }
    }
}

/// What a shipper knows of its broker.
///
/// Trouble begins when the connection goes or a batch is not confirmed, and only a confirmed message
/// ends it: a connection that is there proves nothing, since a broker that is short of memory or disk
/// keeps it and takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passage {
    way: Way,
    up: bool,
    /// Of the last connection that was up.
    generation: Option<u64>,
    trouble_since: Option<Instant>,
}

/// What a change of the connection asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    /// The one that was there before, or none.
    Same,
    /// The first since the start.
    First,
    /// Another one: what the broker confirmed on the old one may be gone.
    Another,
}

impl Passage {
    /// Without a broker: the inbox, for ever.
    pub(crate) const fn without_broker() -> Self {
        Self {
            way: Way::Inbox,
            up: false,
            generation: None,
            trouble_since: None,
        }
    }

    /// With a broker that is not connected yet.
    pub(crate) const fn to_a_broker(now: Instant) -> Self {
        Self {
            way: Way::Queue,
            up: false,
            generation: None,
            trouble_since: Some(now),
        }
    }

    /// Where records go, unless they wait.
    pub(crate) const fn way(&self) -> Way {
        self.way
    }

    /// Whether a message could be published.
    pub(crate) const fn is_up(&self) -> bool {
        self.up
    }

    /// Whether a confirmed message is needed to know that the broker works.
    pub(crate) const fn is_doubtful(&self) -> bool {
        self.up && self.trouble_since.is_some()
    }

    /// The connection came or went.
    pub(crate) fn see(&mut self, link: Link, now: Instant) -> Connection {
        match link {
            Link::Up { generation } => {
                self.up = true;
                let before = self.generation.replace(generation);
                match before {
                    None => Connection::First,
                    Some(before) if before == generation => Connection::Same,
                    Some(_) => Connection::Another,
                }
            }
            Link::Down { .. } | Link::Misdeclared { .. } => {
                self.up = false;
                self.trouble_since.get_or_insert(now);
                Connection::Same
            }
        }
    }

    /// A batch was not confirmed.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.trouble_since.get_or_insert(now);
    }

    /// A message was confirmed, or there is none to try with. Gives whether the way changed.
    pub(crate) fn confirmed(&mut self) -> bool {
        // The answer may be older than the loss of the connection: then the trouble goes on.
        if !self.up {
            return false;
        }
        self.trouble_since = None;
        let changed = self.way != Way::Queue;
        self.way = Way::Queue;
        changed
    }

    /// When the inbox becomes the way, if nothing is confirmed before.
    pub(crate) fn gives_up_at(&self, patience: Duration) -> Option<Instant> {
        match self.way {
            Way::Queue => self.trouble_since?.checked_add(patience),
            Way::Inbox => None,
        }
    }

    /// Goes by the inbox if it is time. Gives whether the way changed.
    pub(crate) fn give_up(&mut self, patience: Duration, now: Instant) -> bool {
        let is_time = self.gives_up_at(patience).is_some_and(|at| at <= now);
        if is_time {
            self.way = Way::Inbox;
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    const fn up(generation: u64) -> Link {
        Link::Up { generation }
    }

    /// A passage, the time it began, and a function from seconds after that to moments.
    fn begun() -> (Passage, Link, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let at = move |second| start + Duration::from_secs(second);
        (Passage::to_a_broker(start), Link::Down { since: start }, at)
    }

    #[test]
    fn a_broker_that_never_came_is_waited_for_a_minute_from_the_start() {
        let (mut passage, down, at) = begun();
        passage.see(down, at(50));
        assert!(!passage.give_up(PATIENCE, at(59)));
        assert_eq!(passage.way(), Way::Queue);
        assert!(passage.give_up(PATIENCE, at(60)));
        assert_eq!(passage.way(), Way::Inbox);
        assert!(!passage.give_up(PATIENCE, at(61)), "said once");
    }

    #[test]
    fn only_a_confirmed_message_ends_the_trouble() {
        let (mut passage, down, at) = begun();
        assert_eq!(passage.see(up(1), at(1)), Connection::First);
        assert!(passage.is_doubtful());
        assert_eq!(passage.gives_up_at(PATIENCE), Some(at(60)));
        assert!(!passage.confirmed(), "the way is the same");
        assert_eq!(passage.gives_up_at(PATIENCE), None);

        passage.see(down, at(100));
        // It comes and goes, and confirms nothing.
        for second in 101..160 {
            let link = if second % 2 == 0 { down } else { up(second) };
            passage.see(link, at(second));
            assert!(!passage.give_up(PATIENCE, at(second)));
        }
        assert!(passage.give_up(PATIENCE, at(160)));
        // It stays connected, and still confirms nothing.
        passage.see(up(200), at(200));
        passage.failed(at(210));
        assert_eq!(passage.way(), Way::Inbox);
        assert!(passage.is_doubtful());
        assert!(passage.confirmed());
        assert_eq!(passage.way(), Way::Queue);
    }

    #[test]
    fn a_broker_that_is_connected_and_takes_nothing_is_given_up_too() {
        let (mut passage, _, at) = begun();
        passage.see(up(1), at(0));
        passage.confirmed();
        passage.failed(at(10));
        passage.failed(at(50));
        assert!(!passage.give_up(PATIENCE, at(69)));
        assert!(passage.give_up(PATIENCE, at(70)), "from the first failure");
    }

    #[test]
    fn a_wrongly_declared_queue_is_as_good_as_no_broker() {
        let (mut passage, _, at) = begun();
        let since = at(0);
        passage.see(Link::Misdeclared { since, queue: "x" }, at(1));
        assert!(!passage.is_up());
        assert!(passage.give_up(PATIENCE, at(60)));
    }

    #[test]
    fn an_answer_that_is_older_than_the_loss_of_the_connection_ends_nothing() {
        let (mut passage, down, at) = begun();
        passage.see(up(1), at(0));
        passage.confirmed();
        passage.see(down, at(5));
        passage.confirmed();
        assert!(passage.give_up(PATIENCE, at(65)));
        passage.confirmed();
        assert_eq!(passage.way(), Way::Inbox);
    }

    #[test]
    fn another_connection_is_told_from_the_same_one() {
        let (mut passage, down, at) = begun();
        assert_eq!(passage.see(up(3), at(0)), Connection::First);
        assert_eq!(passage.see(up(3), at(1)), Connection::Same);
        assert_eq!(passage.see(down, at(2)), Connection::Same);
        assert_eq!(passage.see(up(4), at(3)), Connection::Another);
        // The loss between them was too short to be seen.
        assert_eq!(passage.see(up(6), at(4)), Connection::Another);
    }

    #[test]
    fn without_a_broker_the_inbox_is_the_way_for_ever() {
        let mut passage = Passage::without_broker();
        assert_eq!(passage.gives_up_at(PATIENCE), None);
        assert!(!passage.confirmed());
        assert_eq!(passage.way(), Way::Inbox);
    }
}

//! What an operator can see. The label values are closed sets: queues, and what a connection is for.

use crate::Queue;

/// What a connection is for, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection(&'static str);

impl Connection {
    pub(crate) const fn publisher() -> Self {
        Self("publisher")
    }

    pub(crate) const fn consumer_of(queue: Queue) -> Self {
        Self(queue.label())
    }

    pub(crate) const fn label(self) -> &'static str {
        self.0
    }

    /// It exists: its series show from the start, at nought.
    pub(crate) fn announce(self) {
        self.came_up_by(0.0);
        self.blocked_by(0.0);
        metrics::counter!("letterbox_broker_reconnects_total", "connection" => self.0).increment(0);
    }

    pub(crate) fn came_up(self) {
        self.came_up_by(1.0);
    }

    pub(crate) fn went_down(self) {
        self.came_up_by(-1.0);
    }

    pub(crate) fn was_blocked(self) {
        self.blocked_by(1.0);
    }

    pub(crate) fn was_unblocked(self) {
        self.blocked_by(-1.0);
    }

    pub(crate) fn reconnects(self) {
        metrics::counter!("letterbox_broker_reconnects_total", "connection" => self.0).increment(1);
    }

    // Counted up and down, not set: a process may have two connections of one kind.
    fn came_up_by(self, change: f64) {
        metrics::gauge!("letterbox_broker_up", "connection" => self.0).increment(change);
    }

    fn blocked_by(self, change: f64) {
        metrics::gauge!("letterbox_broker_blocked", "connection" => self.0).increment(change);
    }
}

/// Messages that the broker confirmed.
pub(crate) fn published(queue: Queue, number: usize) {
    metrics::counter!("letterbox_messages_published_total", "queue" => queue.label())
        .increment(number as u64);
}

/// Messages that the broker was told are done.
pub(crate) fn consumed(queue: Queue, number: usize) {
    metrics::counter!("letterbox_messages_consumed_total", "queue" => queue.label())
        .increment(number as u64);
}

/// Messages that were moved to the dead letter queue.
pub(crate) fn dead_lettered(queue: Queue, number: usize) {
    metrics::counter!("letterbox_dead_letters_total", "queue" => queue.label())
        .increment(number as u64);
}

/// Tells the metrics page what they mean.
pub(crate) fn describe() {
    metrics::describe_gauge!(
        "letterbox_broker_up",
        "connections to the broker that work, by what they are for"
    );
    metrics::describe_counter!(
        "letterbox_broker_reconnects_total",
        "connections to the broker that were lost after they had worked"
    );
    metrics::describe_gauge!(
        "letterbox_broker_blocked",
        "connections that the broker takes no messages from at present, for want of memory or disk"
    );
    metrics::describe_counter!(
        "letterbox_messages_published_total",
        "messages that the broker confirmed"
    );
    metrics::describe_counter!(
        "letterbox_messages_consumed_total",
        "messages that were settled, those refused among them"
    );
    metrics::describe_counter!(
        "letterbox_dead_letters_total",
        "messages that were refused and went to the dead letter queue"
    );
}

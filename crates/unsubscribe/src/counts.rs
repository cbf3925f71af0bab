//! The metrics of the role. They count requests that would change something, so POSTs.

use std::time::Duration;

use domain::KeyState;

/// How a POST ended; the numerator and denominator of the promise in `reliability.md` 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Safe on disk, answered 200.
    Accepted,
    /// No link of ours, or a body that is too large.
    Invalid,
    /// A genuine link that could not be written down: answered 503.
    Unavailable,
}

impl Ended {
    const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Says what the metrics are; a recorder keeps it until the first count.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "letterbox_unsubscribe_requests_total",
        "POSTs to unsubscribe, undo and not-me links, by result"
    );
    metrics::describe_counter!(
        "letterbox_unsubscribe_repeats_total",
        "Such POSTs that repeated one of the last hour and were answered from memory"
    );
    metrics::describe_histogram!(
        "letterbox_unsubscribe_request_duration_seconds",
        metrics::Unit::Seconds,
        "Time from the head of such a POST to its answer, the disk included"
    );
    metrics::describe_counter!(
        "letterbox_unsubscribe_compromised_key_total",
        "Accepted requests whose link was signed by a key that others know"
    );
}

pub(crate) fn ended(how: Ended, after: Duration) {
    metrics::counter!("letterbox_unsubscribe_requests_total", "result" => how.label()).increment(1);
    metrics::histogram!("letterbox_unsubscribe_request_duration_seconds")
        .record(after.as_secs_f64());
}

/// One that was on disk already.
pub(crate) fn repeated() {
    metrics::counter!("letterbox_unsubscribe_repeats_total").increment(1);
}

/// Refusing such a link would break a right, so it counts, and somebody has to know
/// (`privacy.md` 4.4).
pub(crate) fn key_used(state: KeyState) {
    if state == KeyState::Compromised {
        metrics::counter!("letterbox_unsubscribe_compromised_key_total").increment(1);
        tracing::warn!("accepted a link of a compromised key");
    }
}

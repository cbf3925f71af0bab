//! What is counted of a relay: what it answers, how long each stage takes, and the connections that
//! are open. Looked up once and then kept: the lookup costs more than the counting.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::line::Fault;
use super::replies::ServerReply;
use super::stage::Stage;

/// The meters of one relay.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    replies: [[OnceLock<Counter>; Class::ALL]; Stage::ALL],
    seconds: [OnceLock<Histogram>; Stage::ALL],
    connections: OnceLock<Gauge>,
}

/// What came of waiting for a reply.
#[derive(Debug, Clone, Copy)]
enum Class {
    Good,
    GoOn,
    Later,
    Never,
    Eof,
    Timeout,
    Tls,
    Nonsense,
}

impl Class {
    const ALL: usize = 8;

    const fn of(answer: Result<ServerReply, Fault>, stage: Stage) -> Self {
        match answer {
            Ok(ServerReply { code, .. }) => match code / 100 {
                2 => Self::Good,
                3 => Self::GoOn,
                4 => Self::Later,
                5 => Self::Never,
                _ => Self::Nonsense,
            },
            Err(Fault::Silence) => Self::Timeout,
            Err(Fault::Nonsense) => Self::Nonsense,
            Err(_) if matches!(stage, Stage::Tls) => Self::Tls,
            Err(Fault::Closed | Fault::Network(_)) => Self::Eof,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Good => "2xx",
            Self::GoOn => "3xx",
            Self::Later => "4xx",
            Self::Never => "5xx",
            Self::Eof => "eof",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Nonsense => "nonsense",
        }
    }
}

impl Meters {
    /// Counts what a stage ended with, and how long it took.
    pub(crate) fn heard(&self, stage: Stage, answer: Result<ServerReply, Fault>, took: Duration) {
        let class = Class::of(answer, stage);
        self.replies[stage as usize][class as usize]
            .get_or_init(|| {
                metrics::counter!("letterbox_smtp_replies_total",
                    "class" => class.label(), "stage" => stage.label())
            })
            .increment(1);
        self.took(stage, took);
    }

    /// The same for a stage that has no reply; a fault of it is counted like one.
    pub(crate) fn done(&self, stage: Stage, done: Result<(), Fault>, took: Duration) {
        match done {
            Ok(()) => self.took(stage, took),
            Err(fault) => self.heard(stage, Err(fault), took),
        }
    }

    fn took(&self, stage: Stage, took: Duration) {
        self.seconds[stage as usize]
            .get_or_init(|| {
                metrics::histogram!("letterbox_delivery_attempt_duration_seconds",
                    "stage" => stage.label())
            })
            .record(took.as_secs_f64());
    }

    fn connections(&self) -> &Gauge {
        self.connections
            .get_or_init(|| metrics::gauge!("letterbox_smtp_connections"))
    }
}

/// Counts as an open connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Meters>);

impl Counted {
    pub(crate) fn new(meters: Arc<Meters>) -> Self {
        meters.connections().increment(1.0);
        Self(meters)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections().decrement(1.0);
    }
}

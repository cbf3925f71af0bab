//! One connection to the relay, opened when it is needed and kept between messages.

use std::time::Duration;

use domain::Outcome;
use mail::Connection;
use tokio::time::Instant;

use super::Sender;

/// Peers close idle connections sooner or later: we are sooner.
const IDLE: Duration = Duration::from_secs(20);
/// Messages on one connection; many relays stop at a hundred.
const MESSAGES: u32 = 100;

/// A lane's connection.
#[derive(Debug)]
pub(super) struct Line {
    connection: Option<Connection>,
    used_at: Instant,
    carried: u32,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            connection: None,
            used_at: Instant::now(),
            carried: 0,
        }
    }

    /// The connection, a new one where there is none that can be used; none while the relay is away.
    pub(super) async fn open(&mut self, sender: &Sender) -> Option<&mut Connection> {
        let keep = self.connection.as_ref().is_some_and(|connection| {
            connection.is_usable() && self.carried < MESSAGES && self.used_at.elapsed() < IDLE
        });
        if !keep {
            self.close().await;
            if !sender.breaker.may_try(Instant::now()) {
                return None;
            }
            match sender.transport.connect().await {
                Ok(connection) => {
                    sender.breaker.connected();
                    metrics::gauge!("letterbox_smtp_connections").increment(1.0);
                    self.connection = Some(connection);
                    self.carried = 0;
                }
                Err(outcome) => {
                    sender.breaker.failed(stage(&outcome), Instant::now());
                    return None;
                }
            }
        }
        self.used_at = Instant::now();
        self.carried += 1;
        self.connection.as_mut()
    }

    /// Whether the message in hand is not the connection's first: its peer may have closed it while
    /// it was idle.
    pub(super) const fn is_used(&self) -> bool {
        self.carried > 1
    }

    /// Closes a connection that has not been used for long: its peer would, and a server has better
    /// use for it.
    pub(super) async fn rest(&mut self) {
        if self.used_at.elapsed() >= IDLE {
            self.close().await;
        }
    }

    /// Says goodbye, if there is anybody to say it to.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            metrics::gauge!("letterbox_smtp_connections").decrement(1.0);
            if connection.is_usable() {
                connection.close().await;
            }
        }
    }

    /// Drops the connection on the spot: nothing more goes out on it.
    pub(super) fn cut(&mut self) {
        if self.connection.take().is_some() {
            metrics::gauge!("letterbox_smtp_connections").decrement(1.0);
        }
    }
}

fn stage(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::NotSent(stage) => stage,
        _ => "connect",
    }
}

//! One connection to the relay, opened when it is needed and kept between messages.

use domain::MailKind;
use mail::Connection;
use tokio::time::Instant;

use super::Sender;

/// A lane's connection.
#[derive(Debug, Default)]
pub(super) struct Line {
    connection: Option<Connection>,
    carried: u32,
}

impl Line {
    /// The connection, a new one where there is none that can be used; none while the relay is away.
    pub(super) async fn open(
        &mut self,
        sender: &Sender,
        kind: MailKind,
    ) -> Option<&mut Connection> {
        self.rest().await;
        if self.carried >= sender.route.messages(u32::MAX) {
            self.close().await;
        }
        if self.connection.is_none() {
            if !sender.route.may_connect(Instant::now()) {
                return None;
            }
            match sender.transport.connect().await {
                Ok(connection) => {
                    sender.route.connected();
                    self.connection = Some(connection);
                    self.carried = 0;
                }
                Err(outcome) => {
                    sender.route.told(kind, &outcome, Instant::now());
                    return None;
                }
            }
        }
        self.carried += 1;
        self.connection.as_mut()
    }

    /// The message for which it was opened did not begin: it carried nothing, and nobody was idle on it.
    pub(super) const fn not_begun(&mut self) {
        self.carried = self.carried.saturating_sub(1);
    }

    /// Whether the message in hand is not the connection's first: its peer may have closed it while
    /// it was idle.
    pub(super) const fn is_used(&self) -> bool {
        self.carried > 1
    }

    /// Closes a connection that is to take no more: it has carried enough, or was idle for so long that
    /// its peer would close it.
    pub(super) async fn rest(&mut self) {
        let takes_more = |connection: &Connection| connection.may_take_more();
        if !self.connection.as_ref().is_some_and(takes_more) {
            self.close().await;
        }
    }

    /// Says goodbye, if there is anybody to say it to.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.is_usable()
        {
            connection.close().await;
        }
    }

    /// Drops the connection on the spot: nothing more goes out on it.
    pub(super) fn cut(&mut self) {
        self.connection = None;
    }
}

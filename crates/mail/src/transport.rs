//! Where mail goes: to a relay or into a folder.

use std::path::PathBuf;
use std::sync::Arc;

use domain::{EmailAddress, Outcome};

use crate::caught::{CaughtError, CaughtFolder};
use crate::smtp::{SettingsError, SmtpConnection, SmtpRelay, SmtpSettings, WireText};

/// The envelope of one message to one recipient (`privacy.md` EML-20).
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The sender of the envelope, as in `b-…@bounces.example.gov.uk`; ASCII.
    pub return_path: &'a str,
    /// Whom it goes to.
    pub recipient: &'a EmailAddress,
}

/// Takes mail. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transport(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Smtp(Arc<SmtpRelay>),
    Caught(CaughtFolder),
}

/// A connection that carries one message after another.
#[derive(Debug)]
pub struct Connection(Line);

#[derive(Debug)]
enum Line {
    Smtp(Box<SmtpConnection>),
    Caught(CaughtFolder),
}

impl Transport {
    /// A relay. Reads the certificate authorities, and connects to nothing yet.
    ///
    /// # Errors
    /// [`SettingsError`] where the settings cannot be right or no authority is trusted.
    pub fn smtp(settings: SmtpSettings) -> Result<Self, SettingsError> {
        SmtpRelay::new(settings).map(|relay| Self(Kind::Smtp(Arc::new(relay))))
    }

    /// A folder, made on the spot with mode 0700.
    ///
    /// # Errors
    /// [`CaughtError`] where the folder cannot be made.
    pub fn caught(folder: PathBuf) -> Result<Self, CaughtError> {
        CaughtFolder::open(folder).map(|folder| Self(Kind::Caught(folder)))
    }

    /// Opens a connection: up to `AUTH` for a relay.
    ///
    /// # Errors
    /// [`Outcome::NotSent`] with the stage that failed; nobody was mailed.
    pub async fn connect(&self) -> Result<Connection, Outcome> {
        match &self.0 {
            Kind::Smtp(relay) => {
                let connection = relay.connect().await?;
                Ok(Connection(Line::Smtp(Box::new(connection))))
            }
            Kind::Caught(folder) => Ok(Connection(Line::Caught(folder.clone()))),
        }
    }

    /// What is known about a message whose outcome is in doubt: whether the folder has it; none for
    /// a relay, which cannot be asked. `message_id` without angle brackets.
    #[must_use]
    pub fn evidence(&self, message_id: &str) -> Option<bool> {
        match &self.0 {
            Kind::Smtp(_) => None,
            Kind::Caught(folder) => Some(folder.has(message_id)),
        }
    }
}

impl Connection {
    /// Sends one message to one recipient. `before_dot` is called when all of the message but its
    /// end was handed over: it writes down that the dot goes out and looks for the last time
    /// whether it may; `false` closes the connection without the dot ([`Outcome::NotSent`]).
    ///
    /// Dropping the future closes the connection: [`Self::is_usable`] is false then, and the message
    /// is in doubt if and only if `before_dot` had been called and said yes.
    pub async fn send(
        &mut self,
        envelope: &Envelope<'_>,
        text: &WireText,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Outcome {
        self.send_unless_stopped(envelope, text, || true, before_dot)
            .await
    }

    /// As [`Self::send`], with one look more: `before_data` is called before `DATA` is said. Where
    /// the relay takes commands together (`PIPELINING`) that is before `MAIL`, where not it is when the
    /// recipient was taken, however long that took. `false` says no `DATA` and keeps the connection
    /// ([`Outcome::NotSent`]).
    pub async fn send_unless_stopped(
        &mut self,
        envelope: &Envelope<'_>,
        text: &WireText,
        before_data: impl FnOnce() -> bool + Send,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Outcome {
        match &mut self.0 {
            Line::Smtp(connection) => {
                connection
                    .send(envelope, text, before_data, before_dot)
                    .await
            }
            Line::Caught(_) if !before_data() => Outcome::NotSent("stopped"),
            Line::Caught(folder) => {
                folder
                    .deliver(envelope, &text.to_message(), before_dot)
                    .await
            }
        }
    }

    /// Whether the connection is in a known state. One that is not was closed already.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        match &self.0 {
            Line::Smtp(connection) => connection.is_usable(),
            Line::Caught(_) => true,
        }
    }

    /// Whether another message may go this way: the connection is usable, was not idle for long, and
    /// has not carried as many as one may ([`SmtpSettings::messages`]). One that may not is closed, and
    /// a new one taken.
    #[must_use]
    pub fn may_take_more(&self) -> bool {
        match &self.0 {
            Line::Smtp(connection) => connection.may_take_more(),
            Line::Caught(_) => true,
        }
    }

    /// Says goodbye (`QUIT`) and closes; best effort, at most two seconds.
    pub async fn close(self) {
        if let Line::Smtp(connection) = self.0 {
            connection.close().await;
        }
    }
}

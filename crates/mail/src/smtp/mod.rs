//! Our SMTP client.

mod settings;

use domain::Outcome;

use crate::Envelope;
pub use settings::{Credentials, Patience, Security, SettingsError, SmtpSettings};

#[derive(Debug, Clone)]
pub(crate) struct SmtpRelay;
impl SmtpRelay {
    pub(crate) fn new(_settings: SmtpSettings) -> Self {
        Self
    }
    pub(crate) async fn connect(&self) -> Result<SmtpConnection, Outcome> {
        Err(Outcome::NotSent("todo"))
    }
}
#[derive(Debug)]
pub(crate) struct SmtpConnection;
impl SmtpConnection {
    pub(crate) async fn send(
        &mut self,
        _envelope: &Envelope<'_>,
        _message: &[u8],
        _before_dot: impl FnOnce() -> bool,
    ) -> Outcome {
        Outcome::NotSent("todo")
    }
    pub(crate) fn is_usable(&self) -> bool {
        false
    }
    pub(crate) async fn close(self) {}
}

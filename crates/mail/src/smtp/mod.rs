//! Our SMTP client, in lock-step: one command, one write, one whole reply. `settings` says how to
//! reach a relay, `session` gets from nothing to a login, `exchange` sends one message, `line`
//! carries bytes and `replies` finds the replies in them, `stage` says what each of them means.

mod connection;
mod exchange;
mod line;
mod replies;
mod session;
mod settings;
mod stage;
mod tls;
mod wire_text;

pub(crate) use connection::SmtpConnection;
pub(crate) use session::SmtpRelay;
pub use settings::{Credentials, Patience, Security, SettingsError, SmtpSettings};
pub use wire_text::WireText;

//! Our SMTP client: commands together where the relay takes them so, one write a phase, replies
//! matched one by one. `settings` says how to reach a relay, `session` gets from nothing to a login,
//! `connection` carries one message after another and `exchange` one of them: its `commands`, its
//! `wire_text` and its dot. `line` carries bytes and `replies` finds the replies in them, `stage` says
//! what each of them means, `meters` counts them.

mod commands;
mod connection;
mod exchange;
mod line;
mod meters;
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

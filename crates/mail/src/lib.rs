//! Makes the mails that Letterbox may send and hands them to a relay or to a folder.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `compose/` | one file a mail: confirmation, "you already get this", links to leave, issue; `message` is the MIME around them, `words` the English and Welsh |
//! | `../templates/` | the text and HTML of each mail, compiled; `style.css` goes onto the elements |
//! | `dkim/` | signatures in front of a message |
//! | `transport` | a relay or a folder, behind one type |
//! | `smtp/` | our own client: `settings`, `session` (banner to login), `connection` (one message after another), `exchange` (one message), `replies`, `stage`, `wire_text`, `tls` |
//! | `caught` | mail kept as files, for trying Letterbox out |
//!
//! A walk: the sender builds an [`IssueTemplate`] once an issue and language, and
//! [`IssueTemplate::render`]s it for a recipient, which puts in their unsubscribe link and headers.
//! It makes a [`WireText`] of it, takes a [`Connection`] from [`Transport::connect`] and calls
//! [`Connection::send`]; `smtp` says `MAIL`, `RCPT`, `DATA`, writes the text, asks the caller's
//! `before_dot` for the last time, and only then writes the dot. What the relay answered comes back as a [`domain::Outcome`].

mod caught;
mod compose;
mod dkim;
mod smtp;
mod transport;

pub use caught::{CaughtError, CaughtFile, list as list_caught};
pub use compose::{
    AlreadyHeld, AlreadySubscribedMail, ConfirmationMail, FrozenIssue, IssueMail, IssueTemplate,
    LeaveLinksMail, MAX_HTML_BYTES, MailError, Recipient, ThawError, already_subscribed,
    confirmation, leave_links,
};
pub use dkim::{DkimAlgorithm, DkimKey, DkimKeyError, DkimSigner, SignError};
pub use smtp::{Credentials, Patience, Security, SettingsError, SmtpSettings, WireText};
pub use transport::{Connection, Envelope, Transport};

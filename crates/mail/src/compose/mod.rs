//! The mails: what each says (`confirmation`, `already_subscribed`, `issue`), in which words
//! (`words`), what is around all of them (`shell`), and their MIME form (`message`).

mod already_subscribed;
mod confirmation;
mod error;
mod issue;
mod message;
mod shell;
mod words;

pub use already_subscribed::{AlreadyHeld, AlreadySubscribedMail, already_subscribed};
pub use confirmation::{ConfirmationMail, confirmation};
pub use error::MailError;
pub use issue::{IssueMail, IssueTemplate, Recipient};

/// Over this many bytes of HTML, mail programs cut a message off, and with it the unsubscribe link
/// (`privacy.md` EML-26).
pub const MAX_HTML_BYTES: usize = 100_000;

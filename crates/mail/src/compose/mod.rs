//! The mails.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `confirmation`, `already_subscribed`, `leave_links` | mails to one person |
//! | `frozen`, `issue` | an issue as it was approved, and as it is written to each recipient |
//! | `words` | English and Welsh |
//! | `shell` | band, heading and foot around every text |
//! | `letterhead` | headers that all recipients share |
//! | `part` | a text, encoded once, with places for a link |
//! | `message` | the MIME form; refuses a mail that does not end with its link |

mod already_subscribed;
mod confirmation;
mod error;
mod frozen;
mod issue;
mod leave_links;
mod letterhead;
mod message;
mod part;
mod shell;
mod words;

pub use already_subscribed::{AlreadyHeld, AlreadySubscribedMail, already_subscribed};
pub use confirmation::{ConfirmationMail, confirmation};
pub use error::MailError;
pub use frozen::{FrozenIssue, IssueMail, ThawError};
pub use issue::{IssueTemplate, Recipient};
pub use leave_links::{LeaveLinksMail, leave_links};

/// Over this many bytes of HTML, mail programs cut a message off, and with it the unsubscribe link
/// (`privacy.md` EML-26).
pub const MAX_HTML_BYTES: usize = 100_000;

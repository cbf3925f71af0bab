//! The mails themselves.

mod mails;

pub use mails::{
    AlreadyHeld, AlreadySubscribedMail, ConfirmationMail, IssueMail, IssueTemplate, MAX_HTML_BYTES,
    MailError, Recipient, already_subscribed, confirmation,
};

//! Signatures.
use domain::{Body, EmailAddress, Language, Newsletter, Timestamp};
use issue_text::IssueText;

/// Over this many bytes of HTML, mail programs cut a message off, and with it the unsubscribe link
/// (`privacy.md` EML-26).
pub const MAX_HTML_BYTES: usize = 100_000;

/// A mail that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A value holds a line break, a NUL or another control character, or is empty.
    #[error("{0} holds a character that no header may carry, or nothing at all")]
    UnfitHeader(&'static str),
    /// A mailbox of the settings is no address that a mail can come from.
    #[error("{0} is not a mailbox that a mail can come from")]
    UnfitMailbox(&'static str),
    /// The HTML is too long.
    #[error("the issue is {bytes} bytes long as HTML and may have {MAX_HTML_BYTES}; shorten it, or put parts on a page and link to it")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// No newsletter was named.
    #[error("the mail names no newsletter")]
    NoNewsletter,
    /// A template failed.
    #[error("a template failed")]
    Template(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Asks whether a sign-up was meant.
#[derive(Debug, Clone, Copy)]
pub struct ConfirmationMail<'a> {
    /// Who asks.
    pub body: &'a Body,
    /// What was chosen: at least one; the first one's mailbox is the sender.
    pub newsletters: &'a [&'a Newsletter],
    /// The language of the mail.
    pub language: Language,
    /// Whom it goes to.
    pub recipient: &'a EmailAddress,
    /// Where the pages are, without a slash at the end.
    pub base_url: &'a str,
    /// The link that opens the confirm page.
    pub confirm_url: &'a str,
    /// The link that says "this wasn't me"; takes a one-click POST.
    pub not_me_url: &'a str,
    /// `local@domain`, without angle brackets.
    pub message_id: &'a str,
    /// The date of the mail.
    pub date: Timestamp,
}

/// A newsletter that somebody gets already.
#[derive(Debug, Clone, Copy)]
pub struct AlreadyHeld<'a> {
    /// The newsletter.
    pub newsletter: &'a Newsletter,
    /// The link that ends it.
    pub unsubscribe_url: &'a str,
}

/// Answers a sign-up of somebody who gets the newsletter already.
#[derive(Debug, Clone, Copy)]
pub struct AlreadySubscribedMail<'a> {
    /// Who answers.
    pub body: &'a Body,
    /// What they get: at least one; the first one's mailbox is the sender, and its link stands in
    /// the `List-Unsubscribe` header.
    pub held: &'a [AlreadyHeld<'a>],
    /// The language of the mail.
    pub language: Language,
    /// Whom it goes to.
    pub recipient: &'a EmailAddress,
    /// Where the pages are, without a slash at the end.
    pub base_url: &'a str,
    /// `local@domain`, without angle brackets.
    pub message_id: &'a str,
    /// The date of the mail.
    pub date: Timestamp,
}

/// An issue, before anybody in particular gets it.
#[derive(Debug, Clone, Copy)]
pub struct IssueMail<'a> {
    /// Who sends.
    pub body: &'a Body,
    /// The newsletter.
    pub newsletter: &'a Newsletter,
    /// The language of this text.
    pub language: Language,
    /// What it says.
    pub text: &'a IssueText,
    /// Where the pages are, without a slash at the end.
    pub base_url: &'a str,
}

/// What differs from recipient to recipient.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// Whom it goes to.
    pub address: &'a EmailAddress,
    /// The link that ends this subscription.
    pub unsubscribe_url: &'a str,
    /// `local@domain`, without angle brackets.
    pub message_id: &'a str,
    /// The date of the mail.
    pub date: Timestamp,
}

/// An issue in one language, ready for its recipients.
#[derive(Debug, Clone)]
pub struct IssueTemplate {}

impl IssueTemplate {
    /// Renders all that is the same for everybody.
    ///
    /// # Errors
    /// [`MailError`] where the issue or the settings cannot make a mail.
    pub fn new(_mail: &IssueMail<'_>) -> Result<Self, MailError> {
        Ok(Self {})
    }

    /// The message for one recipient.
    ///
    /// # Errors
    /// [`MailError`] where a value fits no header.
    pub fn render(&self, _recipient: &Recipient<'_>) -> Result<Vec<u8>, MailError> {
        Ok(Vec::new())
    }
}

/// The mail that asks whether a sign-up was meant.
///
/// # Errors
/// [`MailError`] where a value fits no header.
pub fn confirmation(_mail: &ConfirmationMail<'_>) -> Result<Vec<u8>, MailError> {
    Ok(Vec::new())
}

/// The mail that says "you already get this".
///
/// # Errors
/// [`MailError`] where a value fits no header.
pub fn already_subscribed(_mail: &AlreadySubscribedMail<'_>) -> Result<Vec<u8>, MailError> {
    Ok(Vec::new())
}

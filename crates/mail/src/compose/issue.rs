//! An issue on its way: rendered and encoded once an issue and language, completed for each recipient.

use domain::{EmailAddress, IssueNumber, MailKind, Timestamp};

use super::MailError;
use super::frozen::{FrozenIssue, ThawError};
use super::letterhead::Letterhead;
use super::message::{Sheet, write};
use super::part::Part;

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

/// An issue in one language, ready for its recipients: header lines and encoded pieces between which
/// their unsubscribe link is put. Nothing is parsed or encoded again for any of them.
#[derive(Debug, Clone)]
pub struct IssueTemplate {
    letterhead: Letterhead,
    text: Part,
    html: Part,
}

impl IssueTemplate {
    /// From what was approved.
    ///
    /// # Errors
    /// [`ThawError`] where it is not that any more.
    pub fn thaw(frozen: &FrozenIssue, number: IssueNumber) -> Result<Self, ThawError> {
        frozen.check()?;
        let mut letterhead = Letterhead::written(MailKind::Issue, &frozen.sender, &frozen.headers);
        letterhead.push_feedback_id(number, &frozen.feedback);
        let unfit = |_| ThawError::Unfit;
        Ok(Self {
            letterhead,
            text: Part::text(&frozen.text, &frozen.place).map_err(unfit)?,
            html: Part::html(&frozen.html, &frozen.place).map_err(unfit)?,
        })
    }

    /// The mailbox that the issue comes from.
    #[must_use]
    pub fn sender(&self) -> &str {
        self.letterhead.sender()
    }

    /// The domain of that mailbox: of Message-IDs and signatures.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.letterhead.domain()
    }

    /// The message for one recipient.
    ///
    /// # Errors
    /// [`MailError`] where a value fits no header.
    pub fn render(&self, recipient: &Recipient<'_>) -> Result<Vec<u8>, MailError> {
        let sheet = Sheet {
            to: recipient.address,
            message_id: recipient.message_id,
            date: recipient.date,
            link: recipient.unsubscribe_url,
        };
        write(&self.letterhead, &sheet, &self.text, &self.html)
    }
}

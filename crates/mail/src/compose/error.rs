//! Why a mail cannot be made.

use domain::MailKind;

use super::MAX_HTML_BYTES;

/// A mail that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A value that no header may carry.
    #[error("{0} is empty, too long, or holds a line break or another control character")]
    UnfitHeader(&'static str),
    /// A mailbox of the settings that is no address a mail can come from.
    #[error("{0} is not a mailbox that a mail can come from, like news@example.gov.uk")]
    UnfitMailbox(&'static str),
    /// A link that is neither https nor on this machine.
    #[error("{0} is not an https address")]
    UnfitLink(&'static str),
    /// A colour that is not `#rrggbb`.
    #[error("the body's colour is not written #rrggbb")]
    UnfitColour,
    /// More HTML than mail programs show.
    #[error(
        "the mail has {bytes} bytes of HTML and may have {MAX_HTML_BYTES}; shorten it, or put parts on a page and link to that"
    )]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// A mail that does not end with the link that mails of its kind end with.
    #[error("a mail of the kind {} does not end with its link", .0.label())]
    NoLastLink(MailKind),
    /// No newsletter was named.
    #[error("the mail names no newsletter")]
    NoNewsletter,
    /// A template failed.
    #[error("a template failed")]
    Template(#[from] askama::Error),
    /// The styles could not be put onto the elements.
    #[error("the styles could not be put onto the elements")]
    Styles(#[from] css_inline::InlineError),
    /// The message could not be written.
    #[error("the message could not be written")]
    Message(#[from] std::io::Error),
}

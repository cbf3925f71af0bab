//! The headers that all recipients of a mail share, written once.

use data_encoding::{BASE32_NOPAD, BASE64};
use domain::{Body, EmailAddress, IssueNumber, Language, MailKind, Newsletter};
use mail_builder::headers::Header;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;

use super::MailError;

/// Header lines with CRLF, and whom they say the mail is from.
#[derive(Debug, Clone)]
pub(crate) struct Letterhead {
    kind: MailKind,
    /// `local@domain`, ASCII.
    sender: String,
    lines: String,
}

impl Letterhead {
    /// Of a mail of this kind, from a newsletter's mailbox.
    pub(crate) fn new(
        kind: MailKind,
        body: &Body,
        newsletter: &Newsletter,
        from_name: &str,
        language: Language,
        subject: &str,
    ) -> Result<Self, MailError> {
        let from_name = fit_name("the sender's name", from_name)?;
        let sender = mailbox(
            "the newsletter's sender address",
            &newsletter.sender_address,
        )?;
        let reply_to = mailbox("the body's reply-to address", &body.reply_to)?;
        let subject = fit("the subject", subject)?;
        let mut letterhead = Self {
            kind,
            sender: String::new(),
            lines: String::with_capacity(1_024),
        };
        letterhead.push("From", &address(Some(from_name), &sender).into());
        letterhead.push("Reply-To", &address(None, &reply_to).into());
        letterhead.push("Subject", &encoded(subject));
        letterhead.push("MIME-Version", &raw("1.0"));
        letterhead.push("Content-Language", &raw(language.tag()));
        if kind != MailKind::Issue {
            // An answer, or a notice that nobody should answer by a machine (RFC 3834).
            letterhead.push("Auto-Submitted", &raw("auto-generated"));
            letterhead.push("X-Auto-Response-Suppress", &raw("All"));
        }
        letterhead.sender = sender;
        Ok(letterhead)
    }

    /// Of an issue: from the newsletter, with what mail programs know a list by (RFC 2919, RFC 2369).
    pub(crate) fn issue(
        body: &Body,
        newsletter: &Newsletter,
        language: Language,
        subject: &str,
        base_url: &str,
    ) -> Result<Self, MailError> {
        let name = newsletter.name.in_language(language);
        let mut letterhead = Self::new(MailKind::Issue, body, newsletter, name, language, subject)?;
        let list = {
            let domain = letterhead.domain();
            // The lists of a domain have a name of their own there, unless all of it is for news.
            let news = if domain.starts_with("news.") {
                ""
            } else {
                "news."
            };
            format!("{}.{news}{domain}", newsletter.slug)
        };
        // One name whatever the language: the header is the same for the life of the list.
        let list_name = fit_name("the newsletter's name", &newsletter.name.en)?;
        letterhead.push("List-Id", &address(Some(list_name), &list).into());
        let page = format!("<{base_url}/newsletters/{}>", newsletter.slug);
        letterhead.push("List-Subscribe", &raw(&page));
        letterhead.push("List-Help", &raw(&format!("<{base_url}/privacy>")));
        if let Ok(owner) = mailbox("the data protection officer's address", &body.dpo_email) {
            letterhead.push("List-Owner", &raw(&format!("<mailto:{owner}>")));
        }
        letterhead.push("List-Post", &raw("NO"));
        letterhead.push("Precedence", &raw("bulk"));
        Ok(letterhead)
    }

    /// One that was written before.
    pub(super) fn written(kind: MailKind, sender: &str, lines: &str) -> Self {
        Self {
            kind,
            sender: sender.to_owned(),
            lines: lines.to_owned(),
        }
    }

    /// Adds what providers count complaints by: the issue and who sends, nothing of a recipient
    /// (`privacy.md` EML-47).
    pub(super) fn push_feedback_id(&mut self, issue: IssueNumber, rest: &str) {
        self.push("Feedback-ID", &raw(&format!("{}:{rest}", issue.0)));
    }

    /// What stands behind the issue's number in a `Feedback-ID`: newsletter, product, and the sending
    /// domain in letters that fit there.
    pub(super) fn feedback(&self, newsletter: &Newsletter) -> String {
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            format!("letterbox/sender/{}", self.domain()).as_bytes(),
        );
        let sender = BASE32_NOPAD.encode(&digest.as_ref()[..5]);
        let sender = sender.to_ascii_lowercase();
        format!("{}:letterbox:{sender}", newsletter.slug)
    }

    pub(crate) const fn kind(&self) -> MailKind {
        self.kind
    }

    /// The mailbox in `From`.
    pub(crate) fn sender(&self) -> &str {
        &self.sender
    }

    /// Its domain.
    pub(crate) fn domain(&self) -> &str {
        self.sender.rsplit('@').next().unwrap_or_default()
    }

    /// The header lines.
    pub(crate) fn lines(&self) -> &str {
        &self.lines
    }

    fn push(&mut self, name: &str, value: &HeaderType<'_>) {
        let mut line = format!("{name}: ").into_bytes();
        let column = line.len();
        match value {
            HeaderType::Address(value) => value.write_header(&mut line, column),
            HeaderType::Text(value) => value.write_header(&mut line, column),
            HeaderType::Raw(value) => value.write_header(&mut line, column),
            other => unreachable!("no header of ours is {other:?}"),
        }
        self.lines.push_str(&String::from_utf8_lossy(&line));
    }
}

fn raw(text: &str) -> HeaderType<'_> {
    Raw::new(text).into()
}

fn address<'a>(name: Option<&'a str>, mailbox: &'a str) -> Address<'a> {
    Address::new_address(name, mailbox)
}

/// The builder encodes what is not ASCII, and leaves ASCII alone even where a reader would take it
/// for something encoded; so that is encoded here (RFC 2047: at most 75 characters a word).
fn encoded(text: &str) -> HeaderType<'_> {
    if !text.is_ascii() || !text.contains("=?") {
        return Text::new(text).into();
    }
    let words = text.as_bytes().chunks(45);
    let words = words.map(|chunk| format!("=?utf-8?B?{}?=", BASE64.encode(chunk)));
    Raw::new(words.collect::<Vec<_>>().join(" ")).into()
}

/// Text for a header: nothing that could end it (`privacy.md` section 6).
fn fit<'a>(name: &'static str, text: &'a str) -> Result<&'a str, MailError> {
    let text = text.trim();
    if text.is_empty() || text.len() > 600 || text.contains(char::is_control) {
        return Err(MailError::UnfitHeader(name));
    }
    Ok(text)
}

/// A name beside an address: it may not look like something encoded either.
fn fit_name<'a>(name: &'static str, text: &'a str) -> Result<&'a str, MailError> {
    if text.contains("=?") {
        return Err(MailError::UnfitHeader(name));
    }
    fit(name, text)
}

/// A mailbox of ours: ASCII, its domain as A-label.
fn mailbox(name: &'static str, text: &str) -> Result<String, MailError> {
    let address = EmailAddress::parse(text).map_err(|_| MailError::UnfitMailbox(name))?;
    if address.needs_smtputf8() {
        return Err(MailError::UnfitMailbox(name));
    }
    Ok(address.smtp_path().to_string())
}

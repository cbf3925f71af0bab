//! An issue as it was approved: what is sent, word for word, whatever template, catalogue or version
//! comes later.

use askama::Template;
use aws_lc_rs::digest::{Context, SHA256};
use domain::{Body, Language, MailKind, Newsletter};
use issue_text::IssueText;

use super::letterhead::Letterhead;
use super::message::check_ending;
use super::shell::{Shell, with_styles};
use super::words::Say;
use super::{MAX_HTML_BYTES, MailError};

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

/// An issue in one language with all that its recipients share, to be stored when it is approved. Every
/// field but the hash is part of the hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenIssue {
    /// The language of this text.
    pub language: Language,
    /// The subject, as it was written.
    pub subject: String,
    /// What mail programs show beside the subject.
    pub preheader: String,
    /// The mailbox that it comes from, ASCII; its domain signs.
    pub sender: String,
    /// Header lines with CRLF that all recipients share.
    pub headers: String,
    /// What stands behind the issue's number in `Feedback-ID`.
    pub feedback: String,
    /// An address that stands in both texts wherever a recipient's unsubscribe link goes.
    pub place: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: String,
    /// Over all of the above: [`FrozenIssue::hash`].
    pub sha256: [u8; 32],
}

/// A stored issue that is not what was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ThawError {
    /// Something in it was changed.
    #[error("the stored issue is not what its hash was taken of")]
    Changed,
    /// A newer version wrote it, or somebody who knows how to take a hash.
    #[error("the stored issue is not one that can be sent")]
    Unfit,
}

#[derive(Template)]
#[template(path = "issue.html")]
struct HtmlPart<'a> {
    shell: &'a Shell<'a>,
    html: &'a str,
    unsubscribe_words: &'a str,
    unsubscribe_url: &'a str,
}

#[derive(Template)]
#[template(path = "issue.txt")]
struct TextPart<'a> {
    shell: &'a Shell<'a>,
    text: &'a str,
    unsubscribe_words: &'a str,
    unsubscribe_url: &'a str,
}

/// The longest unsubscribe link that a mail takes, with `&` written as `&amp;`.
const ROOM_FOR_LINK: usize = 1_000;

impl FrozenIssue {
    /// Renders all that is the same for everybody.
    ///
    /// # Errors
    /// [`MailError`] where the issue or the settings cannot make a mail.
    pub fn new(mail: &IssueMail<'_>) -> Result<Self, MailError> {
        let say = Say(mail.language);
        let rendered = issue_text::render(&mail.text.markdown);
        let name = mail.newsletter.name.in_language(mail.language);
        let body_name = mail.body.name.in_language(mail.language);
        let title = mail.text.subject.trim();
        let letterhead = Letterhead::issue(
            mail.body,
            mail.newsletter,
            mail.language,
            title,
            mail.base_url,
        )?;

        let why = say.why_issue(name, body_name);
        let mut shell = Shell::new(mail.body, mail.language, mail.base_url, title, why)?;
        shell.under = name;
        shell.preheader = mail.text.preheader.trim();
        let unsubscribe_words = say.unsubscribe(name);
        let (shell, unsubscribe_words) = (&shell, unsubscribe_words.as_str());
        let place = unused_address(&[title, shell.preheader, &rendered.html, &rendered.text]);
        let html = with_styles(
            &HtmlPart {
                shell,
                html: &rendered.html,
                unsubscribe_words,
                unsubscribe_url: &place,
            }
            .render()?,
            shell.colour,
        )?;
        let text = TextPart {
            shell,
            text: &rendered.text,
            unsubscribe_words,
            unsubscribe_url: &place,
        }
        .render()?;
        if html.len() + ROOM_FOR_LINK > MAX_HTML_BYTES {
            return Err(MailError::TooLong { bytes: html.len() });
        }
        check_ending(MailKind::Issue, &text, &html, &place)?;
        let mut frozen = Self {
            language: mail.language,
            subject: title.to_owned(),
            preheader: shell.preheader.to_owned(),
            sender: letterhead.sender().to_owned(),
            headers: letterhead.lines().to_owned(),
            feedback: letterhead.feedback(mail.newsletter),
            place,
            text,
            html,
            sha256: [0; 32],
        };
        frozen.sha256 = frozen.hash();
        Ok(frozen)
    }

    /// SHA-256 over a version, then the language and each field in the order they stand here, its
    /// length as 8 bytes before it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        for field in [
            "letterbox/frozen-issue/v1",
            self.language.tag(),
            &self.subject,
            &self.preheader,
            &self.sender,
            &self.headers,
            &self.feedback,
            &self.place,
            &self.text,
            &self.html,
        ] {
            hash.update(&(field.len() as u64).to_be_bytes());
            hash.update(field.as_bytes());
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(hash.finish().as_ref());
        sha256
    }

    /// Refuses what was changed since, and what could not be a mail.
    pub(super) fn check(&self) -> Result<(), ThawError> {
        if self.hash() != self.sha256 {
            return Err(ThawError::Changed);
        }
        let lines_fit = |text: &str| {
            text.ends_with("\r\n")
                && !text.starts_with([' ', '\t', '\r'])
                && !text.contains("\r\n\r\n")
                && !text.replace("\r\n", "").contains(['\r', '\n'])
        };
        let fits = self.headers.is_ascii()
            && lines_fit(&self.headers)
            && self.feedback.bytes().all(|byte| byte.is_ascii_graphic())
            && !self.place.is_empty()
            && check_ending(MailKind::Issue, &self.text, &self.html, &self.place).is_ok();
        if fits { Ok(()) } else { Err(ThawError::Unfit) }
    }
}

/// An address that stands for the unsubscribe link until it is known, and that the issue itself
/// does not contain.
fn unused_address(texts: &[&str]) -> String {
    let longest: usize = texts.iter().map(|text| text.len()).sum();
    (0..=longest)
        .map(|number| format!("https://unsubscribe.invalid/{number}/"))
        .find(|address| !texts.iter().any(|text| text.contains(address)))
        .expect("texts contain fewer addresses than bytes")
}

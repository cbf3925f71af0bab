//! An issue: rendered once an issue and language, completed for each recipient.

use askama::Template;
use domain::{Body, EmailAddress, Language, Newsletter, Timestamp};
use issue_text::IssueText;

use super::message::{Letterhead, Sheet};
use super::shell::{Shell, check_link, with_styles};
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

/// An issue in one language, ready for its recipients: all but the unsubscribe link, which is put
/// between the pieces.
#[derive(Debug, Clone)]
pub struct IssueTemplate {
    letterhead: Letterhead,
    html: Vec<String>,
    text: Vec<String>,
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

/// The longest unsubscribe link that [`check_link`] lets through, with `&` written as `&amp;`.
const ROOM_FOR_LINK: usize = 1_000;

impl IssueTemplate {
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
        let letterhead = Letterhead::issue(mail.body, mail.newsletter, mail.language, title)?;

        let why = say.why_issue(name, body_name);
        let mut shell = Shell::new(mail.body, mail.language, mail.base_url, title, why)?;
        shell.under = name;
        shell.preheader = mail.text.preheader.trim();
        let unsubscribe_words = say.unsubscribe(name);
        let (shell, unsubscribe_words) = (&shell, unsubscribe_words.as_str());
        let place = &unused_address(&[title, shell.preheader, &rendered.html, &rendered.text]);
        let html = with_styles(
            &HtmlPart {
                shell,
                html: &rendered.html,
                unsubscribe_words,
                unsubscribe_url: place,
            }
            .render()?,
            shell.colour,
        )?;
        let text = TextPart {
            shell,
            text: &rendered.text,
            unsubscribe_words,
            unsubscribe_url: place,
        }
        .render()?;
        if html.len() + ROOM_FOR_LINK > MAX_HTML_BYTES {
            return Err(MailError::TooLong { bytes: html.len() });
        }
        let pieces = |text: &str| text.split(place).map(str::to_owned).collect();
        Ok(Self {
            letterhead,
            html: pieces(&html),
            text: pieces(&text),
        })
    }

    /// The message for one recipient.
    ///
    /// # Errors
    /// [`MailError`] where a value fits no header.
    pub fn render(&self, recipient: &Recipient<'_>) -> Result<Vec<u8>, MailError> {
        let url = recipient.unsubscribe_url;
        check_link("the unsubscribe link", url)?;
        let in_html = url.replace('&', "&amp;").replace('\'', "&#39;");
        self.letterhead.write(&Sheet {
            to: recipient.address,
            message_id: recipient.message_id,
            date: recipient.date,
            leave_url: url,
            text: &self.text.join(url),
            html: &self.html.join(&in_html),
        })
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

//! The answer to a sign-up of somebody who gets the newsletter already.

use askama::Template;
use domain::{Body, EmailAddress, Language, MailKind, Newsletter, Timestamp};

use super::MailError;
use super::letterhead::Letterhead;
use super::message::{Sheet, write_once};
use super::shell::{Item, Shell, check_link, with_styles};
use super::words::Say;

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

/// What the two templates say.
struct Letter<'a> {
    asked: String,
    items: Vec<Item<'a>>,
    nothing_to_do: &'static str,
    leave: Vec<Leave<'a>>,
}

/// A link to leave, with its words.
pub(super) struct Leave<'a> {
    pub(super) words: String,
    pub(super) url: &'a str,
}

impl<'a> Leave<'a> {
    pub(super) fn list(held: &[AlreadyHeld<'a>], language: Language) -> Vec<Self> {
        held.iter()
            .map(|held| Self {
                words: Say(language).unsubscribe(held.newsletter.name.in_language(language)),
                url: held.unsubscribe_url,
            })
            .collect()
    }
}

#[derive(Template)]
#[template(path = "already.html")]
struct Html<'a> {
    shell: &'a Shell<'a>,
    letter: &'a Letter<'a>,
}

#[derive(Template)]
#[template(path = "already.txt")]
struct Text<'a> {
    shell: &'a Shell<'a>,
    letter: &'a Letter<'a>,
}

/// The mail that says "you already get this", with the link to leave each newsletter at the bottom.
///
/// # Errors
/// [`MailError`] where a value fits no header or no newsletter is named.
pub fn already_subscribed(mail: &AlreadySubscribedMail<'_>) -> Result<Vec<u8>, MailError> {
    let say = Say(mail.language);
    let [first, ..] = mail.held else {
        return Err(MailError::NoNewsletter);
    };
    let last = mail.held.last().unwrap_or(first);
    let several = mail.held.len() > 1;
    let body_name = mail.body.name.in_language(mail.language);
    let first_name = first.newsletter.name.in_language(mail.language);
    let title = say.already_title((!several).then_some(first_name));
    for held in mail.held {
        check_link("the unsubscribe link", held.unsubscribe_url)?;
    }
    let letter = Letter {
        asked: say.asked(body_name, several),
        items: Item::list(mail.held.iter().map(|held| held.newsletter), mail.language),
        nothing_to_do: say.already(several),
        leave: Leave::list(mail.held, mail.language),
    };
    let why = say.why_sign_up(body_name);
    let mut shell = Shell::new(mail.body, mail.language, mail.base_url, &title, why)?;
    shell.preheader = say.already_preheader();
    let (shell, letter) = (&shell, &letter);
    let html = with_styles(&Html { shell, letter }.render()?, shell.colour)?;
    let text = Text { shell, letter }.render()?;
    let letterhead = Letterhead::new(
        MailKind::AlreadySubscribed,
        mail.body,
        first.newsletter,
        body_name,
        mail.language,
        &title,
    )?;
    let sheet = Sheet {
        to: mail.recipient,
        message_id: mail.message_id,
        date: mail.date,
        link: first.unsubscribe_url,
    };
    write_once(&letterhead, &sheet, &text, &html, last.unsubscribe_url)
}

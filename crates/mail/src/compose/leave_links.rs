//! The answer to somebody who asked how to leave without an old mail at hand.

use askama::Template;
use domain::{Body, EmailAddress, Language, MailKind, Newsletter, Timestamp};

use super::MailError;
use super::already_subscribed::{AlreadyHeld, Leave};
use super::letterhead::Letterhead;
use super::message::{Sheet, write_once};
use super::shell::{Item, Shell, check_link, with_styles};
use super::words::Say;

/// Answers somebody who asked how to leave.
#[derive(Debug, Clone, Copy)]
pub struct LeaveLinksMail<'a> {
    /// Who answers.
    pub body: &'a Body,
    /// Whose mailbox is the sender.
    pub sender: &'a Newsletter,
    /// What they get, each with the link that ends it; may be nothing.
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
    what_to_do: &'static str,
    not_you: &'static str,
    links: Vec<Leave<'a>>,
}

#[derive(Template)]
#[template(path = "leave_links.html")]
struct Html<'a> {
    shell: &'a Shell<'a>,
    letter: &'a Letter<'a>,
}

#[derive(Template)]
#[template(path = "leave_links.txt")]
struct Text<'a> {
    shell: &'a Shell<'a>,
    letter: &'a Letter<'a>,
}

/// The mail with a link for each newsletter that the address gets, or that says that it gets none and
/// leads to the form again. None of its links takes effect by one click: a person asked, and reads.
///
/// # Errors
/// [`MailError`] where a value fits no header.
pub fn leave_links(mail: &LeaveLinksMail<'_>) -> Result<Vec<u8>, MailError> {
    let say = Say(mail.language);
    let body_name = mail.body.name.in_language(mail.language);
    let is_none = mail.held.is_empty();
    let title = say.leave_links_title(is_none);
    for held in mail.held {
        check_link("the unsubscribe link", held.unsubscribe_url)?;
    }
    let form = format!("{}/leave?lang={}", mail.base_url, mail.language.tag());
    let links = if is_none {
        vec![Leave {
            words: say.ask_again().to_owned(),
            url: &form,
        }]
    } else {
        Leave::list(mail.held, mail.language)
    };
    let last = links.last().map_or(form.as_str(), |link| link.url);
    let letter = Letter {
        asked: say.asked_to_leave(body_name, is_none),
        items: Item::list(mail.held.iter().map(|held| held.newsletter), mail.language),
        what_to_do: say.leave_links(is_none),
        not_you: say.leave_links_not_you(),
        links,
    };
    let why = say.why_leave_links(body_name);
    let mut shell = Shell::new(mail.body, mail.language, mail.base_url, title, why)?;
    shell.preheader = say.leave_links_preheader(is_none);
    let (shell, letter) = (&shell, &letter);
    let html = with_styles(&Html { shell, letter }.render()?, shell.colour)?;
    let text = Text { shell, letter }.render()?;
    let letterhead = Letterhead::new(
        MailKind::RightsReply,
        mail.body,
        mail.sender,
        body_name,
        mail.language,
        title,
    )?;
    let sheet = Sheet {
        to: mail.recipient,
        message_id: mail.message_id,
        date: mail.date,
        link: last,
    };
    write_once(&letterhead, &sheet, &text, &html, last)
}

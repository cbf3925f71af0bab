//! The mail that asks whether a sign-up was meant.

use askama::Template;
use domain::{Body, CONFIRMATION_DAYS, EmailAddress, Language, MailKind, Newsletter, Timestamp};

use super::MailError;
use super::letterhead::Letterhead;
use super::message::{Sheet, write_once};
use super::shell::{Item, Shell, check_link, with_styles};
use super::words::Say;

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

/// What the two templates say.
struct Letter<'a> {
    asked: String,
    items: Vec<Item<'a>>,
    what_to_do: &'static str,
    confirm_words: &'static str,
    confirm_url: &'a str,
    expires: String,
    use_heading: &'static str,
    purpose: String,
    not_me_lead: &'static str,
    not_me_words: &'static str,
    not_me_url: &'a str,
}

#[derive(Template)]
#[template(path = "confirmation.html")]
struct Html<'a> {
    shell: &'a Shell<'a>,
    letter: &'a Letter<'a>,
}

#[derive(Template)]
#[template(path = "confirmation.txt")]
struct Text<'a> {
    shell: &'a Shell<'a>,
    letter: &'a Letter<'a>,
}

/// The mail that asks whether a sign-up was meant: what was chosen, the link to confirm, what the
/// address is used for and for how long, and "this wasn't me" as the last block, which also stands
/// in `List-Unsubscribe` and works there (`privacy.md` EML-08).
///
/// # Errors
/// [`MailError`] where a value fits no header or no newsletter is named.
pub fn confirmation(mail: &ConfirmationMail<'_>) -> Result<Vec<u8>, MailError> {
    let say = Say(mail.language);
    let first = mail.newsletters.first().ok_or(MailError::NoNewsletter)?;
    let several = mail.newsletters.len() > 1;
    let body_name = mail.body.name.in_language(mail.language);
    let first_name = first.name.in_language(mail.language);
    let title = say.confirm_title((!several).then_some(first_name));
    let preheader = say.confirm_preheader(CONFIRMATION_DAYS);
    check_link("the confirm link", mail.confirm_url)?;
    check_link("the \"not me\" link", mail.not_me_url)?;

    let longest = mail.newsletters.iter().map(|it| it.retention_days).max();
    let letter = Letter {
        asked: say.asked(body_name, several),
        items: Item::list(mail.newsletters.iter().copied(), mail.language),
        what_to_do: say.what_to_do(),
        confirm_words: say.confirm(),
        confirm_url: mail.confirm_url,
        expires: say.expires(CONFIRMATION_DAYS),
        use_heading: say.use_heading(),
        purpose: [
            say.purpose(),
            &say.retention(longest.unwrap_or_default()),
            say.withdrawal(),
        ]
        .join(" "),
        not_me_lead: say.not_me_lead(),
        not_me_words: say.not_me(),
        not_me_url: mail.not_me_url,
    };
    let why = say.why_sign_up(body_name);
    let mut shell = Shell::new(mail.body, mail.language, mail.base_url, &title, why)?;
    shell.preheader = &preheader;
    let (shell, letter) = (&shell, &letter);
    let html = with_styles(&Html { shell, letter }.render()?, shell.colour)?;
    let text = Text { shell, letter }.render()?;
    let letterhead = Letterhead::new(
        MailKind::Confirmation,
        mail.body,
        first,
        body_name,
        mail.language,
        &title,
    )?;
    let sheet = Sheet {
        to: mail.recipient,
        message_id: mail.message_id,
        date: mail.date,
        link: mail.not_me_url,
    };
    write_once(&letterhead, &sheet, &text, &html, mail.not_me_url)
}

//! The MIME form of every mail: two parts, text first, quoted-printable, 7-bit, CRLF (`privacy.md`
//! 3.2). The same values give the same bytes.

use data_encoding::BASE64;
use domain::{Body, EmailAddress, Language, Newsletter, Timestamp};
use mail_builder::MessageBuilder;
use mail_builder::encoders::quoted_printable::QuotedPrintableEncoder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};

use super::MailError;
use super::shell::check_link;

/// The headers that all recipients of a mail share.
#[derive(Debug, Clone)]
pub(crate) struct Letterhead {
    from_name: String,
    from: String,
    reply_to: String,
    subject: String,
    language: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A newsletter, with the phrase and the id of its `List-Id`.
    List { name: String, id: String },
    /// An answer to a sign-up (RFC 3834).
    Automatic,
}

/// What differs from recipient to recipient.
pub(crate) struct Sheet<'a> {
    pub(crate) to: &'a EmailAddress,
    pub(crate) message_id: &'a str,
    pub(crate) date: Timestamp,
    /// The one URI of `List-Unsubscribe`.
    pub(crate) leave_url: &'a str,
    pub(crate) text: &'a str,
    pub(crate) html: &'a str,
}

impl Letterhead {
    /// Of an issue: from the newsletter.
    pub(crate) fn issue(
        body: &Body,
        newsletter: &Newsletter,
        language: Language,
        subject: &str,
    ) -> Result<Self, MailError> {
        let name = newsletter.name.in_language(language);
        let mut letterhead = Self::automatic(body, newsletter, name, language, subject)?;
        let domain = letterhead.from.rsplit('@').next().unwrap_or_default();
        // The lists of a domain have a name of their own there, unless all of it is for news.
        let news = if domain.starts_with("news.") {
            ""
        } else {
            "news."
        };
        let id = format!("{}.{news}{domain}", newsletter.slug);
        letterhead.kind = Kind::List {
            // One name whatever the language: the header is the same for the life of the list.
            name: fit_name("the newsletter's name", &newsletter.name.en)?.to_owned(),
            id,
        };
        Ok(letterhead)
    }

    /// Of an answer to a sign-up, from the first newsletter's mailbox.
    pub(crate) fn automatic(
        body: &Body,
        newsletter: &Newsletter,
        from_name: &str,
        language: Language,
        subject: &str,
    ) -> Result<Self, MailError> {
        Ok(Self {
            from_name: fit_name("the sender's name", from_name)?.to_owned(),
            from: mailbox(
                "the newsletter's sender address",
                &newsletter.sender_address,
            )?,
            reply_to: mailbox("the body's reply-to address", &body.reply_to)?,
            subject: fit("the subject", subject)?.to_owned(),
            language: language.tag(),
            kind: Kind::Automatic,
        })
    }

    /// Writes a message.
    pub(crate) fn write(&self, sheet: &Sheet<'_>) -> Result<Vec<u8>, MailError> {
        check_link("the unsubscribe link", sheet.leave_url)?;
        let message_id = fit_message_id(sheet.message_id)?;
        let to = sheet.to.smtp_path();
        let seconds = i64::try_from(sheet.date.as_millis() / 1_000).unwrap_or(i64::MAX);
        let mut message = MessageBuilder::new()
            .header("From", address(Some(&self.from_name), &self.from))
            .header("To", address(None, &to))
            .header("Reply-To", address(None, &self.reply_to))
            .header("Subject", subject(&self.subject))
            .date(Date::new(seconds))
            .message_id(message_id)
            .header("MIME-Version", Raw::new("1.0"))
            .header("Content-Language", Raw::new(self.language))
            .header(
                "List-Unsubscribe",
                Raw::new(format!("<{}>", sheet.leave_url)),
            )
            .header(
                "List-Unsubscribe-Post",
                Raw::new("List-Unsubscribe=One-Click"),
            );
        message = match &self.kind {
            Kind::List { name, id } => message
                .header("List-Id", address(Some(name), id))
                .header("Precedence", Raw::new("bulk")),
            Kind::Automatic => message
                .header("Auto-Submitted", Raw::new("auto-generated"))
                .header("X-Auto-Response-Suppress", Raw::new("All")),
        };
        let parts = vec![
            part("text/plain", sheet.text)?,
            part("text/html", sheet.html)?,
        ];
        let alternative =
            ContentType::new("multipart/alternative").attribute("boundary", boundary(message_id));
        Ok(message
            .body(MimePart::new(alternative, parts))
            .write_to_vec()?)
    }
}

fn address<'a>(name: Option<&'a str>, mailbox: &'a str) -> Address<'a> {
    Address::new_address(name, mailbox)
}

/// The builder encodes what is not ASCII, and leaves ASCII alone even where a reader would take it
/// for something encoded; so that is encoded here (RFC 2047: at most 75 characters a word).
fn subject(text: &str) -> HeaderType<'_> {
    if !text.is_ascii() || !text.contains("=?") {
        return Text::new(text).into();
    }
    let words = text.as_bytes().chunks(45);
    let words = words.map(|chunk| format!("=?utf-8?B?{}?=", BASE64.encode(chunk)));
    Raw::new(words.collect::<Vec<_>>().join(" ")).into()
}

/// Quoted-printable always: base64, which the builder would choose for much Welsh or Polish, makes
/// spam filters suspicious and a message unreadable in its source.
fn part(kind: &'static str, text: &str) -> Result<MimePart<'static>, MailError> {
    let quoted_printable = QuotedPrintableEncoder::new().preserve_line_breaks();
    let encoded = quoted_printable.encode(text.as_bytes())?;
    let content_type = ContentType::new(kind).attribute("charset", "utf-8");
    Ok(
        MimePart::new(content_type, BodyPart::Binary(encoded.into()))
            .transfer_encoding("quoted-printable"),
    )
}

/// Cannot stand in the parts: quoted-printable never writes `_` behind `=`.
fn boundary(message_id: &str) -> String {
    let local = message_id.split('@').next().unwrap_or_default();
    let letters = local.chars().filter(char::is_ascii_alphanumeric).take(40);
    format!("=_{}", letters.collect::<String>())
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

fn fit_message_id(text: &str) -> Result<&str, MailError> {
    let is_atom = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    match text.split_once('@') {
        Some((local, domain)) if text.len() <= 250 && is_atom(local) && is_atom(domain) => Ok(text),
        _ => Err(MailError::UnfitHeader("the Message-ID")),
    }
}

/// A mailbox of ours: ASCII, its domain as A-label.
fn mailbox(name: &'static str, text: &str) -> Result<String, MailError> {
    let address = EmailAddress::parse(text).map_err(|_| MailError::UnfitMailbox(name))?;
    if address.needs_smtputf8() {
        return Err(MailError::UnfitMailbox(name));
    }
    Ok(address.smtp_path().to_string())
}

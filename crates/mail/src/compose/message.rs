//! The MIME form of every mail: two parts, text first, quoted-printable, 7-bit, CRLF (`privacy.md`
//! 3.2). The same values give the same bytes.

use domain::{EmailAddress, MailKind, Timestamp};
use mail_builder::headers::date::Date;

use super::MailError;
use super::letterhead::Letterhead;
use super::part::Part;
use super::shell::check_link;
use crate::dkim;

/// What differs from recipient to recipient.
pub(crate) struct Sheet<'a> {
    pub(crate) to: &'a EmailAddress,
    pub(crate) message_id: &'a str,
    pub(crate) date: Timestamp,
    /// The link of `List-Unsubscribe`, and of the places in the parts.
    pub(crate) link: &'a str,
}

/// Headers, boundaries and line ends of one message, without the parts and what all recipients share.
const ROOM: usize = 2 * 1_024;

const MULTIPART: &str = "multipart/alternative";
const OF_PART: &str = "charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n";

/// Writes a message: the letterhead, what is this recipient's, and both parts.
///
/// # Errors
/// [`MailError`] where a value fits no header.
pub(crate) fn write(
    letterhead: &Letterhead,
    sheet: &Sheet<'_>,
    text: &Part,
    html: &Part,
) -> Result<Vec<u8>, MailError> {
    let link = sheet.link;
    check_link("the unsubscribe link", link)?;
    let message_id = fit_message_id(sheet.message_id)?;
    let to = sheet.to.smtp_path();
    let seconds = i64::try_from(sheet.date.as_millis() / 1_000).unwrap_or(i64::MAX);
    let date = Date::new(seconds).to_rfc822();
    let boundary = boundary(message_id);

    let room = letterhead.lines().len() + text.room(link) + html.room(link) + ROOM;
    // A signer puts its lines in front: with room for them, the address is not left behind in a copy.
    let mut message = Vec::with_capacity(room + dkim::ROOM);
    put(&mut message, &[letterhead.lines()]);
    put(&mut message, &["To: <", &to, ">\r\nDate: ", &date, "\r\n"]);
    put(&mut message, &["Message-ID: <", message_id, ">\r\n"]);
    if letterhead.kind().has_one_click() {
        put(&mut message, &["List-Unsubscribe: <", link, ">\r\n"]);
        put(
            &mut message,
            &["List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"],
        );
    }
    put(
        &mut message,
        &["Content-Type: ", MULTIPART, ";\r\n boundary=\"", &boundary],
    );
    put(
        &mut message,
        &["\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--", &boundary],
    );
    put(&mut message, &["\r\nContent-Type: text/plain; ", OF_PART]);
    text.write(link, &mut message);
    put(
        &mut message,
        &[
            "\r\n--",
            &boundary,
            "\r\nContent-Type: text/html; ",
            OF_PART,
        ],
    );
    html.write(link, &mut message);
    put(&mut message, &["\r\n--", &boundary, "--\r\n"]);
    Ok(message)
}

/// Writes a mail that goes to one person only, and ends with this link.
///
/// # Errors
/// [`MailError`] where a value fits no header or the mail does not end with its link.
pub(crate) fn write_once(
    letterhead: &Letterhead,
    sheet: &Sheet<'_>,
    text: &str,
    html: &str,
    last_link: &str,
) -> Result<Vec<u8>, MailError> {
    check_link("the last link", last_link)?;
    check_ending(letterhead.kind(), text, html, last_link)?;
    write(letterhead, sheet, &Part::whole(text)?, &Part::whole(html)?)
}

/// No mail of any kind leaves without a link at its end, in both parts (promise P2's other half: who
/// gets a mail can always do something about it).
pub(crate) fn check_ending(
    kind: MailKind,
    text: &str,
    html: &str,
    link: &str,
) -> Result<(), MailError> {
    let last_line = text.trim_end().lines().last().map(str::trim);
    let last_target = html
        .rsplit_once(" href=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(target, _)| target);
    let ends = !link.is_empty()
        && last_line == Some(link)
        && last_target == Some(in_attribute(link).as_str());
    if ends {
        Ok(())
    } else {
        Err(MailError::NoLastLink(kind))
    }
}

/// A link as it stands in an attribute of HTML.
pub(crate) fn in_attribute(link: &str) -> String {
    link.replace('&', "&amp;").replace('\'', "&#39;")
}

fn put(message: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        message.extend_from_slice(piece.as_bytes());
    }
}

/// Cannot stand in the parts: quoted-printable never writes `_` behind `=`.
fn boundary(message_id: &str) -> String {
    let local = message_id.split('@').next().unwrap_or_default();
    let letters = local.chars().filter(char::is_ascii_alphanumeric).take(40);
    format!("=_{}", letters.collect::<String>())
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

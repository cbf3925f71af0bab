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

#[cfg(test)]
mod tests {
    use domain::{Language, LawfulBasis, Newsletter, NewsletterNumber, Slug, Words};

    use super::*;

    const LINK: &str = "https://news.example.gov.uk/u/x?n=a&l=en";

    fn letterhead(kind: MailKind) -> Letterhead {
        let words = |text: &str| Words {
            en: text.into(),
            cy: None,
        };
        let body = domain::Body {
            name: words("Council"),
            dpo_email: "dpo@example.gov.uk".into(),
            dpo_post: vec![],
            regulator_name: words("Regulator"),
            regulator_url: "https://example.org/".into(),
            colour: "#12436d".into(),
            reply_to: "desk@example.gov.uk".into(),
        };
        let newsletter = Newsletter {
            number: NewsletterNumber(1),
            slug: Slug::parse("news").unwrap(),
            name: words("News"),
            summary: words("News"),
            frequency: words("daily"),
            sender_address: "news@news.example.gov.uk".into(),
            languages: vec![Language::En],
            retention_days: 30,
            lawful_basis: LawfulBasis::Consent,
            open: true,
        };
        Letterhead::new(kind, &body, &newsletter, "Council", Language::En, "A mail").unwrap()
    }

    fn written(kind: MailKind, text: &str, html: &str, last_link: &str) -> Option<MailError> {
        let sheet = Sheet {
            to: &EmailAddress::parse("resident@example.org").unwrap(),
            message_id: "abc@news.example.gov.uk",
            date: Timestamp::from_millis(1_795_500_123_456),
            link: LINK,
        };
        write_once(&letterhead(kind), &sheet, text, html, last_link).err()
    }

    #[test]
    fn no_kind_of_mail_leaves_without_a_link_at_its_end() {
        let text = format!("Hello\n\nLeave:\n{LINK}\n");
        let html = format!(
            "<p>Hello</p><p><a href=\"{}\">Leave</a></p>",
            in_attribute(LINK)
        );
        let bare = ("Hello\n", "<p>Hello</p>");
        let after = "\nhttps://example.org/\n";
        let html_after = "<a href=\"https://example.org/\">more</a>";
        for kind in MailKind::ALL {
            assert!(written(kind, &text, &html, LINK).is_none(), "{kind:?}");
            for (text, html) in [
                bare,
                (&text, bare.1),
                (bare.0, &html),
                ("", ""),
                (&[&text, after].concat(), &html),
                (&text, &[&html, html_after].concat()),
            ] {
                let refused = written(kind, text, html, LINK);
                assert!(
                    matches!(refused, Some(MailError::NoLastLink(of)) if of == kind),
                    "{kind:?}: {text} {html} {refused:?}"
                );
            }
            for link in ["", "x", "http://example.org/", "javascript:alert(1)"] {
                let refused = written(kind, &text, &html, link);
                assert!(matches!(refused, Some(MailError::UnfitLink(_))), "{link}");
            }
        }
    }

    #[test]
    fn one_click_stands_where_the_link_stops_something_and_answers_say_they_are_automatic() {
        let text = format!("{LINK}\n");
        let html = format!("<a href=\"{}\">Leave</a>", in_attribute(LINK));
        for kind in MailKind::ALL {
            let sheet = Sheet {
                to: &EmailAddress::parse("resident@example.org").unwrap(),
                message_id: "abc@news.example.gov.uk",
                date: Timestamp::from_millis(1_795_500_123_456),
                link: LINK,
            };
            let message = write_once(&letterhead(kind), &sheet, &text, &html, LINK).unwrap();
            let message = String::from_utf8(message).unwrap();
            let has = |line: &str| message.contains(&format!("\r\n{line}\r\n"));
            let one_click = kind.has_one_click();
            assert_eq!(has(&format!("List-Unsubscribe: <{LINK}>")), one_click);
            let post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click";
            assert_eq!(has(post), one_click, "{kind:?}");
            let automatic = kind != MailKind::Issue;
            assert_eq!(has("Auto-Submitted: auto-generated"), automatic, "{kind:?}");
            assert_eq!(has("X-Auto-Response-Suppress: All"), automatic, "{kind:?}");
        }
    }
}

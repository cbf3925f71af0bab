//! Our mails, read back by an independent parser and byte by byte (`privacy.md` 3.1, 3.2, 8.3).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::{Language, Words};
use issue_text::IssueText;
use mail::{IssueMail, IssueTemplate, MailError, Recipient};
use mail_parser::{Message, MessageParser, MimeHeaders};
use proptest::prelude::*;

#[path = "support/mod.rs"]
mod support;

use support::{BASE_URL, CONFIRM_URL, DATE, ISSUE, MESSAGE_ID, NOT_ME_URL, UNSUBSCRIBE_URL};

fn parsed(message: &[u8]) -> Message<'_> {
    MessageParser::default().parse(message).unwrap()
}

/// The lines of all headers with this name, unfolded.
fn headers(message: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ")
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

fn text_part(message: &[u8]) -> String {
    let mail = parsed(message);
    mail.body_text(0).unwrap().replace("\r\n", "\n")
}

fn html_part(message: &[u8]) -> String {
    parsed(message).body_html(0).unwrap().into_owned()
}

fn hrefs(html: &str) -> Vec<String> {
    html.split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .map(|href| {
            href.replace("&quot;", "\"")
                .replace("&lt;", "<")
                .replace("&amp;", "&")
        })
        .collect()
}

/// Whatever a mail says, its bytes keep to the rules of the wire (EML-21, EML-22).
fn assert_fit_for_the_wire(message: &[u8]) {
    assert!(
        message.iter().all(|byte| (1..128).contains(byte)),
        "7-bit and no NUL"
    );
    let text = std::str::from_utf8(message).unwrap();
    assert!(
        !text.replace("\r\n", "").contains(['\r', '\n']),
        "CRLF only"
    );
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.split("\r\n").all(|line| line.len() <= 998));
    for line in head.split("\r\n").filter(|line| line.contains("=?")) {
        assert!(line.len() <= 78, "{line}");
    }
    assert!(
        body.split("\r\n").all(|line| line.len() <= 76),
        "76 columns"
    );
}

fn all_mails() -> Vec<(&'static str, Language, Vec<u8>)> {
    let text = issue_text::parse(ISSUE).unwrap();
    let mut mails = Vec::new();
    for language in Language::ALL {
        mails.push(("confirmation", language, support::confirmation(language)));
        mails.push(("already", language, support::already_subscribed(language)));
        mails.push(("issue", language, support::issue(&text, language)));
    }
    mails
}

#[test]
fn every_mail_is_fit_for_the_wire_and_has_its_headers_once() {
    for (name, language, message) in all_mails() {
        assert_fit_for_the_wire(&message);
        for header in [
            "From",
            "To",
            "Reply-To",
            "Subject",
            "Date",
            "Message-ID",
            "MIME-Version",
            "Content-Type",
            "Content-Language",
            "List-Unsubscribe",
            "List-Unsubscribe-Post",
        ] {
            assert_eq!(headers(&message, header).len(), 1, "{name} {header}");
        }
        for header in ["Cc", "Bcc", "Sender"] {
            assert!(headers(&message, header).is_empty(), "{name} {header}");
        }
        let only = |header| headers(&message, header).remove(0);
        assert_eq!(only("To"), "<resident@example.org>");
        assert_eq!(only("Reply-To"), "<news-team@example.gov.uk>");
        assert_eq!(only("Message-ID"), format!("<{MESSAGE_ID}>"));
        assert_eq!(only("Date"), "Tue, 24 Nov 2026 06:02:03 +0000");
        assert_eq!(only("Content-Language"), language.tag());
        assert_eq!(only("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
        let leave = if name == "confirmation" {
            NOT_ME_URL
        } else {
            UNSUBSCRIBE_URL
        };
        assert_eq!(only("List-Unsubscribe"), format!("<{leave}>"));
        let mail = parsed(&message);
        let from = mail.from().unwrap().first().unwrap();
        assert_eq!(from.address(), Some("council-news@news.example.gov.uk"));
        if name == "issue" {
            assert_eq!(
                only("List-Id"),
                "\"Council news\" <council-news.news.example.gov.uk>"
            );
            assert_eq!(only("Precedence"), "bulk");
            assert!(headers(&message, "Auto-Submitted").is_empty());
        } else {
            assert_eq!(only("Auto-Submitted"), "auto-generated");
            assert_eq!(only("X-Auto-Response-Suppress"), "All");
            assert!(headers(&message, "List-Id").is_empty());
        }
    }
}

#[test]
fn every_mail_has_a_text_part_and_then_an_html_part() {
    for (name, _, message) in all_mails() {
        let mail = parsed(&message);
        let kinds: Vec<_> = mail
            .parts
            .iter()
            .map(|part| part.content_type().unwrap())
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap()))
            .collect();
        assert_eq!(
            kinds,
            ["multipart/alternative", "text/plain", "text/html"],
            "{name}"
        );
        let text = String::from_utf8(message.clone()).unwrap();
        assert_eq!(
            text.matches("Content-Transfer-Encoding: quoted-printable")
                .count(),
            2
        );
        assert_eq!(text.matches("charset=\"utf-8\"").count(), 2);
    }
}

#[test]
fn the_link_to_leave_is_the_last_thing_in_both_parts() {
    for (name, _, message) in all_mails() {
        let leave = if name == "confirmation" {
            NOT_ME_URL
        } else {
            UNSUBSCRIBE_URL
        };
        let text = text_part(&message);
        assert_eq!(text.trim_end().lines().last(), Some(leave), "{name}");
        let html = html_part(&message);
        assert_eq!(
            hrefs(&html).last().map(String::as_str),
            Some(leave),
            "{name}"
        );
    }
    let text = issue_text::parse(ISSUE).unwrap();
    let html = html_part(&support::issue(&text, Language::En));
    assert!(html.contains(">Unsubscribe from Council news</a></p>"));
}

#[test]
fn every_mail_is_accessible_and_follows_nobody() {
    for (name, language, message) in all_mails() {
        let html = html_part(&message);
        let tag = format!("<html lang=\"{}\" dir=\"ltr\"", language.tag());
        for part in [
            tag.as_str(),
            "<title>",
            "color-scheme",
            "prefers-color-scheme: dark",
        ] {
            assert!(html.contains(part), "{name} {part}");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        for part in [
            "<img",
            "src=",
            "url(",
            "<script",
            "<link",
            "@import",
            "font-size:15px",
        ] {
            assert!(!html.contains(part), "{name} {part}");
        }
        for part in [
            "dpo@example.gov.uk",
            "County Hall, 1 High Street",
            &format!("{BASE_URL}/privacy"),
        ] {
            assert!(html.contains(part), "{name} {part}");
            let text = text_part(&message).replace('\n', " ");
            assert!(text.contains(part), "{name} {part}");
        }
    }
}

#[test]
fn a_confirmation_says_what_it_must() {
    let message = support::confirmation(Language::En);
    let text = text_part(&message).replace('\n', " ");
    let html = html_part(&message);
    for part in [
        "Council news, once a month",
        "The link works for 7 days",
        "delete it 30 days after you unsubscribe",
        "You can unsubscribe at any time",
        "This wasn’t me",
        "Data Protection Officer",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(html.contains("delete it 30 days after you unsubscribe"));
    assert_eq!(
        hrefs(&html)
            .iter()
            .filter(|href| *href == CONFIRM_URL)
            .count(),
        1
    );
    assert_eq!(text.matches(CONFIRM_URL).count(), 1);
    let welsh = text_part(&support::confirmation(Language::Cy)).replace('\n', " ");
    for part in [
        "Cadarnhewch eich tanysgrifiad i Newyddion y cyngor",
        "7 diwrnod",
        "30 diwrnod",
    ] {
        assert!(welsh.contains(part), "{part} in {welsh}");
    }
}

#[test]
fn links_of_an_issue_are_sent_as_they_were_written() {
    let links = [
        "https://www.example.gov.uk/a?b=c&d=%20e%C3%A9&copy=1#f",
        "https://www.example.gov.uk/é/ŵ?q='x'",
        "http://EXAMPLE.gov.uk:80/../a//b/",
        "mailto:waste@example.gov.uk?subject=Bins%20and%20bags",
        "https://unsubscribe.invalid/0/",
        UNSUBSCRIBE_URL,
    ];
    let mut markdown = String::new();
    for link in links {
        markdown.extend(["[a link](<", &link.replace('&', "&amp;"), ">)\n\n"]);
    }
    let text = IssueText::new("Links".into(), String::new(), markdown);
    let message = support::issue(&text, Language::En);
    let found = hrefs(&html_part(&message));
    let plain = text_part(&message);
    for link in links {
        assert!(found.iter().any(|href| href == link), "{link} in {found:?}");
        assert!(plain.contains(&format!("({link})")), "{link} in {plain}");
    }
    assert_eq!(found.last().map(String::as_str), Some(UNSUBSCRIBE_URL));
}

#[test]
fn the_same_values_give_the_same_bytes() {
    let text = issue_text::parse(ISSUE).unwrap();
    let one = support::issue(&text, Language::En);
    assert_eq!(one, support::issue(&text, Language::En));
    let address = support::address("other@example.org");
    let other = support::template(&text, Language::En)
        .render(&Recipient {
            address: &address,
            unsubscribe_url: "https://news.example.gov.uk/u/other",
            message_id: "other@news.example.gov.uk",
            date: DATE,
        })
        .unwrap();
    // Nothing of one recipient is in the mail of another.
    let (one, other) = (
        String::from_utf8(one).unwrap(),
        String::from_utf8(other).unwrap(),
    );
    for part in ["resident", "AQEAAQcHBwc", "mfrggzdfmztwq2lknnwg23tpob"] {
        assert!(one.contains(part) && !other.contains(part), "{part}");
    }
}

#[test]
fn domains_of_other_scripts_become_a_labels() {
    let text = issue_text::parse(ISSUE).unwrap();
    let (mut body, mut newsletter) = (support::body(), support::newsletter());
    newsletter.sender_address = "news@môn.example".into();
    body.reply_to = "desk@môn.example".into();
    let template = IssueTemplate::new(&IssueMail {
        body: &body,
        newsletter: &newsletter,
        language: Language::Cy,
        text: &text,
        base_url: BASE_URL,
    })
    .unwrap();
    let message = template
        .render(&Recipient {
            address: &support::address("resident@bücher.example"),
            unsubscribe_url: UNSUBSCRIBE_URL,
            message_id: MESSAGE_ID,
            date: DATE,
        })
        .unwrap();
    assert_fit_for_the_wire(&message);
    assert_eq!(
        headers(&message, "To"),
        ["<resident@xn--bcher-kva.example>"]
    );
    assert_eq!(headers(&message, "Reply-To"), ["<desk@xn--mn-8ja.example>"]);
    let from = headers(&message, "From");
    assert!(from[0].ends_with("<news@xn--mn-8ja.example>"), "{from:?}");
}

#[test]
fn no_value_can_add_a_header() {
    let good = issue_text::parse(ISSUE).unwrap();
    let (body, newsletter) = (support::body(), support::newsletter());
    let attempt = |change: &dyn Fn(&mut domain::Body, &mut domain::Newsletter, &mut IssueText)| {
        let (mut body, mut newsletter, mut text) = (body.clone(), newsletter.clone(), good.clone());
        change(&mut body, &mut newsletter, &mut text);
        IssueTemplate::new(&IssueMail {
            body: &body,
            newsletter: &newsletter,
            language: Language::En,
            text: &text,
            base_url: BASE_URL,
        })
        .err()
    };
    assert!(attempt(&|_, _, _| {}).is_none());
    for evil in ["a\r\nBcc: b@example.org", "a\nb", "a\0", "a\u{85}b", ""] {
        let name = Words {
            en: evil.into(),
            cy: None,
        };
        let subject = attempt(&|_, _, text| text.subject = evil.into());
        assert!(
            matches!(subject, Some(MailError::UnfitHeader(_))),
            "{evil:?}"
        );
        let name = attempt(&|_, newsletter, _| newsletter.name = name.clone());
        assert!(matches!(name, Some(MailError::UnfitHeader(_))), "{evil:?}");
        let sender = attempt(&|_, newsletter, _| newsletter.sender_address = evil.into());
        assert!(
            matches!(sender, Some(MailError::UnfitMailbox(_))),
            "{evil:?}"
        );
        let reply_to = attempt(&|body, _, _| body.reply_to = evil.into());
        assert!(
            matches!(reply_to, Some(MailError::UnfitMailbox(_))),
            "{evil:?}"
        );
    }
    let colour = attempt(&|body, _, _| body.colour = "red;}".into());
    assert!(matches!(colour, Some(MailError::UnfitColour)));
    let template = support::template(&good, Language::En);
    let address = support::address("resident@example.org");
    let render = |unsubscribe_url: &str, message_id: &str| {
        let recipient = Recipient {
            address: &address,
            unsubscribe_url,
            message_id,
            date: DATE,
        };
        template.render(&recipient).err()
    };
    assert!(render(UNSUBSCRIBE_URL, MESSAGE_ID).is_none());
    for evil in [
        "http://news.example.gov.uk/u/x",
        "https://a/\r\nBcc: b",
        "https://a/>x",
        "x",
    ] {
        let refused = render(evil, MESSAGE_ID);
        assert!(matches!(refused, Some(MailError::UnfitLink(_))), "{evil}");
    }
    assert!(render("http://127.0.0.1:8080/u/x", MESSAGE_ID).is_none());
    for evil in ["a@b\r\nBcc: c", "a", "@b", "a@", "a b@c", "<a@b>"] {
        let refused = render(UNSUBSCRIBE_URL, evil);
        assert!(matches!(refused, Some(MailError::UnfitHeader(_))), "{evil}");
    }
}

#[test]
fn an_issue_that_would_be_cut_off_is_refused() {
    let text = IssueText::new("Long".into(), String::new(), "word \n\n".repeat(2_000));
    let (body, newsletter) = (support::body(), support::newsletter());
    let refused = IssueTemplate::new(&IssueMail {
        body: &body,
        newsletter: &newsletter,
        language: Language::En,
        text: &text,
        base_url: BASE_URL,
    });
    assert!(matches!(refused, Err(MailError::TooLong { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_subject_arrives(
        subject in "([A-Za-z0-9 .,:;=?_\"<>()@\\\\-]|[ŵŷâêîôûäëïöü’–]|[ąćęłńóśźż]|[😀🏴👩🚒]|=\\?utf-8\\?q\\?x\\?=){1,80}",
    ) {
        let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assume!(!subject.is_empty());
        let text = IssueText::new(subject.clone(), String::new(), "Text".into());
        let message = support::issue(&text, Language::Cy);
        assert_fit_for_the_wire(&message);
        let mail = parsed(&message);
        prop_assert_eq!(mail.subject(), Some(subject.as_str()));
    }

    #[test]
    fn any_text_arrives(markdown in "([a-z .\n=]|From |[ŵŷ😀ą]|\n\n|\n\\.\n|[ -~]){1,400}") {
        let text = IssueText::new("Any".into(), String::new(), markdown.clone());
        let message = support::issue(&text, Language::En);
        assert_fit_for_the_wire(&message);
        let plain = text_part(&message);
        prop_assert!(plain.contains(&issue_text::render(&markdown).text));
    }
}

//! MIME and headers.

use domain::{IssueNumber, Language};
use issue_text::IssueText;
use mail::{FrozenIssue, IssueMail, IssueTemplate, Recipient};
use mail_parser::MimeHeaders;
use proptest::prelude::*;

use crate::support::{self, BASE_URL, DATE, ISSUE, MESSAGE_ID, NOT_ME_URL, UNSUBSCRIBE_URL};
use crate::{all_mails, assert_fit_for_the_wire, headers, parsed, text_part};

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
    let frozen = FrozenIssue::new(&IssueMail {
        body: &body,
        newsletter: &newsletter,
        language: Language::Cy,
        text: &text,
        base_url: BASE_URL,
    })
    .unwrap();
    let template = IssueTemplate::thaw(&frozen, IssueNumber(42)).unwrap();
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

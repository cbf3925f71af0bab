//! An approved issue is sent as it was approved, whatever comes later.

use domain::{IssueNumber, Language, Words};
use mail::{FrozenIssue, IssueMail, IssueTemplate, Recipient, ThawError};

use crate::support::{self, BASE_URL, DATE, ISSUE, MESSAGE_ID, UNSUBSCRIBE_URL};
use crate::{headers, html_part, text_part};

fn rendered(frozen: &FrozenIssue) -> Vec<u8> {
    IssueTemplate::thaw(frozen, IssueNumber(42))
        .unwrap()
        .render(&Recipient {
            address: &support::address("resident@example.org"),
            unsubscribe_url: UNSUBSCRIBE_URL,
            message_id: MESSAGE_ID,
            date: DATE,
        })
        .unwrap()
}

#[test]
fn what_is_frozen_says_what_is_sent() {
    let text = issue_text::parse(ISSUE).unwrap();
    for language in Language::ALL {
        let frozen = support::frozen(&text, language);
        assert_eq!(frozen.sha256, frozen.hash());
        let sent = rendered(&frozen);
        let link = |text: &str, link: &str| text.replace(&frozen.place, link);
        assert_eq!(
            text_part(&sent).trim_end(),
            link(&frozen.text, UNSUBSCRIBE_URL).trim_end()
        );
        let in_html = UNSUBSCRIBE_URL.replace('&', "&amp;");
        let html = html_part(&sent).replace("\r\n", "\n");
        assert_eq!(html.trim_end(), link(&frozen.html, &in_html).trim_end());
        let head = String::from_utf8(sent.clone()).unwrap();
        assert!(head.starts_with(&frozen.headers));
        assert_eq!(headers(&sent, "Subject"), [frozen.subject.as_str()]);
        assert!(frozen.html.contains(&frozen.preheader));
        let from = headers(&sent, "From").remove(0);
        assert!(from.ends_with(&format!("<{}>", frozen.sender)));
    }
}

/// A resend after an upgrade has the bytes of the first copy. If this fails because of a change that is
/// wanted, issues that are being sent during the upgrade need a thought.
#[test]
fn what_was_frozen_long_ago_has_the_bytes_that_it_always_had() {
    let place = "https://unsubscribe.invalid/0/";
    let mut frozen = FrozenIssue {
        language: Language::Cy,
        subject: "Ŵ".into(),
        preheader: String::new(),
        sender: "news@news.example.gov.uk".into(),
        headers: "From: <news@news.example.gov.uk>\r\nSubject: =?utf-8?B?xbQ=?=\r\n".into(),
        feedback: "news:letterbox:abcde".into(),
        place: place.into(),
        text: format!("Ŵ = W\n.\n{place}\n"),
        html: format!("<p>Ŵ</p>\n<a href=\"{place}\">Gadael</a>"),
        sha256: [0; 32],
    };
    frozen.sha256 = frozen.hash();
    let expected = "From: <news@news.example.gov.uk>\r\n\
        Subject: =?utf-8?B?xbQ=?=\r\n\
        Feedback-ID: 42:news:letterbox:abcde\r\n\
        To: <resident@example.org>\r\n\
        Date: Tue, 24 Nov 2026 06:02:03 +0000\r\n\
        Message-ID: <mfrggzdfmztwq2lknnwg23tpob@news.example.gov.uk>\r\n\
        List-Unsubscribe: <https://news.example.gov.uk/u/AQEAAQcHBwcHBwcHBwcHBwcHBwcAAAAqAAECAwQFBgcICQoLDA0ODw?n=council-news&l=en>\r\n\
        List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
        Content-Type: multipart/alternative;\r\n boundary=\"=_mfrggzdfmztwq2lknnwg23tpob\"\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        \r\n\
        --=_mfrggzdfmztwq2lknnwg23tpob\r\n\
        Content-Type: text/plain; charset=\"utf-8\"\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\
        \r\n\
        =C5=B4 =3D W\r\n\
        .\r\n\
        https://news.example.gov.uk/u/AQEAAQcHBwcHBwcHBwcHBwcHBwcAAAAqAAECAwQFBgcIC=\r\n\
        QoLDA0ODw?n=3Dcouncil-news&l=3Den\r\n\
        \r\n\
        --=_mfrggzdfmztwq2lknnwg23tpob\r\n\
        Content-Type: text/html; charset=\"utf-8\"\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\
        \r\n\
        <p>=C5=B4</p>\r\n\
        <a href=3D\"=\r\n\
        https://news.example.gov.uk/u/AQEAAQcHBwcHBwcHBwcHBwcHBwcAAAAqAAECAwQFBgcIC=\r\n\
        QoLDA0ODw?n=3Dcouncil-news&amp;l=3Den=\r\n\
        \">Gadael</a>\r\n\
        --=_mfrggzdfmztwq2lknnwg23tpob--\r\n";
    assert_eq!(String::from_utf8(rendered(&frozen)).unwrap(), expected);
}

#[test]
fn a_later_catalogue_changes_nothing() {
    let text = issue_text::parse(ISSUE).unwrap();
    let frozen = support::frozen(&text, Language::En);
    let before = rendered(&frozen);
    let (mut body, mut newsletter) = (support::body(), support::newsletter());
    body.colour = "#000000".into();
    newsletter.sender_address = "other@example.gov.uk".into();
    newsletter.name = Words {
        en: "Renamed".into(),
        cy: None,
    };
    let later = FrozenIssue::new(&IssueMail {
        body: &body,
        newsletter: &newsletter,
        language: Language::En,
        text: &text,
        base_url: BASE_URL,
    })
    .unwrap();
    assert_ne!(later.sha256, frozen.sha256);
    assert_eq!(rendered(&frozen), before);
}

#[test]
fn a_change_to_any_field_is_noticed() {
    let text = issue_text::parse(ISSUE).unwrap();
    let frozen = support::frozen(&text, Language::En);
    let changes: [fn(&mut FrozenIssue); 9] = [
        |it| it.language = Language::Cy,
        |it| it.subject.push('x'),
        |it| it.preheader.clear(),
        |it| it.sender = "evil@news.example.gov.uk".into(),
        |it| it.headers = it.headers.replace("bulk", "list"),
        |it| it.feedback.push('x'),
        |it| it.place.push('1'),
        |it| it.text = it.text.replace("June", "July"),
        |it| it.html = it.html.replace("June", "July"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = frozen.clone();
        change(&mut other);
        let refused = IssueTemplate::thaw(&other, IssueNumber(42)).err();
        assert_eq!(refused, Some(ThawError::Changed), "{number}");
    }
    // A letter cannot move from one field into the next unnoticed either.
    let mut moved = frozen.clone();
    let letter = moved.preheader.remove(0);
    moved.subject.push(letter);
    let refused = IssueTemplate::thaw(&moved, IssueNumber(42)).err();
    assert_eq!(refused, Some(ThawError::Changed));
}

#[test]
fn whoever_can_take_a_hash_still_cannot_add_a_header_or_take_the_link_away() {
    let text = issue_text::parse(ISSUE).unwrap();
    let frozen = support::frozen(&text, Language::En);
    let changes: [fn(&mut FrozenIssue); 8] = [
        |it| it.headers.push_str("Bcc: a@example.org"),
        |it| it.headers.push_str("\r\n"),
        |it| it.headers.push_str("A: b\nBcc: a@example.org\r\n"),
        |it| it.headers.clear(),
        |it| it.feedback.push_str("\r\nBcc: a@example.org"),
        |it| it.place.clear(),
        |it| it.text = it.text.replace(&it.place, ""),
        |it| it.html = it.html.replace(&it.place, "https://evil.example/"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = frozen.clone();
        change(&mut other);
        other.sha256 = other.hash();
        let refused = IssueTemplate::thaw(&other, IssueNumber(42)).err();
        assert_eq!(refused, Some(ThawError::Unfit), "{number}");
    }
}

/// `privacy.md` EML-47: the same for all recipients, four fields, none of them said twice.
#[test]
fn complaints_are_counted_by_issue_and_by_nothing_of_a_recipient() {
    let text = issue_text::parse(ISSUE).unwrap();
    let template = support::template(&text, Language::En);
    let feedback = |address: &str, url: &str, id: &str| {
        let message = template
            .render(&Recipient {
                address: &support::address(address),
                unsubscribe_url: url,
                message_id: id,
                date: DATE,
            })
            .unwrap();
        headers(&message, "Feedback-ID").remove(0)
    };
    let one = feedback("resident@example.org", UNSUBSCRIBE_URL, MESSAGE_ID);
    let other = feedback("b@example.org", "https://a.example/u/x", "b@example.gov.uk");
    assert_eq!(one, other);
    let fields: Vec<&str> = one.split(':').collect();
    assert_eq!(fields[..3], ["42", "council-news", "letterbox"]);
    assert_eq!(fields.len(), 4);
    assert!((5..=15).contains(&fields[3].len()));
    assert!(fields[3].bytes().all(|byte| byte.is_ascii_alphanumeric()));
}

//! What the mails say.

use domain::Language;
use issue_text::IssueText;

use crate::support::{self, BASE_URL, CONFIRM_URL, ISSUE, NOT_ME_URL, UNSUBSCRIBE_URL};
use crate::{all_mails, hrefs, html_part, text_part};

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

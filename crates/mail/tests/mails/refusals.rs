//! What is not sent.

use domain::{Language, Words};
use issue_text::IssueText;
use mail::{FrozenIssue, IssueMail, MailError, Recipient};

use crate::support::{self, BASE_URL, DATE, ISSUE, MESSAGE_ID, UNSUBSCRIBE_URL};

#[test]
fn no_value_can_add_a_header() {
    let good = issue_text::parse(ISSUE).unwrap();
    let (body, newsletter) = (support::body(), support::newsletter());
    let attempt = |change: &dyn Fn(&mut domain::Body, &mut domain::Newsletter, &mut IssueText)| {
        let (mut body, mut newsletter, mut text) = (body.clone(), newsletter.clone(), good.clone());
        change(&mut body, &mut newsletter, &mut text);
        FrozenIssue::new(&IssueMail {
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
    let refused = FrozenIssue::new(&IssueMail {
        body: &body,
        newsletter: &newsletter,
        language: Language::En,
        text: &text,
        base_url: BASE_URL,
    });
    assert!(matches!(refused, Err(MailError::TooLong { .. })));
}

/// The author hears of it from the lint, before anybody is on the list of recipients.
#[test]
fn what_the_lint_lets_through_is_not_refused_for_its_length() {
    let (body, newsletter) = (support::body(), support::newsletter());
    for piece in [
        "word\n\n",
        "- word\n",
        "1. word\n",
        "> word\n\nword\n\n",
        "`code` ",
        "    code\n\nword\n\n",
        "[words](https://example.gov.uk/a?b=c&d=e)\n\n",
        "![words](https://example.gov.uk/a.png)\n\n",
        "## Words\n\n",
        "### Words\n\n",
        "#### Words\n\n",
        "---\n\n",
        "| a | b |\n| - | - |\n| c | d |\n\n",
        "word  \n",
        "> - word\n>   - `code`\n\n",
        "many words that fill a line & more, **bold** and *italic*\n",
    ] {
        let issue =
            |number: usize| IssueText::new("Long".into(), String::new(), piece.repeat(number));
        let fits = |number: &usize| {
            issue_text::lint(&issue(*number))
                .iter()
                .all(|problem| problem.code != issue_text::Code::TooLong)
        };
        let numbers: Vec<usize> = (1..3_000).collect();
        let longest = numbers.partition_point(fits);
        let template = FrozenIssue::new(&IssueMail {
            body: &body,
            newsletter: &newsletter,
            language: Language::En,
            text: &issue(longest),
            base_url: BASE_URL,
        });
        assert!(template.is_ok(), "{longest} times {piece:?}: {template:?}");
    }
}

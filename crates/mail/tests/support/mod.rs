//! A body and a newsletter to write mails of.

use domain::{
    Body, EmailAddress, IssueNumber, Language, LawfulBasis, Newsletter, NewsletterNumber, Slug,
    Timestamp, Words,
};
use issue_text::IssueText;
use mail::{
    AlreadyHeld, AlreadySubscribedMail, ConfirmationMail, FrozenIssue, IssueMail, IssueTemplate,
    Recipient,
};

pub(crate) const BASE_URL: &str = "https://news.example.gov.uk";
pub(crate) const CONFIRM_URL: &str = "https://news.example.gov.uk/confirm/AQMAAQcHBwcHBwcHBwcHBwcHBwcBwd1wAAECAwQFBgcICQoLDA0ODw?n=council-news&l=en";
pub(crate) const NOT_ME_URL: &str = "https://news.example.gov.uk/u/AQYAAQcHBwcHBwcHBwcHBwcHBwcAAAAAAAECAwQFBgcICQoLDA0ODw?n=council-news&l=en";
pub(crate) const UNSUBSCRIBE_URL: &str = "https://news.example.gov.uk/u/AQEAAQcHBwcHBwcHBwcHBwcHBwcAAAAqAAECAwQFBgcICQoLDA0ODw?n=council-news&l=en";
pub(crate) const MESSAGE_ID: &str = "mfrggzdfmztwq2lknnwg23tpob@news.example.gov.uk";
pub(crate) const DATE: Timestamp = Timestamp::from_millis(1_795_500_123_456);

pub(crate) const ISSUE: &str = "---
subject: What is on in June: fairs, walks and the new library
preheader: The library opens on 12 June. Everybody is welcome.
---
The **new library** in Millbrook opens on Friday 12 June. Come and have a look: there is a
[programme for the whole day](https://www.example.gov.uk/library?day=12&month=06#programme).

## Summer fairs

Three fairs come to the county this month. Entry is free at all of them.

| Where | When | Stalls |
| --- | --- | ---: |
| Millbrook park | 6 June | 42 |
| Ashford green | 13 June | 8 |
| Long Barrow | 27 June | 115 |

### How to get there

- The **X4** bus stops at Millbrook park.
- Bring a bicycle: there is a guarded stand.
  1. Come by the north gate.
  2. Ask for a ticket.

> Last year was the best fair I can remember.
> It did not even rain.

## Bins

Bin days change in the week of 15 June. [Look up your bin day](https://www.example.gov.uk/bins)
or write to <waste@example.gov.uk>.
";

pub(crate) fn body() -> Body {
    Body {
        name: Words {
            en: "Exampleshire County Council".into(),
            cy: Some("Cyngor Sir Enghraifft".into()),
        },
        dpo_email: "dpo@example.gov.uk".into(),
        dpo_post: vec![
            "County Hall".into(),
            "1 High Street".into(),
            "Exampletown EX1 1AA".into(),
        ],
        regulator_name: Words {
            en: "Information Commissioner’s Office".into(),
            cy: None,
        },
        regulator_url: "https://ico.org.uk/make-a-complaint/".into(),
        colour: "#12436d".into(),
        reply_to: "news-team@example.gov.uk".into(),
    }
}

pub(crate) fn newsletter() -> Newsletter {
    Newsletter {
        number: NewsletterNumber(1),
        slug: Slug::parse("council-news").unwrap(),
        name: Words {
            en: "Council news".into(),
            cy: Some("Newyddion y cyngor".into()),
        },
        summary: Words {
            en: "What the council does, and what is on.".into(),
            cy: None,
        },
        frequency: Words {
            en: "once a month".into(),
            cy: Some("unwaith y mis".into()),
        },
        sender_address: "council-news@news.example.gov.uk".into(),
        languages: vec![Language::En, Language::Cy],
        retention_days: 30,
        lawful_basis: LawfulBasis::Consent,
        open: true,
    }
}

pub(crate) fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub(crate) fn confirmation(language: Language) -> Vec<u8> {
    let (body, newsletter) = (body(), newsletter());
    mail::confirmation(&ConfirmationMail {
        body: &body,
        newsletters: &[&newsletter],
        language,
        recipient: &address("resident@example.org"),
        base_url: BASE_URL,
        confirm_url: CONFIRM_URL,
        not_me_url: NOT_ME_URL,
        message_id: MESSAGE_ID,
        date: DATE,
    })
    .unwrap()
}

pub(crate) fn already_subscribed(language: Language) -> Vec<u8> {
    let (body, newsletter) = (body(), newsletter());
    mail::already_subscribed(&AlreadySubscribedMail {
        body: &body,
        held: &[AlreadyHeld {
            newsletter: &newsletter,
            unsubscribe_url: UNSUBSCRIBE_URL,
        }],
        language,
        recipient: &address("resident@example.org"),
        base_url: BASE_URL,
        message_id: MESSAGE_ID,
        date: DATE,
    })
    .unwrap()
}

pub(crate) fn frozen(text: &IssueText, language: Language) -> FrozenIssue {
    let (body, newsletter) = (body(), newsletter());
    FrozenIssue::new(&IssueMail {
        body: &body,
        newsletter: &newsletter,
        language,
        text,
        base_url: BASE_URL,
    })
    .unwrap()
}

pub(crate) fn template(text: &IssueText, language: Language) -> IssueTemplate {
    IssueTemplate::thaw(&frozen(text, language), IssueNumber(42)).unwrap()
}

pub(crate) fn issue(text: &IssueText, language: Language) -> Vec<u8> {
    template(text, language)
        .render(&Recipient {
            address: &address("resident@example.org"),
            unsubscribe_url: UNSUBSCRIBE_URL,
            message_id: MESSAGE_ID,
            date: DATE,
        })
        .unwrap()
}

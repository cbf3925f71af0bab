//! The lint, setting by setting; also the settings that other tests start from.

use super::*;
use crate::{LawfulBasis, NewsletterNumber, Slug};

fn words(en: &str, cy: &str) -> Words {
    Words {
        en: en.into(),
        cy: Some(cy.into()),
    }
}

pub(crate) fn body() -> Body {
    Body {
        name: words("Hertfordshire County Council", "Cyngor Sir Hertford"),
        dpo_email: "dpo@hertfordshire.example".into(),
        dpo_post: ["County Hall", "Pegs Lane", "Hertford", "SG13 8DQ"]
            .map(Into::into)
            .to_vec(),
        regulator_name: words(
            "Information Commissioner's Office",
            "Swyddfa'r Comisiynydd Gwybodaeth",
        ),
        regulator_url: "https://ico.org.uk/make-a-complaint/".into(),
        colour: "#00598a".into(),
        reply_to: "news@hertfordshire.example".into(),
    }
}

pub(crate) fn newsletter() -> Newsletter {
    Newsletter {
        number: NewsletterNumber(1),
        slug: Slug::parse("council-news").unwrap(),
        name: words("Council news", "Newyddion y cyngor"),
        summary: words(
            "What the council decided.",
            "Yr hyn a benderfynodd y cyngor.",
        ),
        frequency: words("once a month", "unwaith y mis"),
        sender_address: "news@hertfordshire.example".into(),
        languages: vec![Language::En, Language::Cy],
        retention_days: 30,
        lawful_basis: LawfulBasis::Consent,
        open: true,
    }
}

#[test]
fn complete_settings_have_no_problem() {
    assert_eq!(notice_problems(&body(), &newsletter()), vec![]);
}

fn keys_after(
    change: impl FnOnce(&mut Body, &mut Newsletter),
) -> Vec<(SettingsFile, &'static str)> {
    let (mut body, mut newsletter) = (body(), newsletter());
    change(&mut body, &mut newsletter);
    let problems = notice_problems(&body, &newsletter);
    assert!(problems.iter().all(|problem| problem.remedy.len() > 10));
    problems
        .iter()
        .map(|problem| (problem.file, problem.key))
        .collect()
}

#[test]
fn each_missing_setting_is_named() {
    use SettingsFile::{Body as B, Newsletter as N};
    type Change = fn(&mut Body, &mut Newsletter);
    let cases: &[(SettingsFile, &str, Change)] = &[
        (B, "name.en", |b, _| b.name.en = " ".into()),
        (B, "name.cy", |b, _| b.name.cy = None),
        (B, "name.cy", |b, _| b.name.cy = Some(String::new())),
        (B, "dpo_email", |b, _| b.dpo_email.clear()),
        (B, "dpo_post", |b, _| b.dpo_post.clear()),
        (B, "dpo_post", |b, _| b.dpo_post.push(" ".into())),
        (B, "regulator_name.en", |b, _| b.regulator_name.en.clear()),
        (B, "regulator_name.cy", |b, _| b.regulator_name.cy = None),
        (B, "regulator_url", |b, _| b.regulator_url.clear()),
        (B, "colour", |b, _| b.colour.clear()),
        (B, "reply_to", |b, _| b.reply_to.clear()),
        (N, "name.en", |_, n| n.name.en.clear()),
        (N, "name.cy", |_, n| n.name.cy = None),
        (N, "summary.en", |_, n| n.summary.en.clear()),
        (N, "summary.cy", |_, n| n.summary.cy = None),
        (N, "frequency.en", |_, n| n.frequency.en.clear()),
        (N, "frequency.cy", |_, n| n.frequency.cy = None),
        (N, "sender_address", |_, n| n.sender_address.clear()),
        (N, "languages", |_, n| n.languages.clear()),
        (N, "languages", |_, n| n.languages.push(Language::En)),
        (N, "retention_days", |_, n| n.retention_days = 91),
    ];
    for (index, (file, key, change)) in cases.iter().enumerate() {
        let named = keys_after(change);
        assert_eq!(named, vec![(*file, *key)], "case {index}, {key}");
    }
}

#[test]
fn each_wrong_setting_is_named() {
    let long = "a".repeat(201);
    for bad in ["a\nb", "a\u{2028}b", "\t", &long] {
        let named = keys_after(|b, _| b.name.en = bad.into());
        assert_eq!(named, vec![(SettingsFile::Body, "name.en")], "{bad}");
    }
    for bad in [
        "http://ico.org.uk",
        "https://",
        "https://ico",
        "https://ico..uk",
        "https://ico.org.uk/a b",
        "https://ico.org.uk/\"",
        "https://a@ico.org.uk/",
    ] {
        let named = keys_after(|b, _| b.regulator_url = bad.into());
        assert_eq!(named, vec![(SettingsFile::Body, "regulator_url")], "{bad}");
    }
    for bad in ["blue", "#0059é", "#00598", "00598a", "#ffcc00", "#777777"] {
        let named = keys_after(|b, _| b.colour = bad.into());
        assert_eq!(named, vec![(SettingsFile::Body, "colour")], "{bad}");
    }
    for bad in [
        "news",
        "news@localhost",
        "néws@example.org",
        "N <n@example.org>",
    ] {
        let named = keys_after(|b, n| {
            b.reply_to = bad.into();
            n.sender_address = bad.into();
        });
        let both = vec![
            (SettingsFile::Body, "reply_to"),
            (SettingsFile::Newsletter, "sender_address"),
        ];
        assert_eq!(named, both, "{bad}");
    }
}

#[test]
fn a_newsletter_in_english_alone_needs_no_welsh() {
    let keys = keys_after(|body, newsletter| {
        body.name.cy = None;
        body.regulator_name.cy = None;
        newsletter.languages = vec![Language::En];
        newsletter.name.cy = None;
        newsletter.summary.cy = None;
        newsletter.frequency.cy = None;
    });
    assert_eq!(keys, vec![]);
}

#[test]
fn contrast_is_that_of_wcag() {
    // The published examples: black 21:1, white 1:1, #767676 the lightest grey that passes.
    let near = |colour, expected: f64| {
        let contrast = contrast_with_white(colour).unwrap();
        assert!((contrast - expected).abs() < 0.01, "{colour}: {contrast}");
    };
    near("#000000", 21.0);
    near("#FFFFFF", 1.0);
    near("#767676", 4.54);
    near("#777777", 4.48);
}

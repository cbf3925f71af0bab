//! What the settings of a body and of a newsletter lack before anybody may be asked for an address:
//! each point that a notice must make (`privacy.md` LAW-12) hangs on a key of one of the two files.

use std::fmt;

use crate::{Body, EmailAddress, Language, Newsletter, Words};

/// The most days between the last unsubscribe and the deletion of the address.
const RETENTION_DAYS: u16 = 90;
/// Characters of a name or a sentence of settings: they stand in headers of mails.
const TEXT_CHARACTERS: usize = 200;
/// The contrast of WCAG 2.2, 1.4.3, that white text needs.
const CONTRAST: f64 = 4.5;

/// The file an operator wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SettingsFile {
    /// The file of `letterbox body set`.
    Body,
    /// The file of `letterbox newsletter add`.
    Newsletter,
}

impl SettingsFile {
    /// Its name in a sentence.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Body => "body file",
            Self::Newsletter => "newsletter file",
        }
    }
}

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeProblem {
    /// The file it stands in.
    pub file: SettingsFile,
    /// The key in it, as in `name.cy`.
    pub key: &'static str,
    /// What to write there.
    pub remedy: String,
}

impl fmt::Display for NoticeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.file.label(), self.key, self.remedy)
    }
}

/// What is wrong with a body's settings, whatever newsletters it has.
#[must_use]
pub fn body_problems(body: &Body) -> Vec<NoticeProblem> {
    let mut lint = Lint::new(SettingsFile::Body);
    lint.words(
        ["name.en", "name.cy"],
        &body.name,
        "the name of the public body",
    );
    lint.mailbox(
        "dpo_email",
        &body.dpo_email,
        "the data protection officer's email address",
    );
    if body.dpo_post.is_empty() {
        lint.add(
            "dpo_post",
            "write the data protection officer's postal address, a line each",
        );
    }
    if body.dpo_post.iter().any(|line| !is_fit(line)) {
        lint.add(
            "dpo_post",
            "write one line of the address in each item, and leave none empty",
        );
    }
    lint.words(
        ["regulator_name.en", "regulator_name.cy"],
        &body.regulator_name,
        "the name of the regulator that residents can complain to",
    );
    if !is_https_page(&body.regulator_url) {
        lint.add(
            "regulator_url",
            "write the address of the regulator's page for complaints, beginning with https://",
        );
    }
    match contrast_with_white(&body.colour) {
        None => lint.add(
            "colour",
            "write a colour as # and six hexadecimal digits, like #00598a",
        ),
        Some(contrast) if contrast < CONTRAST => lint.add(
            "colour",
            format!(
                "choose a darker colour: white text on this one has a contrast of {contrast:.1}, \
                 and people need at least {CONTRAST}"
            ),
        ),
        Some(_) => {}
    }
    lint.mailbox(
        "reply_to",
        &body.reply_to,
        "the mailbox that somebody reads replies in",
    );
    lint.found
}

/// What is wrong with a newsletter's settings, with the body's, and with the body's for this
/// newsletter: a newsletter in Welsh needs a body with a Welsh name.
#[must_use]
pub fn notice_problems(body: &Body, newsletter: &Newsletter) -> Vec<NoticeProblem> {
    let mut found = body_problems(body);
    let mut lint = Lint::new(SettingsFile::Newsletter);
    let words = [
        (
            ["name.en", "name.cy"],
            &newsletter.name,
            "the name of the newsletter",
        ),
        (
            ["summary.en", "summary.cy"],
            &newsletter.summary,
            "what is in it, in one sentence",
        ),
        (
            ["frequency.en", "frequency.cy"],
            &newsletter.frequency,
            "how often it comes, like \"once a month\"",
        ),
    ];
    for (keys, text, what) in words {
        lint.words(keys, text, what);
    }
    lint.mailbox(
        "sender_address",
        &newsletter.sender_address,
        "the mailbox it is sent from",
    );
    if newsletter.languages.is_empty() {
        lint.add(
            "languages",
            "name at least one language: \"en\", \"cy\" or both",
        );
    }
    let repeated = |language| {
        newsletter
            .languages
            .iter()
            .filter(|l| **l == language)
            .count()
            > 1
    };
    if Language::ALL.into_iter().any(repeated) {
        lint.add("languages", "name each language once");
    }
    if newsletter.retention_days > RETENTION_DAYS {
        lint.add(
            "retention_days",
            format!("write a number of days from 0 to {RETENTION_DAYS}"),
        );
    }
    if newsletter.languages.contains(&Language::Cy) {
        for ([_, key], text, what) in words {
            lint.welsh(key, text, what);
        }
        found.extend(lint.found);
        let mut of_body = Lint::new(SettingsFile::Body);
        of_body.welsh("name.cy", &body.name, "the name of the public body");
        of_body.welsh(
            "regulator_name.cy",
            &body.regulator_name,
            "the name of the regulator",
        );
        found.extend(of_body.found);
    } else {
        found.extend(lint.found);
    }
    found
}

struct Lint {
    file: SettingsFile,
    found: Vec<NoticeProblem>,
}

impl Lint {
    const fn new(file: SettingsFile) -> Self {
        Self {
            file,
            found: Vec::new(),
        }
    }

    fn add(&mut self, key: &'static str, remedy: impl Into<String>) {
        self.found.push(NoticeProblem {
            file: self.file,
            key,
            remedy: remedy.into(),
        });
    }

    fn words(&mut self, [english, welsh]: [&'static str; 2], words: &Words, what: &str) {
        let texts = [(english, Some(&words.en)), (welsh, words.cy.as_ref())];
        for (key, text) in texts {
            let Some(text) = text else { continue };
            if text.trim().is_empty() {
                self.add(key, format!("write {what}"));
            } else if !is_fit(text) {
                self.add(
                    key,
                    format!("write {what} in one line of at most {TEXT_CHARACTERS} characters"),
                );
            }
        }
    }

    /// A text that is there and unfit is found by [`Self::words`].
    fn welsh(&mut self, key: &'static str, words: &Words, what: &str) {
        if words.cy.is_none() {
            self.add(
                key,
                format!("write {what} in Welsh, because the newsletter has Welsh"),
            );
        }
    }

    /// Mailboxes of the body stand in headers and pages: ASCII, whatever residents may have.
    fn mailbox(&mut self, key: &'static str, text: &str, what: &str) {
        let fit = text.is_ascii() && EmailAddress::parse(text).is_ok();
        if !fit {
            self.add(key, format!("write {what}, like name@example.org"));
        }
    }
}

/// One line with something in it that can stand in a header.
fn is_fit(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= TEXT_CHARACTERS
        && !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

fn is_https_page(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    url.len() <= 2_000
        && host.contains('.')
        && host.split('.').all(label)
        && rest.bytes().all(visible)
}

/// The contrast of white text on `#rrggbb` by WCAG 2.2, 1 to 21; none if it is not written so.
fn contrast_with_white(colour: &str) -> Option<f64> {
    let digits = colour.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let linear = |range| {
        let channel = u8::from_str_radix(&digits[range], 16).ok()?;
        let share = f64::from(channel) / 255.0;
        Some(if share <= 0.04045 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        })
    };
    let luminance = 0.2126 * linear(0..2)? + 0.7152 * linear(2..4)? + 0.0722 * linear(4..6)?;
    Some(1.05 / (luminance + 0.05))
}

#[cfg(test)]
pub(crate) mod tests;

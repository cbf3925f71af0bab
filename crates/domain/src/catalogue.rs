//! The catalogue: everything that a public page shows and nothing personal. Each web role keeps a
//! copy on disk, so that it survives the database (`DESIGN.md` 2).

use serde::{Deserialize, Serialize};

use crate::{Language, NewsletterNumber, Slug, Timestamp, Words};

/// The body, its newsletters and the notices that were ever shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// The public body; without it no newsletter is open.
    pub body: Option<Body>,
    /// All newsletters, by number.
    pub newsletters: Vec<Newsletter>,
    /// All notices, current and superseded.
    pub notices: Vec<Notice>,
}

/// The public body that sends (`policy.txt`; `privacy.md` S23).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Its name.
    pub name: Words,
    /// The data protection officer's mailbox.
    pub dpo_email: String,
    /// The officer's postal address, a line each.
    pub dpo_post: Vec<String>,
    /// The regulator that residents can complain to.
    pub regulator_name: Words,
    /// The regulator's page for complaints, https.
    pub regulator_url: String,
    /// The colour of pages and mails: `#rrggbb`, dark enough for white text.
    pub colour: String,
    /// The monitored mailbox that replies go to.
    pub reply_to: String,
}

/// Why the body may keep the address (Article 6); never legitimate interests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LawfulBasis {
    /// The resident agreed.
    Consent,
    /// A task in the public interest.
    PublicTask,
}

/// One newsletter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newsletter {
    /// Its number.
    pub number: NewsletterNumber,
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people.
    pub name: Words,
    /// What is in it, in one sentence.
    pub summary: Words,
    /// How often it comes, as in "once a month".
    pub frequency: Words,
    /// The mailbox it is sent from; the part after the `@` is the sending domain.
    pub sender_address: String,
    /// The languages it is written in, the first one standard.
    pub languages: Vec<Language>,
    /// Days between the last unsubscribe and the deletion of the sealed address, 0 to 90.
    pub retention_days: u16,
    /// Why the address may be kept.
    pub lawful_basis: LawfulBasis,
    /// Whether sign-ups are taken.
    pub open: bool,
}

/// SHA-256 of a notice's text: names exactly the words that were on screen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NoticeHash([u8; 32]);

impl NoticeHash {
    /// The hash with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits of either case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for NoticeHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for NoticeHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NoticeHash({self})")
    }
}

/// The text at the point of collection, in one language; immutable once shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// SHA-256 of `text` in UTF-8.
    pub hash: NoticeHash,
    /// The newsletter it belongs to.
    pub newsletter: NewsletterNumber,
    /// Its language.
    pub language: Language,
    /// 1 for the newsletter's first notice in this language, then counting up.
    pub version: u32,
    /// Paragraphs, with one empty line between two.
    pub text: String,
    /// From when it was shown.
    pub published_at: Timestamp,
    /// From when a newer one was shown.
    pub superseded_at: Option<Timestamp>,
}

/// How a notice named by a sign-up stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeStanding {
    /// The one that is shown now, or was until at most 30 days ago.
    Accepted,
    /// Superseded for longer.
    Outdated,
    /// No notice of this newsletter.
    Unknown,
}

/// Days after its confirmation mail was sent in which a sign-up can be confirmed; it is deleted then
/// (`FORMATS.md`, Link tokens, purpose 03).
pub const CONFIRMATION_DAYS: u64 = 7;

/// For how long a sign-up may name a superseded notice, in days.
pub const SUPERSEDED_NOTICE_DAYS: u64 = 30;

impl Catalogue {
    /// The newsletter with this slug.
    #[must_use]
    pub fn newsletter(&self, slug: &str) -> Option<&Newsletter> {
        self.newsletters
            .iter()
            .find(|newsletter| newsletter.slug.as_str() == slug)
    }

    /// The newsletter with this number.
    #[must_use]
    pub fn newsletter_by_number(&self, number: NewsletterNumber) -> Option<&Newsletter> {
        self.newsletters
            .iter()
            .find(|newsletter| newsletter.number == number)
    }

    /// Newsletters that take sign-ups: open ones of a body that is complete.
    pub fn open_newsletters(&self) -> impl Iterator<Item = &Newsletter> {
        let complete = self.body.is_some();
        self.newsletters
            .iter()
            .filter(move |newsletter| complete && newsletter.open)
    }

    /// The notice to show now: in this language, else in the newsletter's first.
    #[must_use]
    pub fn current_notice(&self, newsletter: &Newsletter, language: Language) -> Option<&Notice> {
        let current = |wanted: Language| {
            self.notices.iter().find(|notice| {
                notice.newsletter == newsletter.number
                    && notice.language == wanted
                    && notice.superseded_at.is_none()
            })
        };
        current(language).or_else(|| {
            newsletter
                .languages
                .first()
                .and_then(|first| current(*first))
        })
    }

    /// Whether a sign-up at `now` may name this notice of this newsletter.
    #[must_use]
    pub fn notice_standing(
        &self,
        newsletter: NewsletterNumber,
        hash: NoticeHash,
        now: Timestamp,
    ) -> NoticeStanding {
        let window = std::time::Duration::from_hours(SUPERSEDED_NOTICE_DAYS * 24);
        self.notices
            .iter()
            .filter(|notice| notice.newsletter == newsletter && notice.hash == hash)
            .map(|notice| match notice.superseded_at {
                Some(at) if now > at.plus(window) => NoticeStanding::Outdated,
                _ => NoticeStanding::Accepted,
            })
            .min_by_key(|standing| *standing == NoticeStanding::Outdated)
            .unwrap_or(NoticeStanding::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(byte: u8, superseded_at: Option<u64>) -> Notice {
        Notice {
            hash: NoticeHash::new([byte; 32]),
            newsletter: NewsletterNumber(1),
            language: Language::En,
            version: u32::from(byte),
            text: "We will use your email address to send you Council news.".into(),
            published_at: Timestamp::from_millis(0),
            superseded_at: superseded_at.map(Timestamp::from_millis),
        }
    }

    #[test]
    fn a_superseded_notice_counts_for_30_days() {
        let catalogue = Catalogue {
            notices: vec![notice(1, Some(1_000)), notice(2, None)],
            ..Default::default()
        };
        let standing = |byte: u8, now: u64| {
            catalogue.notice_standing(
                NewsletterNumber(1),
                NoticeHash::new([byte; 32]),
                Timestamp::from_millis(now),
            )
        };
        let last = 1_000 + SUPERSEDED_NOTICE_DAYS * 86_400_000;
        assert_eq!(standing(1, last), NoticeStanding::Accepted);
        assert_eq!(standing(1, last + 1), NoticeStanding::Outdated);
        assert_eq!(standing(2, last + 1), NoticeStanding::Accepted);
        assert_eq!(standing(3, 0), NoticeStanding::Unknown);
    }

    #[test]
    fn a_hash_is_read_from_64_hexadecimal_digits() {
        let hash = NoticeHash::new([0xc4; 32]);
        assert_eq!(NoticeHash::from_hex(&hash.to_string()), Some(hash));
        assert_eq!(NoticeHash::from_hex(&"C4".repeat(32)), Some(hash));
        for bad in ["", "c4", &"g".repeat(64), &"c4".repeat(33)] {
            assert_eq!(NoticeHash::from_hex(bad), None);
        }
        assert_eq!(NoticeHash::from_hex(&"é".repeat(32)), None);
    }
}

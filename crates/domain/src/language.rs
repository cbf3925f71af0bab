//! The two languages of every page and mail, and text that exists in both.

use serde::{Deserialize, Serialize};

/// A language of pages and mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Welsh.
    Cy,
}

impl Language {
    /// Both, in the order in which a choice lists them.
    pub const ALL: [Self; 2] = [Self::En, Self::Cy];

    /// The tag of BCP 47: `en` or `cy`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Cy => "cy",
        }
    }

    /// The language with this tag, exactly as written.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// Its number in the database: 0 English, 1 Welsh.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::En => 0,
            Self::Cy => 1,
        }
    }

    /// The language with this number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.number() == number)
    }
}

/// A text of the operator's in English and, where there is one, in Welsh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The English text.
    pub en: String,
    /// The Welsh text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cy: Option<String>,
}

impl Words {
    /// The text in this language, in English where the other is missing.
    #[must_use]
    pub fn in_language(&self, language: Language) -> &str {
        match (language, &self.cy) {
            (Language::Cy, Some(welsh)) => welsh,
            _ => &self.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_numbers_go_both_ways() {
        for language in Language::ALL {
            assert_eq!(Language::from_tag(language.tag()), Some(language));
            assert_eq!(Language::from_number(language.number()), Some(language));
        }
        assert_eq!(Language::from_tag("EN"), None);
        assert_eq!(Language::from_number(2), None);
    }

    #[test]
    fn missing_welsh_falls_back_to_english() {
        let words = Words {
            en: "Bins".into(),
            cy: None,
        };
        assert_eq!(words.in_language(Language::Cy), "Bins");
    }
}

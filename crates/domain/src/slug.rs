//! A newsletter's name in addresses of pages, forms and commands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 1 to 40 lower-case letters, digits and hyphens, starting and ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// Text that is no slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a slug is 1 to 40 lower-case letters, digits and hyphens, with a letter or digit at both ends, like \"council-news\""
)]
pub struct NotASlug;

impl Slug {
    /// Reads a slug.
    ///
    /// # Errors
    /// [`NotASlug`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NotASlug> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let bytes = text.as_bytes();
        let fits = (1..=40).contains(&bytes.len())
            && bytes.iter().all(|byte| allowed(*byte))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASlug)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = NotASlug;

    fn try_from(text: String) -> Result<Self, NotASlug> {
        Self::parse(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_plain() {
        for good in ["a", "council-news", "bins-2026", "0"] {
            assert!(Slug::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(41);
        for bad in ["", "-a", "a-", "Council", "a b", "a/b", "é", "a\n", &long] {
            assert_eq!(Slug::parse(bad), Err(NotASlug), "{bad}");
        }
    }
}

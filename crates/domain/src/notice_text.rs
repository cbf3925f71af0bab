//! The words of a notice. Skeleton.

use crate::{Body, Language, Newsletter};

/// The notice of this newsletter: paragraphs with one empty line between two.
#[must_use]
pub fn notice_text(_body: &Body, _newsletter: &Newsletter, _language: Language) -> String {
    todo!()
}

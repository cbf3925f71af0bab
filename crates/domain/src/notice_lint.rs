//! What is missing in the settings of a body or a newsletter. Skeleton.

use std::fmt;

use crate::{Body, Newsletter};

/// The file an operator wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsFile {
    /// The file of `letterbox body set`.
    Body,
    /// The file of `letterbox newsletter add`.
    Newsletter,
}

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeProblem {
    /// The file.
    pub file: SettingsFile,
    /// The key in it, as in `name.cy`.
    pub key: &'static str,
    /// What to write there.
    pub remedy: String,
}

impl fmt::Display for NoticeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.remedy)
    }
}

/// What is wrong with a body's settings by themselves.
#[must_use]
pub fn body_problems(_body: &Body) -> Vec<NoticeProblem> {
    todo!()
}

/// What is wrong with a newsletter's settings under this body, and with the body's for it.
#[must_use]
pub fn notice_problems(_body: &Body, _newsletter: &Newsletter) -> Vec<NoticeProblem> {
    todo!()
}

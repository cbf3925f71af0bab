//! The lines of an export, and of the append-only file of checkpoints: JSON, bytes in lower-case hex.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use domain::{BodyId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::chain::Hash;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};

/// One line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first: whose ledger it is.
    Body(BodyId),
    /// An entry's bytes as they stand, not decoded, and the two hashes that are said to be theirs.
    Entry {
        /// Its bytes.
        entry: Vec<u8>,
        /// The hash of them.
        leaf: Hash,
        /// The chain's.
        h: Hash,
    },
    /// A checkpoint, not checked.
    Checkpoint(SignedCheckpoint),
    /// Names that mean nothing here.
    Other,
}

/// A line that is no JSON, or has bytes in another spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this line is not one of an export")]
pub struct NotALine {
    /// The seq that it names, as far as that could be read.
    pub seq: Option<u64>,
}

/// All names that have a meaning; each may be missing.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Names<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    body_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    entry: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    leaf: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    h: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    public_key: Option<Cow<'a, str>>,
}

impl Line {
    /// Reads a line, without its end.
    ///
    /// # Errors
    /// [`NotALine`] where it is no JSON object, or a name of ours has a value that it cannot have.
    pub fn read(text: &str) -> Result<Self, NotALine> {
        let names: Names<'_> = serde_json::from_str(text).map_err(|_| NotALine { seq: None })?;
        let seq = names.seq;
        names.meaning().ok_or(NotALine { seq })
    }

    /// Writes the line, without its end.
    #[must_use]
    pub fn write(&self) -> String {
        let hex = |bytes: &[u8]| Some(Cow::Owned(HEXLOWER.encode(bytes)));
        let names = match self {
            Self::Body(body_id) => Names {
                body_id: hex(body_id.as_bytes()),
                ..Names::default()
            },
            Self::Entry { entry, leaf, h } => Names {
                entry: hex(entry),
                leaf: hex(leaf),
                h: hex(h),
                ..Names::default()
            },
            Self::Checkpoint(signed) => Names {
                seq: Some(signed.checkpoint.seq),
                h: hex(&signed.checkpoint.h),
                time_ms: Some(signed.checkpoint.time.as_millis()),
                signature: hex(&signed.signature),
                public_key: hex(&signed.public_key),
                ..Names::default()
            },
            Self::Other => Names::default(),
        };
        // Strings and numbers cannot fail to be written.
        serde_json::to_string(&names).unwrap_or_default()
    }
}

impl Names<'_> {
    fn meaning(&self) -> Option<Line> {
        if let Some(entry) = &self.entry {
            return Some(Line::Entry {
                entry: HEXLOWER.decode(entry.as_bytes()).ok()?,
                leaf: fixed(self.leaf.as_ref())?,
                h: fixed(self.h.as_ref())?,
            });
        }
        if self.signature.is_some() {
            return Some(Line::Checkpoint(SignedCheckpoint {
                checkpoint: Checkpoint {
                    seq: self.seq?,
                    h: fixed(self.h.as_ref())?,
                    time: Timestamp::from_millis(self.time_ms?),
                },
                signature: fixed(self.signature.as_ref())?,
                public_key: fixed(self.public_key.as_ref())?,
            }));
        }
        if self.body_id.is_some() {
            return Some(Line::Body(BodyId::new(fixed(self.body_id.as_ref())?)));
        }
        // Half an entry or half a checkpoint is not to be passed over.
        let none_of_ours = self.leaf.is_none()
            && self.seq.is_none()
            && self.h.is_none()
            && self.time_ms.is_none()
            && self.public_key.is_none();
        none_of_ours.then_some(Line::Other)
    }
}

fn fixed<const N: usize>(hex: Option<&Cow<'_, str>>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let hex = hex?.as_bytes();
    if hex.len() != N * 2 {
        return None;
    }
    HEXLOWER.decode_mut(hex, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_of_ours_is_refused_and_another_is_passed_over() {
        assert_eq!(Line::read("{\"note\": 1}"), Ok(Line::Other));
        for bad in [
            "",
            "[]",
            "{\"seq\": 4}",
            "{\"leaf\": \"00\"}",
            "{\"entry\": \"91\"}",
            "{\"body_id\": \"00\"}",
            "{\"body_id\": \"ABABABABABABABABABABABABABABABAB\"}",
            "{\"seq\": 1, \"seq\": 1}",
        ] {
            assert!(Line::read(bad).is_err(), "{bad}");
        }
        let named = Line::read("{\"seq\": 4, \"signature\": \"zz\"}");
        assert_eq!(named, Err(NotALine { seq: Some(4) }));
    }
}

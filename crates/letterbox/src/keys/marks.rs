//! What lies beside the keys and is none: `link-N.compromised` says that others may know the keys of
//! link generation N, and `link-N.incomplete` that they are being written.
//!
//! Each says it by being there, so that one creation and one removal are the whole change. Whoever wants
//! to take the first back removes the file.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::key_file::{Family, KeyFile};
use super::key_folder;

/// A file that says something of one link generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// Others may know its keys.
    Compromised(u16),
    /// Its keys are being written: nobody uses those that are there.
    Incomplete(u16),
}

impl Mark {
    /// The mark with this file name, in its one spelling.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let (number, says) = name.strip_prefix("link-")?.split_once('.')?;
        let generation = number.parse().ok().filter(|number| *number > 0)?;
        let mark = match says {
            "compromised" => Self::Compromised(generation),
            "incomplete" => Self::Incomplete(generation),
            _ => return None,
        };
        (mark.to_string() == name).then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compromised(generation) => write!(f, "link-{generation}.compromised"),
            Self::Incomplete(generation) => write!(f, "link-{generation}.incomplete"),
        }
    }
}

/// The marks of a folder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Marks(pub(super) BTreeSet<Mark>);

impl Marks {
    /// Whether others may know the keys of this generation.
    pub(super) fn is_compromised(&self, generation: u16) -> bool {
        self.0.contains(&Mark::Compromised(generation))
    }

    /// The generations that are marked so.
    pub(super) fn compromised(&self) -> impl Iterator<Item = u16> {
        self.0.iter().filter_map(|mark| match mark {
            Mark::Compromised(generation) => Some(*generation),
            Mark::Incomplete(_) => None,
        })
    }

    /// Whether this key is one of a generation that is being written.
    pub(super) fn hide(&self, file: KeyFile) -> bool {
        file.kind.family() == Some(Family::Links)
            && self.0.contains(&Mark::Incomplete(file.generation))
    }
}

/// Sets a mark, on disk.
pub(super) fn set(folder: &Path, mark: Mark) -> anyhow::Result<()> {
    key_folder::write_private(folder, &mark.to_string(), b"")?;
    key_folder::sync_folder(folder)
}

/// Takes a mark away, on disk.
pub(super) fn remove(folder: &Path, mark: Mark) -> anyhow::Result<()> {
    let path = folder.join(mark.to_string());
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    key_folder::sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_one_spelling() {
        for mark in [
            Mark::Compromised(1),
            Mark::Incomplete(2),
            Mark::Compromised(65_535),
        ] {
            assert_eq!(Mark::from_name(&mark.to_string()), Some(mark));
        }
        for name in [
            "link-01.compromised",
            "link-0.compromised",
            "link-65536.compromised",
            "link-.compromised",
            "link-1.compromised~",
            "link-1.COMPROMISED",
            "link-leave-1.compromised",
            "link-1.key",
            "sealing-1.compromised",
        ] {
            assert_eq!(Mark::from_name(name), None, "{name}");
        }
    }
}

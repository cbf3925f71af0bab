//! All checkpoints of a ledger, their signatures checked: 56 bytes each, and there are few.

use domain::{BodyId, Timestamp};

use crate::chain::Hash;
use crate::checkpoint::{PublicKey, SignedCheckpoint};
use crate::verify::{Bad, Fault, first_of};

/// A checkpoint whose signature is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) seq: u64,
    pub(crate) h: Hash,
    pub(crate) time: Timestamp,
    pub(crate) line: u64,
}

/// What a chain is held against.
#[derive(Debug)]
pub struct CheckpointBook {
    body_id: BodyId,
    keys: Vec<PublicKey>,
    noted: Vec<Noted>,
    bad: Option<Bad>,
}

impl CheckpointBook {
    /// Takes checkpoints of this body by one of these keys; without any key, by whatever key: the
    /// signatures then prove only that whoever made the ledger made its checkpoints too.
    #[must_use]
    pub const fn new(body_id: BodyId, keys: Vec<PublicKey>) -> Self {
        Self {
            body_id,
            keys,
            noted: Vec::new(),
            bad: None,
        }
    }

    /// Adds one; `line` is where it stands, 0 where there are no lines. A bad one is not lost: the end of
    /// the verification names it.
    pub fn add(&mut self, line: u64, signed: &SignedCheckpoint) {
        let fault = if !self.keys.is_empty() && !self.keys.contains(&signed.public_key) {
            Fault::ForeignKey
        } else if signed.is_signed(self.body_id) {
            self.noted.push(Noted {
                seq: signed.checkpoint.seq,
                h: signed.checkpoint.h,
                time: signed.checkpoint.time,
                line,
            });
            return;
        } else {
            Fault::FalseSignature
        };
        let bad = Bad {
            seq: signed.checkpoint.seq,
            line,
            fault,
        };
        self.bad = first_of(self.bad, Some(bad));
    }

    /// In the order of the chain.
    pub(crate) fn sort(&mut self) {
        self.noted
            .sort_by_key(|noted| (noted.seq, noted.time, noted.h, noted.line));
        // The same one from the table and from a file is one.
        self.noted
            .dedup_by_key(|noted| (noted.seq, noted.time, noted.h));
    }

    pub(crate) fn len(&self) -> u64 {
        self.noted.len() as u64
    }

    pub(crate) fn at(&self, index: usize) -> Option<Noted> {
        self.noted.get(index).copied()
    }

    pub(crate) fn from(&self, index: usize) -> &[Noted] {
        self.noted.get(index..).unwrap_or_default()
    }

    pub(crate) const fn bad(&self) -> Option<Bad> {
        self.bad
    }
}

//! The chain: each entry's hash holds all before it.

use domain::{BodyId, LedgerEntry};
use sha2::{Digest, Sha256};

use crate::entry;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// h(0), which no other body's ledger begins with.
#[must_use]
pub fn start(body_id: BodyId) -> Hash {
    Sha256::new()
        .chain_update(b"letterbox/ledger/v1")
        .chain_update(body_id.as_bytes())
        .finalize()
        .into()
}

/// The hash of one entry's bytes.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(entry)
        .finalize()
        .into()
}

/// The chain's hash with one more leaf.
#[must_use]
pub fn next(h: &Hash, leaf: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(h)
        .chain_update(leaf)
        .finalize()
        .into()
}

/// How long the chain is, and its last hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last entry's; 0 before the first.
    pub seq: u64,
    /// The chain's hash there.
    pub h: Hash,
}

/// An entry in its place, as the append writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its seq.
    pub seq: u64,
    /// The hash of its bytes.
    pub leaf: Hash,
    /// The chain's hash at it.
    pub h: Hash,
}

impl Head {
    /// Before the first entry of this body.
    #[must_use]
    pub fn start(body_id: BodyId) -> Self {
        Self {
            seq: 0,
            h: start(body_id),
        }
    }

    /// Puts an entry at the chain's end.
    pub fn append(&mut self, entry: &LedgerEntry) -> Link {
        self.seq += 1;
        let leaf = leaf(&entry::encode(self.seq, entry));
        self.h = next(&self.h, &leaf);
        Link {
            seq: self.seq,
            leaf,
            h: self.h,
        }
    }
}

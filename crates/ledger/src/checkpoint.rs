//! Checkpoints: the chain's head, signed by a key that the database never sees.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use domain::{BodyId, Timestamp};

use crate::chain::Hash;

/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// 32 bytes that are no Ed25519 seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no signing key")]
pub struct BadSeed;

/// A checkpoint of one body's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that it covers; 0 before the first.
    pub seq: u64,
    /// The chain's hash there.
    pub h: Hash,
    /// When it was signed.
    pub time: Timestamp,
}

/// A checkpoint and whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// Ed25519 (RFC 8032, no prehash, no context).
    pub signature: [u8; 64],
    /// Whose.
    pub public_key: PublicKey,
}

impl Checkpoint {
    /// The bytes that are signed.
    fn message(&self, body_id: BodyId) -> Vec<u8> {
        let mut message = Vec::with_capacity(88);
        message.extend(b"letterbox/checkpoint/v1\0");
        message.extend(body_id.as_bytes());
        message.extend(self.seq.to_be_bytes());
        message.extend(self.h);
        message.extend(self.time.as_millis().to_be_bytes());
        message
    }
}

impl SignedCheckpoint {
    /// Whether the signature is that of its public key. Whether that key is one of the body's is for the
    /// caller to know.
    #[must_use]
    pub fn is_signed(&self, body_id: BodyId) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key)
            .verify(&self.checkpoint.message(body_id), &self.signature)
            .is_ok()
    }
}

/// The key that signs checkpoints. It cannot be printed.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key of a seed (RFC 8032).
    ///
    /// # Errors
    /// [`BadSeed`] where the library does not take it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, BadSeed> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(Self)
            .map_err(|_| BadSeed)
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.0.public_key().as_ref());
        public
    }

    /// Signs a checkpoint of this body's chain.
    #[must_use]
    pub fn sign(&self, body_id: BodyId, checkpoint: Checkpoint) -> SignedCheckpoint {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(&checkpoint.message(body_id)).as_ref());
        SignedCheckpoint {
            checkpoint,
            signature,
            public_key: self.public_key(),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

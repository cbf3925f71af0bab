//! The sealing key pair: X25519, made by HPKE's own generator.

use std::fmt;

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

/// The key that opens addresses: 32 bytes, wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes, for the key file.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it opens what is sealed to this public key, tried on a probe: two key files that do
    /// not belong together must be found at the start, not with the first resident's box.
    #[must_use]
    pub fn belongs_to(&self, public_key: &[u8; 32]) -> bool {
        let public_key = HpkePublicKey(public_key.to_vec());
        let Ok((enc, probe)) = SUITE.seal(b"probe", b"", b"probe", &public_key) else {
            return false;
        };
        SUITE
            .open(&enc, b"probe", b"", &probe, &self.to_hpke())
            .is_ok()
    }

    pub(crate) fn to_hpke(&self) -> HpkePrivateKey {
        HpkePrivateKey::from(self.0.to_vec())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// A secret key and its public key.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// For the delivery worker.
    pub secret: SecretKey,
    /// For whoever seals.
    pub public: [u8; 32],
}

/// Makes a key pair.
///
/// # Errors
/// The library's, if it has no randomness.
pub fn generate_key_pair() -> Result<KeyPair, rustls::Error> {
    let (public, secret) = SUITE.generate_key_pair()?;
    let wrong_length = || rustls::Error::General("a key of the wrong length".into());
    let mut bytes = Zeroizing::new([0; 32]);
    let secret = secret.secret_bytes();
    if secret.len() != bytes.len() {
        return Err(wrong_length());
    }
    bytes.copy_from_slice(secret);
    Ok(KeyPair {
        secret: SecretKey(bytes),
        public: public.0.try_into().map_err(|_| wrong_length())?,
    })
}

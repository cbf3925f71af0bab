//! HPKE sealing by rustls and aws-lc-rs.

use std::fmt;

use domain::{BodyId, BoxId, EmailAddress, KeyId, SealedAddress, WrongSealedLength};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{Hpke, HpkePublicKey};

use crate::layout::{self, Purpose};

/// Why an address could not be sealed. Each is a fault of the installation, none of the address.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The public key is no usable X25519 key.
    #[error("the sealing key is not a usable X25519 public key")]
    Key(#[source] rustls::Error),
    /// The cryptographic library failed.
    #[error("the address could not be sealed")]
    Library(#[source] rustls::Error),
    /// The address has no bytes or more than 328, or the library made a box of a strange size.
    #[error("the address has a length that no sealed address can hold")]
    Length,
}

impl From<WrongSealedLength> for SealError {
    fn from(_: WrongSealedLength) -> Self {
        Self::Length
    }
}

/// Seals addresses for the holder of one secret key.
#[derive(Clone)]
pub struct Sealer {
    kid: KeyId,
    info: Vec<u8>,
    public_key: HpkePublicKey,
}

impl Sealer {
    /// A sealer for this body's public key (X25519, 32 bytes) of this generation.
    ///
    /// # Errors
    /// [`SealError::Key`] if nothing can be sealed to the key, all zeros for example: a start must
    /// find that out, not the first resident.
    pub fn new(body: BodyId, kid: KeyId, public_key: [u8; 32]) -> Result<Self, SealError> {
        let sealer = Self {
            kid,
            info: layout::info(body, kid),
            public_key: HpkePublicKey(public_key.to_vec()),
        };
        SUITE
            .setup_sealer(&sealer.info, &sealer.public_key)
            .map_err(SealError::Key)?;
        Ok(sealer)
    }

    /// The generation of the key.
    #[must_use]
    pub const fn kid(&self) -> KeyId {
        self.kid
    }

    /// Seals an address under its purpose and the id of the request that brought it.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn seal(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        box_id: BoxId,
    ) -> Result<SealedAddress, SealError> {
        let plaintext = layout::pad(address.expose()).ok_or(SealError::Length)?;
        let aad = layout::aad(purpose, box_id);
        let (enc, ciphertext) = SUITE
            .seal(&self.info, &aad, &plaintext, &self.public_key)
            .map_err(SealError::Library)?;
        let sealed = [&layout::header(self.kid)[..], &enc.0, &ciphertext].concat();
        Ok(SealedAddress::from_bytes(sealed)?)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

//! Opens sealed addresses, strictly.

use std::fmt;

use address_seal::layout::{self, ENC_BYTES, HEADER_BYTES, Purpose};
use domain::{AddressProblem, BodyId, BoxId, EmailAddress, KeyId, SealedAddress};
use zeroize::Zeroizing;

use crate::receiver::Receiver;

/// Why a box stays shut. Trying again with the same keys gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed by a newer Letterbox.
    #[error("the sealed address has layout version {0}, this Letterbox reads version 1")]
    Version(u8),
    /// Sealed to a key that is not here.
    #[error("there is no opening key with number {}", .0.0)]
    UnknownKey(KeyId),
    /// Damaged, moved from another row or body, or sealed for another purpose.
    #[error("the sealed address does not open for this row")]
    NotGenuine,
    /// It opened, and its size, length, padding or UTF-8 is not what a sealer makes.
    #[error("the sealed address holds no well-formed plaintext")]
    Plaintext,
    /// It opened, and what is inside is not an address that may be mailed.
    #[error("the sealed address holds something that is no address")]
    NotAnAddress(#[source] AddressProblem),
}

/// Holds the secret keys of one body.
pub struct Opener {
    keys: Vec<OpeningKey>,
}

struct OpeningKey {
    kid: KeyId,
    receiver: Receiver,
}

impl Opener {
    /// An opener with these keys; of two with one number the first counts.
    #[must_use]
    pub fn new(body: BodyId, keys: Vec<(KeyId, crate::SecretKey)>) -> Self {
        let keys = keys
            .into_iter()
            .filter_map(|(kid, secret)| {
                let info = layout::info(body, kid);
                let receiver = Receiver::new(secret.expose(), &info).ok()?;
                Some(OpeningKey { kid, receiver })
            })
            .collect();
        Self { keys }
    }

    /// Opens a box that was sealed for this purpose by the request with this id.
    ///
    /// # Errors
    /// [`OpenError`], each of them final.
    pub fn open(
        &self,
        sealed: &SealedAddress,
        purpose: Purpose,
        box_id: BoxId,
    ) -> Result<EmailAddress, OpenError> {
        let plaintext = self.plaintext(sealed, &layout::aad(purpose, box_id))?;
        let text = layout::unpad(&plaintext).ok_or(OpenError::Plaintext)?;
        EmailAddress::parse(text).map_err(OpenError::NotAnAddress)
    }

    pub(crate) fn plaintext(
        &self,
        sealed: &SealedAddress,
        aad: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header, rest) = sealed.as_bytes().split_at(HEADER_BYTES);
        if header[0] != layout::VERSION {
            return Err(OpenError::Version(header[0]));
        }
        let kid = KeyId(u16::from_be_bytes([header[1], header[2]]));
        let key = self
            .keys
            .iter()
            .find(|key| key.kid == kid)
            .ok_or(OpenError::UnknownKey(kid))?;
        let (enc, ciphertext) = rest.split_at(ENC_BYTES);
        key.receiver
            .open(enc, aad, ciphertext)
            .map_err(|_| OpenError::NotGenuine)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<KeyId> = self.keys.iter().map(|key| key.kid).collect();
        write!(f, "Opener({kids:?})")
    }
}

//! Keys derived from an address master (`FORMATS.md`, Reading this page): HKDF-SHA-256 without salt,
//! info = `letterbox|` name `|` hex(body id), 32 bytes.

use domain::BodyId;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The keys that hang on an address master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyName {
    Index,
    Suppression,
    Row,
    MessageId,
}

impl KeyName {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Suppression => "suppression",
            Self::Row => "row",
            Self::MessageId => "message-id",
        }
    }
}

/// The key of this name under a master.
pub(crate) fn derive(master: &[u8; 32], body: BodyId, name: KeyName) -> Zeroizing<[u8; 32]> {
    let info = format!("letterbox|{}|{body}", name.text());
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, master)
        .expand(info.as_bytes(), key.as_mut())
        .expect("HKDF-SHA-256 gives up to 8,160 bytes, 32 are asked for");
    key
}

/// A derived key of 32 bytes, wiped when dropped.
#[derive(Clone)]
pub(crate) struct DerivedKey(Zeroizing<[u8; 32]>);

impl DerivedKey {
    pub(crate) const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// HMAC-SHA-256 over the parts, one after the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref())
            .expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    #[cfg(test)]
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

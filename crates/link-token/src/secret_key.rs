//! Keys for HMAC, and how they come from a master (`FORMATS.md`, Reading this page): HKDF-SHA-256
//! without salt, info = `letterbox|` name `|` hex(body id), 32 bytes.

use domain::BodyId;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::LinkClass;

/// The keys that hang on a link generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyName {
    Link(LinkClass),
    ReturnPath,
    Mailto,
}

impl KeyName {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [
        Self::Link(LinkClass::Leave),
        Self::Link(LinkClass::Join),
        Self::Link(LinkClass::Rights),
        Self::ReturnPath,
        Self::Mailto,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Link(LinkClass::Leave) => "link|leave",
            Self::Link(LinkClass::Join) => "link|join",
            Self::Link(LinkClass::Rights) => "link|rights",
            Self::ReturnPath => "verp",
            Self::Mailto => "mailto",
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

/// A key of 32 bytes for HMAC-SHA-256, wiped when dropped.
#[derive(Clone)]
pub(crate) struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    pub(crate) const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Whether both are one key.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
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
}

//! The 40 bytes of a link token and their 54 characters (`FORMATS.md`, Link tokens, first table).

use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;
use domain::KeyId;

use crate::secret_key::SecretKey;

pub(crate) const VERSION: u8 = 0x01;
/// Characters of a token.
pub(crate) const CHARACTERS: usize = 54;
const BYTES: usize = 40;
const SIGNED_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const LABEL: &[u8] = b"letterbox/link/v1\0";

/// The fields as they stand in the bytes; `purpose` may be any byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) version: u8,
    pub(crate) purpose: u8,
    pub(crate) kid: KeyId,
    pub(crate) subject: [u8; 16],
    pub(crate) aux: u32,
}

impl Fields {
    fn to_bytes(self) -> [u8; SIGNED_BYTES] {
        let mut bytes = [0; SIGNED_BYTES];
        bytes[0] = self.version;
        bytes[1] = self.purpose;
        bytes[2..4].copy_from_slice(&self.kid.0.to_be_bytes());
        bytes[4..20].copy_from_slice(&self.subject);
        bytes[20..].copy_from_slice(&self.aux.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; SIGNED_BYTES]) -> Self {
        let mut subject = [0; 16];
        subject.copy_from_slice(&bytes[4..20]);
        Self {
            version: bytes[0],
            purpose: bytes[1],
            kid: KeyId(u16::from_be_bytes([bytes[2], bytes[3]])),
            subject,
            aux: u32::from_be_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]),
        }
    }
}

/// A token that reads as one; whether it is genuine, [`Unchecked::tag_holds`] says.
pub(crate) struct Unchecked {
    pub(crate) fields: Fields,
    tag: [u8; TAG_BYTES],
}

impl Unchecked {
    /// Reads 54 characters. The decoder refuses spare bits, that is any last character but `A Q g w`.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        if text.len() != CHARACTERS {
            return None;
        }
        let mut bytes = [0; BYTES];
        let written = BASE64URL_NOPAD.decode_mut(text, &mut bytes).ok()?;
        if written != BYTES {
            return None;
        }
        let (signed, tag) = bytes.split_first_chunk::<SIGNED_BYTES>()?;
        Some(Self {
            fields: Fields::from_bytes(signed),
            tag: tag.try_into().ok()?,
        })
    }

    /// Compares the tag in constant time.
    pub(crate) fn tag_holds(&self, key: &SecretKey) -> bool {
        use subtle::ConstantTimeEq;
        tag_of(key, self.fields).ct_eq(&self.tag).into()
    }
}

/// Writes a token.
pub(crate) fn write(key: &SecretKey, fields: Fields) -> String {
    let mut bytes = [0; BYTES];
    bytes[..SIGNED_BYTES].copy_from_slice(&fields.to_bytes());
    bytes[SIGNED_BYTES..].copy_from_slice(&tag_of(key, fields));
    BASE64URL_NOPAD.encode(&bytes)
}

fn tag_of(key: &SecretKey, fields: Fields) -> [u8; TAG_BYTES] {
    let mac = key.mac(&[LABEL, &fields.to_bytes()]);
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&mac[..TAG_BYTES]);
    tag
}

/// The token in what followed the route: up to the first `?`, percent-decoded once, without a run
/// of `/ . ) > ,` at the end, which mail programs and gateways add.
pub(crate) fn in_request_target(rest: &str) -> Cow<'_, [u8]> {
    let rest = rest.split('?').next().unwrap_or_default().as_bytes();
    let mut token = percent_decoded(rest);
    let junk = |byte: &u8| b"/.)>,".contains(byte);
    let kept = token
        .iter()
        .rposition(|byte| !junk(byte))
        .map_or(0, |last| last + 1);
    match &mut token {
        Cow::Borrowed(bytes) => *bytes = &bytes[..kept],
        Cow::Owned(bytes) => bytes.truncate(kept),
    }
    token
}

/// Decodes `%` and two hexadecimal digits; a `%` without them stays, and no token holds one.
fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let escaped = match (first, behind) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            decoded.push(high << 4 | low);
            rest = &behind[2..];
        } else {
            decoded.push(*first);
            rest = behind;
        }
    }
    Cow::Owned(decoded)
}

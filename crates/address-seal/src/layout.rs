//! The byte layout of a sealed address (`FORMATS.md`, Sealed address), without the cryptography.
//!
//! Sealed = `01 ‖ kid(2) ‖ enc(32) ‖ ciphertext ‖ tag(16)`; plaintext = `length(2) ‖ address ‖ zeros`
//! up to a bucket, so that all but the longest addresses look alike.

use domain::{BodyId, BoxId, KeyId};
use zeroize::Zeroizing;

/// The suite: HPKE base mode, DHKEM(X25519, HKDF-SHA-256), HKDF-SHA-256, ChaCha20-Poly1305.
pub const VERSION: u8 = 0x01;

/// Bytes before the encapsulated key: version and key id.
pub const HEADER_BYTES: usize = 3;

/// Bytes of the encapsulated key.
pub const ENC_BYTES: usize = 32;

/// Sizes of a padded plaintext, its two length bytes counted.
pub const BUCKETS: [usize; 5] = [64, 128, 192, 256, 330];

const INFO_LABEL: &[u8] = b"letterbox/address/v1";

/// What the address is for: a box sealed for one purpose does not open under another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A subscriber's address.
    Subscriber = 1,
    /// The new address of a change.
    NewAddress = 2,
    /// The address typed for a look-up or a rights request.
    LookUp = 3,
}

impl Purpose {
    /// All of them; 04, quarantined mail, has another plaintext and no code yet.
    pub const ALL: [Self; 3] = [Self::Subscriber, Self::NewAddress, Self::LookUp];

    /// Its byte in the aad.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The purpose with this byte.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.number() == number)
    }
}

/// HPKE's info: `"letterbox/address/v1" ‖ body_id ‖ kid(2)`.
#[must_use]
pub fn info(body: BodyId, kid: KeyId) -> Vec<u8> {
    [INFO_LABEL, body.as_bytes(), &kid.0.to_be_bytes()].concat()
}

/// HPKE's additional data: `purpose ‖ box_id`, 17 bytes.
#[must_use]
pub fn aad(purpose: Purpose, box_id: BoxId) -> [u8; 17] {
    aad_of(purpose.number(), box_id)
}

pub(crate) fn aad_of(purpose: u8, box_id: BoxId) -> [u8; 17] {
    let mut bytes = [purpose; 17];
    bytes[1..].copy_from_slice(box_id.as_bytes());
    bytes
}

/// The first three bytes: version and key id.
#[must_use]
pub const fn header(kid: KeyId) -> [u8; HEADER_BYTES] {
    let [high, low] = kid.0.to_be_bytes();
    [VERSION, high, low]
}

/// The padded plaintext of an address of 1 to 328 bytes; none for any other length.
#[must_use]
pub fn pad(address: &str) -> Option<Zeroizing<Vec<u8>>> {
    let length = u16::try_from(address.len()).ok().filter(|n| *n > 0)?;
    let bucket = bucket_for(address.len())?;
    // Reserved at once: a buffer that grew would leave a copy behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(bucket));
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(address.as_bytes());
    bytes.resize(bucket, 0);
    Some(bytes)
}

/// The address in a padded plaintext; none unless size, length, padding and UTF-8 are all as
/// [`pad`] makes them, so that one address has one plaintext.
#[must_use]
pub fn unpad(plaintext: &[u8]) -> Option<&str> {
    let (length, rest) = plaintext.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || bucket_for(length)? != plaintext.len() {
        return None;
    }
    let (address, padding) = rest.split_at_checked(length)?;
    // Behind an AEAD there is no secret to be had from an early exit.
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    std::str::from_utf8(address).ok()
}

fn bucket_for(length: usize) -> Option<usize> {
    BUCKETS.into_iter().find(|bucket| length + 2 <= *bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_bucket_that_fits_is_used() {
        for (length, size) in [
            (1, 64),
            (62, 64),
            (63, 128),
            (126, 128),
            (127, 192),
            (190, 192),
            (191, 256),
            (254, 256),
            (255, 330),
            (328, 330),
        ] {
            let address = "a".repeat(length);
            let padded = pad(&address).unwrap();
            assert_eq!(padded.len(), size, "{length}");
            assert_eq!(padded.capacity(), size, "{length}");
            assert_eq!(unpad(&padded), Some(&*address), "{length}");
            assert_eq!(
                size + 51,
                domain::SealedAddress::LENGTHS[bucket_index(size)]
            );
        }
        assert!(pad("").is_none() && pad(&"a".repeat(329)).is_none());
        assert!(pad(&"a".repeat(70_000)).is_none());
    }

    fn bucket_index(size: usize) -> usize {
        BUCKETS.iter().position(|bucket| *bucket == size).unwrap()
    }

    #[test]
    fn a_plaintext_that_no_sealer_makes_is_refused() {
        let good = pad("jo@example.org").unwrap();
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        assert!(unpad(&good).is_some());
        let bad = [
            ("a length of 0", changed(1, 0).to_vec()),
            ("a length beyond the end", changed(0, 1).to_vec()),
            ("a length that cuts", changed(1, 13).to_vec()),
            ("padding that is not zero", changed(63, 1).to_vec()),
            ("padding right behind", changed(16, b'!').to_vec()),
            ("text that is not UTF-8", changed(5, 0xff).to_vec()),
            ("a larger bucket", [&good[..], &[0; 64]].concat()),
            ("no bucket", [&good[..], &[0]].concat()),
            ("one byte short", good[..63].to_vec()),
            ("nothing", vec![]),
            ("one byte", vec![0]),
        ];
        for (name, bytes) in bad {
            assert_eq!(unpad(&bytes), None, "{name}");
        }
    }
}

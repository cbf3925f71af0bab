//! Opens HPKE boxes of the one suite that seals addresses: RFC 9180 base mode, receiver's side, with
//! all that depends on the key alone computed once.
//!
//! The library's own call computes the public key anew for each box, a quarter of its time, and the
//! worker opens a box for every mail. The primitives are the library's; this is their order (RFC 9180
//! 4.1, 5.1), checked against another implementation and the vectors.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;
use zeroize::Zeroizing;

const VERSION_LABEL: &[u8] = b"HPKE-v1";
/// `"KEM" ‖ 0x0020`: DHKEM(X25519, HKDF-SHA-256).
const KEM_SUITE: &[u8] = b"KEM\x00\x20";
/// `"HPKE" ‖ 0x0020 ‖ 0x0001 ‖ 0x0003`: the same, HKDF-SHA-256, ChaCha20-Poly1305.
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x03";
const BASE_MODE: u8 = 0;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// The library failed, or the box is not genuine; nobody can tell which, nor needs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOpened;

/// A secret key, ready to open boxes that were sealed with one `info`.
pub(crate) struct Receiver {
    secret: PrivateKey,
    public: [u8; KEY_BYTES],
    /// `mode ‖ psk_id_hash ‖ info_hash`, 65 bytes.
    key_schedule_context: Vec<u8>,
}

impl Receiver {
    /// # Errors
    /// If the library takes no key of 32 bytes; it takes all of them.
    pub(crate) fn new(secret: &[u8; KEY_BYTES], info: &[u8]) -> Result<Self, NotOpened> {
        let secret = PrivateKey::from_private_key(&X25519, secret).map_err(|_| NotOpened)?;
        let public = secret.compute_public_key().map_err(|_| NotOpened)?;
        let public = public.as_ref().try_into().map_err(|_| NotOpened)?;
        let hash = |label, text| {
            let mut hash = [0; KEY_BYTES];
            hash.copy_from_slice(&labeled_extract(SUITE, b"", label, text).0);
            hash
        };
        let (psk_id_hash, info_hash) = (hash(b"psk_id_hash", b""), hash(b"info_hash", info));
        Ok(Self {
            secret,
            public,
            key_schedule_context: [&[BASE_MODE][..], &psk_id_hash, &info_hash].concat(),
        })
    }

    /// The plaintext of the first box of a context, which is the only one that sealers make.
    ///
    /// # Errors
    /// [`NotOpened`] for whatever this key, `info` and `aad` did not seal.
    pub(crate) fn open(
        &self,
        enc: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let shared_secret = self.decapsulate(enc)?;
        let (_, secret) = labeled_extract(SUITE, &*shared_secret, b"secret", b"");
        let context = &self.key_schedule_context;
        let key = labeled_expand::<KEY_BYTES>(&secret, SUITE, b"key", &[context])?;
        let nonce = labeled_expand::<NONCE_BYTES>(&secret, SUITE, b"base_nonce", &[context])?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).map_err(|_| NotOpened)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        // One key for one box, so the nonce cannot come twice.
        let length = LessSafeKey::new(key)
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(aad),
                &mut text,
            )
            .map_err(|_| NotOpened)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    /// RFC 9180 4.1, `Decap`. An all-zero agreement, which a point of small order gives, is refused by
    /// the library.
    fn decapsulate(&self, enc: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, NotOpened> {
        let sender = UnparsedPublicKey::new(&X25519, enc);
        agreement::agree(&self.secret, sender, NotOpened, |agreed| {
            let (_, secret) = labeled_extract(KEM_SUITE, b"", b"eae_prk", agreed);
            labeled_expand(&secret, KEM_SUITE, b"shared_secret", &[enc, &self.public])
        })
    }
}

/// RFC 9180 4, `LabeledExtract`: the extracted key, and the same ready to expand.
fn labeled_extract(
    suite: &[u8],
    salt: &[u8],
    label: &[u8],
    ikm: &[u8],
) -> (hkdf::hmac::digest::Output<Sha256>, Hkdf<Sha256>) {
    let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
    for part in [VERSION_LABEL, suite, label, ikm] {
        extract.input_ikm(part);
    }
    extract.finalize()
}

/// RFC 9180 4, `LabeledExpand`.
fn labeled_expand<const N: usize>(
    secret: &Hkdf<Sha256>,
    suite: &[u8],
    label: &[u8],
    info: &[&[u8]],
) -> Result<Zeroizing<[u8; N]>, NotOpened> {
    let length = u16::try_from(N).map_err(|_| NotOpened)?.to_be_bytes();
    let mut parts = vec![&length[..], VERSION_LABEL, suite, label];
    parts.extend_from_slice(info);
    let mut output = Zeroizing::new([0; N]);
    secret
        .expand_multi_info(&parts, &mut *output)
        .map_err(|_| NotOpened)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9180 A.2.1: this suite, base mode, sequence number 0.
    #[test]
    fn the_box_of_the_standard_opens() {
        let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        let info = bytes("4f6465206f6e2061204772656369616e2055726e");
        let secret = bytes("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let enc = bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let ciphertext = bytes(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        );
        let receiver = Receiver::new(&secret.try_into().unwrap(), &info).unwrap();
        let plaintext = receiver.open(&enc, b"Count-0", &ciphertext).unwrap();
        assert_eq!(*plaintext, b"Beauty is truth, truth beauty");
        for (enc, aad, ciphertext) in [
            (&enc[..], &b"Count-1"[..], &ciphertext[..]),
            (&enc, b"Count-0", &ciphertext[1..]),
            (&enc, b"Count-0", b""),
            (&enc[1..], b"Count-0", &ciphertext),
            (&[0; 32], b"Count-0", &ciphertext),
        ] {
            assert_eq!(receiver.open(enc, aad, ciphertext), Err(NotOpened));
        }
    }
}

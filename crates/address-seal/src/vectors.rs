//! The `seal` cases of the independent vectors: the layout by the byte, and the sealing by an HPKE
//! that shares no code with ours. What our own sealer makes, `address-open` opens in its tests, and
//! so does the other library here.

use std::fs;

use data_encoding::HEXLOWER;
use domain::{BodyId, BoxId, EmailAddress, KeyId};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde_json::Value;

use crate::layout::{self, Purpose};
use crate::{SealError, Sealer};

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

fn cases() -> Vec<Value> {
    let path = format!(
        "{}/../../tests/vectors/sealed-address.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(path).unwrap();
    let mut all: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = all["cases"].take() else {
        panic!("no cases");
    };
    cases
}

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn sixteen(value: &Value) -> [u8; 16] {
    hex(value).try_into().unwrap()
}

fn kid(case: &Value) -> KeyId {
    KeyId(u16::try_from(case["in"]["kid"].as_u64().unwrap()).unwrap())
}

/// Gives the key material of a vector, once: what the other library draws for its ephemeral key.
struct GivenBytes(Vec<u8>);

impl TryRng for GivenBytes {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("an ephemeral key is drawn as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("an ephemeral key is drawn as bytes")
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Self::Error> {
        buffer.copy_from_slice(&std::mem::take(&mut self.0));
        Ok(())
    }
}

impl TryCryptoRng for GivenBytes {}

#[test]
fn sealing_is_that_of_the_vectors() {
    let mut sealed = 0;
    let mut opened = 0;
    for case in &cases() {
        match case["kind"].as_str().unwrap() {
            "seal" => sealed += usize::from(check_seal(case)),
            // Opened by address-open, whose tests read the same file.
            "open" => opened += 1,
            other => panic!("a kind called {other}"),
        }
    }
    assert_eq!((sealed, opened), (10, 19));
}

/// Whether the case has a sealed address; a case that is refused has none.
fn check_seal(case: &Value) -> bool {
    let name = case["name"].as_str().unwrap();
    let address = String::from_utf8(hex(&case["in"]["address_utf8"])).unwrap();
    let purpose = u8::try_from(case["in"]["purpose"].as_u64().unwrap()).unwrap();
    let padded = layout::pad(&address);
    if !case["reject"].is_null() {
        let unknown = purpose > 4 && Purpose::from_number(purpose).is_none();
        assert!(padded.is_none() || unknown, "{name}");
        return false;
    }
    let (kid, body) = (kid(case), BodyId::new(sixteen(&case["in"]["body_id"])));
    let padded = padded.unwrap_or_else(|| panic!("{name} is refused"));
    let info = layout::info(body, kid);
    let aad = layout::aad_of(purpose, BoxId::new(sixteen(&case["in"]["box_id"])));
    assert_eq!(*padded, hex(&case["mid"]["plaintext"]), "{name}");
    assert_eq!(info, hex(&case["mid"]["info"]), "{name}");
    assert_eq!(aad[..], hex(&case["mid"]["aad"]), "{name}");
    assert_eq!(layout::unpad(&padded), Some(&*address), "{name}");

    let (enc, ciphertext) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &PublicKey::from_bytes(&hex(&case["mid"]["public_key"])).unwrap(),
            &info,
            &padded,
            &aad,
            &mut GivenBytes(hex(&case["in"]["ephemeral_ikm"])),
        )
        .unwrap();
    assert_eq!(enc.to_bytes()[..], hex(&case["mid"]["enc"]), "{name}");
    let sealed = [&layout::header(kid)[..], &enc.to_bytes(), &ciphertext].concat();
    assert_eq!(sealed, hex(&case["out"]["sealed"]), "{name}");
    open_with_the_other_library(case, &address);
    true
}

/// Seals with our own sealer, where the address and purpose are real ones.
fn open_with_the_other_library(case: &Value, address: &str) {
    let purpose = u8::try_from(case["in"]["purpose"].as_u64().unwrap()).unwrap();
    let (Ok(address), Some(purpose)) =
        (EmailAddress::parse(address), Purpose::from_number(purpose))
    else {
        return;
    };
    let (kid, body) = (kid(case), BodyId::new(sixteen(&case["in"]["body_id"])));
    let box_id = BoxId::new(sixteen(&case["in"]["box_id"]));
    let public_key = hex(&case["mid"]["public_key"]).try_into().unwrap();
    let sealer = Sealer::new(body, kid, public_key).unwrap();
    let first = sealer.seal(&address, purpose, box_id).unwrap();
    let again = sealer.seal(&address, purpose, box_id).unwrap();
    assert_ne!(first, again, "no two boxes of one address are equal");
    let (header, rest) = first.as_bytes().split_at(layout::HEADER_BYTES);
    assert_eq!(header, layout::header(kid));
    let (enc, ciphertext) = rest.split_at(layout::ENC_BYTES);
    let plaintext = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &PrivateKey::from_bytes(&hex(&case["in"]["private_key"])).unwrap(),
        &EncappedKey::from_bytes(enc).unwrap(),
        &layout::info(body, kid),
        ciphertext,
        &layout::aad(purpose, box_id),
    )
    .unwrap();
    assert_eq!(plaintext, *layout::pad(address.expose()).unwrap());
}

#[test]
fn a_key_that_nothing_can_be_sealed_to_is_found_at_the_start() {
    let made = Sealer::new(BodyId::new([1; 16]), KeyId(1), [0; 32]);
    assert!(matches!(made, Err(SealError::Key(_))), "{made:?}");
}

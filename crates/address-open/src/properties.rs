//! What holds of every box, and the two ways between our HPKE and another library's.

use address_seal::Sealer;
use address_seal::layout::{self, Purpose};
use domain::{BodyId, BoxId, EmailAddress, IssueNumber, KeyId, SealedAddress};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeS, Serializable};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::{
    AddressKeys, AddressMaster, DerivedKeys, KeyPair, OpenError, Opener, generate_key_pair,
};

const BODY: BodyId = BodyId::new([7; 16]);
const KID: KeyId = KeyId(3);
const BOX: BoxId = BoxId::new([5; 16]);

fn opener(pair: &KeyPair) -> Opener {
    Opener::new(BODY, vec![(KID, pair.secret.clone())])
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

#[test]
fn what_our_sealer_seals_our_opener_opens() {
    let pair = generate_key_pair().unwrap();
    let sealer = Sealer::new(BODY, KID, pair.public).unwrap();
    for purpose in Purpose::ALL {
        for text in [
            "jo@example.org",
            "Élodie@bücher.example",
            &format!("{}@b.org", "l".repeat(64)),
        ] {
            let locked = sealer.seal(&address(text), purpose, BOX).unwrap();
            let opened = opener(&pair).open(&locked, purpose, BOX).unwrap();
            assert_eq!(opened.expose(), text);
            for other in Purpose::ALL.into_iter().filter(|other| *other != purpose) {
                let refused = opener(&pair).open(&locked, other, BOX);
                assert!(matches!(refused, Err(OpenError::NotGenuine)), "{other:?}");
            }
        }
    }
}

#[test]
fn what_another_library_seals_our_opener_opens_and_checks() {
    let pair = generate_key_pair().unwrap();
    let seal = |plaintext: &[u8]| {
        let (enc, ciphertext) =
            hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &<X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&pair.public).unwrap(),
                &layout::info(BODY, KID),
                plaintext,
                &layout::aad(Purpose::Subscriber, BOX),
                &mut Sevens,
            )
            .unwrap();
        let sealed = [&layout::header(KID)[..], &enc.to_bytes(), &ciphertext].concat();
        let sealed = SealedAddress::from_bytes(sealed).unwrap();
        opener(&pair).open(&sealed, Purpose::Subscriber, BOX)
    };
    let good = layout::pad("jo@example.org").unwrap();
    assert_eq!(seal(&good).unwrap().expose(), "jo@example.org");
    let mut padding = good.clone();
    padding[63] = 1;
    assert_eq!(seal(&padding).err(), Some(OpenError::Plaintext));
    // HPKE does not say who sealed: whoever has the public key can seal a second header.
    let header = layout::pad("jo@example.org\r\nBcc: eve@example.org").unwrap();
    assert!(matches!(seal(&header), Err(OpenError::NotAnAddress(_))));
}

#[test]
fn keys_that_do_not_belong_together_are_found() {
    let (one, other) = (generate_key_pair().unwrap(), generate_key_pair().unwrap());
    assert!(one.secret.belongs_to(&one.public));
    assert!(!one.secret.belongs_to(&other.public));
    assert!(!one.secret.belongs_to(&[0; 32]));
}

#[test]
fn secrets_and_addresses_are_not_shown() {
    let pair = generate_key_pair().unwrap();
    let master = AddressMaster::new(Zeroizing::new([9; 32]));
    let keys = AddressKeys::derive(BODY, std::slice::from_ref(&master)).unwrap();
    let codes = keys.codes(&address("jo@example.org"));
    let shown = format!(
        "{:?} {master:?} {keys:?} {codes:?} {:?} {:?}",
        pair.secret,
        DerivedKeys {
            index: Zeroizing::new([9; 32]),
            suppression: vec![Zeroizing::new([9; 32])],
            row: Zeroizing::new([9; 32]),
            message_id: Zeroizing::new([9; 32]),
        },
        opener(&pair)
    );
    assert!(
        !shown.contains("9, 9") && !shown.contains("example"),
        "{shown}"
    );
    assert!(shown.contains("SecretKey(…) AddressMaster(…)"), "{shown}");
}

#[test]
fn there_is_no_set_of_keys_without_a_master() {
    assert!(AddressKeys::derive(BODY, &[]).is_err());
    let master = AddressMaster::new(Zeroizing::new([9; 32]));
    let mut derived = DerivedKeys::derive(BODY, &[master]).unwrap();
    derived.suppression.clear();
    assert!(AddressKeys::from_derived(derived).is_err());
    let too_many = vec![AddressMaster::new(Zeroizing::new([9; 32])); 65_536];
    assert!(DerivedKeys::derive(BODY, &too_many).is_err());
}

#[test]
fn derived_keys_hold_no_master_and_serve_as_the_masters_do() {
    let masters: Vec<AddressMaster> = (1..=3)
        .map(|n| AddressMaster::new(Zeroizing::new([n; 32])))
        .collect();
    for count in 1..=3 {
        let derived = DerivedKeys::derive(BODY, &masters[..count]).unwrap();
        assert_eq!(derived.suppression.len(), count);
        let all = [&derived.index, &derived.row, &derived.message_id];
        let all: Vec<[u8; 32]> = all
            .into_iter()
            .chain(&derived.suppression)
            .map(|key| **key)
            .collect();
        for (place, key) in all.iter().enumerate() {
            assert!(!all[..place].contains(key), "two keys are one");
            assert!((1..=3).all(|n| *key != [n; 32]), "a master");
        }
        let whole = AddressKeys::derive(BODY, &masters[..count]).unwrap();
        let split = AddressKeys::from_derived(derived).unwrap();
        let jo = address("jo+tag@example.org");
        assert_eq!(split.codes(&jo), whole.codes(&jo));
        assert_eq!(usize::from(split.codes(&jo).generation), count);
        assert_eq!(
            split.message_id_local_part(IssueNumber(4), &[5; 16]),
            whole.message_id_local_part(IssueNumber(4), &[5; 16])
        );
    }
}

#[test]
fn a_message_id_is_the_same_every_time() {
    let master = AddressMaster::new(Zeroizing::new([9; 32]));
    let keys = AddressKeys::derive(BODY, &[master]).unwrap();
    // Made by Python's hmac from the page alone.
    let expected = "sprirr2zkih5kymcwavdf3xmx4";
    assert_eq!(
        keys.message_id_local_part(IssueNumber(12), &[5; 16]),
        expected
    );
    assert_ne!(
        keys.message_id_local_part(IssueNumber(13), &[5; 16]),
        expected
    );
    assert_ne!(
        keys.message_id_local_part(IssueNumber(12), &[6; 16]),
        expected
    );
}

#[test]
fn one_flipped_bit_anywhere_keeps_a_box_shut() {
    let pair = generate_key_pair().unwrap();
    let holder = opener(&pair);
    let sealer = Sealer::new(BODY, KID, pair.public).unwrap();
    let locked = sealer
        .seal(&address("jo@example.org"), Purpose::Subscriber, BOX)
        .unwrap();
    assert!(holder.open(&locked, Purpose::Subscriber, BOX).is_ok());
    // The top bit of an X25519 public key carries nothing (RFC 7748, 5), but the KEM hashes `enc` as
    // sent, so that even this bit keeps the box shut.
    for bit in 0..locked.as_bytes().len() * 8 {
        let mut bytes = locked.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = SealedAddress::from_bytes(bytes).unwrap();
        let opened = holder.open(&changed, Purpose::Subscriber, BOX);
        assert!(opened.is_err(), "bit {bit}");
    }
}

/// Bytes that are anything but random: enough for an ephemeral key of a test.
struct Sevens;

impl TryRng for Sevens {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Self::Error> {
        buffer.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for Sevens {}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_open_nothing_and_break_nothing(
        bytes in prop::collection::vec(any::<u8>(), 381), size in 0..5_usize, version in 0..3_u8,
    ) {
        let mut bytes = bytes[..SealedAddress::LENGTHS[size]].to_vec();
        bytes[0] = version;
        bytes[1..3].copy_from_slice(&KID.0.to_be_bytes());
        let sealed = SealedAddress::from_bytes(bytes).unwrap();
        let pair = generate_key_pair().unwrap();
        prop_assert!(opener(&pair).open(&sealed, Purpose::Subscriber, BOX).is_err());
    }
}

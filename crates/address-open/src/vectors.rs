//! Every case of the independent vectors that concern this crate. A kind or name that is not known
//! here fails the test: a vector that nobody reads proves nothing.

use std::fs;

use address_seal::layout::{self, Purpose};
use data_encoding::HEXLOWER;
use domain::{
    BodyId, BoxId, EmailAddress, EventId, KeyId, NewsletterNumber, RowMac, SealedAddress,
    SubscriptionId, comparison_form_of_text, mailbox_form_of,
};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::derived_key::{self, KeyName};
use crate::{AddressKeys, AddressMaster, DerivedKeys, OpenError, Opener, RowFields, SecretKey};

/// Names of keys that `link-token` derives and checks against the same file.
const NAMES_OF_LINK_KEYS: [&str; 5] = ["link|leave", "link|join", "link|rights", "verp", "mailto"];

fn cases(file: &str) -> Vec<Value> {
    let path = format!(
        "{}/../../tests/vectors/{file}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let Value::Array(cases) = all["cases"].take() else {
        panic!("no cases");
    };
    for case in &cases {
        let (refused, result) = (!case["reject"].is_null(), !case["out"].is_null());
        assert_ne!(refused, result, "{case}");
    }
    cases
}

fn is_refused(case: &Value) -> bool {
    !case["reject"].is_null()
}

fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn sixteen(value: &Value) -> [u8; 16] {
    hex(value).try_into().unwrap()
}

fn thirty_two(value: &Value) -> [u8; 32] {
    hex(value).try_into().unwrap()
}

fn body(case: &Value) -> BodyId {
    BodyId::new(sixteen(&case["in"]["body_id"]))
}

fn kid(value: &Value) -> KeyId {
    KeyId(u16::try_from(value["kid"].as_u64().unwrap()).unwrap())
}

fn secret(value: &Value) -> SecretKey {
    SecretKey::from_bytes(Zeroizing::new(thirty_two(&value["private_key"])))
}

#[test]
fn sealed_addresses_open_as_in_the_vectors() {
    let mut counts = (0, 0);
    for case in &cases("sealed-address") {
        match case["kind"].as_str().unwrap() {
            // What cannot be sealed has no box to open; address-seal's tests refuse it.
            "seal" if is_refused(case) => {}
            "seal" => {
                let opener = Opener::new(body(case), vec![(kid(&case["in"]), secret(&case["in"]))]);
                let text = open(&opener, case, &case["out"]["sealed"]);
                assert_eq!(
                    text,
                    Some(hex(&case["in"]["address_utf8"])),
                    "{}",
                    name(case)
                );
                let public_key = thirty_two(&case["mid"]["public_key"]);
                assert!(
                    secret(&case["in"]).belongs_to(&public_key),
                    "{}",
                    name(case)
                );
                counts.0 += 1;
            }
            "open" => {
                let keys = case["in"]["private_keys"].as_array().unwrap();
                let keys = keys.iter().map(|key| (kid(key), secret(key))).collect();
                let text = open(&Opener::new(body(case), keys), case, &case["in"]["sealed"]);
                let expected = (!is_refused(case)).then(|| hex(&case["out"]["address_utf8"]));
                assert_eq!(text, expected, "{}", name(case));
                counts.1 += 1;
            }
            other => panic!("a kind called {other}"),
        }
    }
    assert_eq!(counts, (10, 19));
}

/// The text in a box, whether or not it is an address: vectors seal a lone `@`, and 328 letters.
/// Where it is one, the public way must give it too.
fn open(opener: &Opener, case: &Value, sealed: &Value) -> Option<Vec<u8>> {
    let sealed = SealedAddress::from_bytes(hex(sealed)).ok()?;
    let box_id = BoxId::new(sixteen(&case["in"]["box_id"]));
    let number = u8::try_from(case["in"]["purpose"].as_u64().unwrap()).unwrap();
    // Purpose 04 has no name in the code yet.
    let aad = [&[number][..], box_id.as_bytes()].concat();
    let text = opener
        .plaintext(&sealed, &aad)
        .ok()
        .and_then(|plaintext| layout::unpad(&plaintext).map(str::to_owned));
    if let Some(purpose) = Purpose::from_number(number) {
        match (&text, opener.open(&sealed, purpose, box_id)) {
            (Some(text), Ok(address)) => assert_eq!(address.expose(), text),
            (Some(text), Err(OpenError::NotAnAddress(problem))) => {
                assert_eq!(EmailAddress::parse(text).err(), Some(problem));
            }
            (None, Err(problem)) => check_problem(case, &problem),
            (text, public) => panic!("{}: {} but {public:?}", name(case), text.is_some()),
        }
    }
    text.map(String::into_bytes)
}

fn check_problem(case: &Value, problem: &OpenError) {
    let word = match problem {
        OpenError::Version(_) => "version",
        OpenError::UnknownKey(_) => "key",
        OpenError::NotGenuine => "open",
        OpenError::Plaintext => "plaintext",
        OpenError::NotAnAddress(_) => "address",
    };
    assert_eq!(case["reject"], word, "{}", name(case));
}

fn address_keys(case: &Value) -> AddressKeys {
    let masters: Vec<AddressMaster> = case["in"]["masters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|master| AddressMaster::new(Zeroizing::new(thirty_two(master))))
        .collect();
    AddressKeys::derive(body(case), &masters).unwrap()
}

#[test]
fn codes_are_those_of_the_vectors() {
    let all = cases("address-codes");
    assert_eq!(all.len(), 26);
    for case in &all {
        assert_eq!(case["kind"], "codes", "{}", name(case));
        let text = String::from_utf8(hex(&case["in"]["address_utf8"])).unwrap();
        let norm = comparison_form_of_text(&text);
        if is_refused(case) {
            assert!(norm.is_none(), "{}", name(case));
            assert!(EmailAddress::parse(&text).is_err(), "{}", name(case));
            continue;
        }
        let norm = norm.unwrap_or_else(|| panic!("{} has no form", name(case)));
        let mailbox = mailbox_form_of(&norm);
        assert_eq!(
            norm.as_bytes(),
            hex(&case["mid"]["norm_utf8"]),
            "{}",
            name(case)
        );
        assert_eq!(
            mailbox.as_bytes(),
            hex(&case["mid"]["mailbox_utf8"]),
            "{}",
            name(case)
        );
        let keys = address_keys(case);
        check_code_keys(case, &keys);
        let codes = keys.codes_of_forms(&norm, &mailbox);
        // As the worker has them: the derived keys alone, out of files.
        let from_files = AddressKeys::from_derived(DerivedKeys {
            index: Zeroizing::new(thirty_two(&case["mid"]["k_index"])),
            suppression: case["mid"]["k_sup"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| Zeroizing::new(thirty_two(key)))
                .collect(),
            row: Zeroizing::new([0; 32]),
            message_id: Zeroizing::new([0; 32]),
        });
        assert_eq!(
            from_files.unwrap().codes_of_forms(&norm, &mailbox),
            codes,
            "{}",
            name(case)
        );
        let newest = |codes: &Value| hex(codes.as_array().unwrap().last().unwrap());
        assert_eq!(
            codes.index.as_bytes()[..],
            hex(&case["out"]["address_index"])
        );
        assert_eq!(
            codes.suppression.as_bytes()[..],
            newest(&case["out"]["suppression_codes"])
        );
        assert_eq!(
            codes.mailbox.as_bytes()[..],
            newest(&case["out"]["mailbox_codes"])
        );
        let generations = case["in"]["masters"].as_array().unwrap().len();
        assert_eq!(usize::from(codes.generation), generations);
        // A trailing dot is compared without, and not accepted at a sign-up.
        match EmailAddress::parse(&text) {
            Ok(address) => assert_eq!(keys.codes(&address), codes, "{}", name(case)),
            Err(problem) => assert_eq!(problem.code(), "trailing_dot", "{}", name(case)),
        }
    }
}

fn check_code_keys(case: &Value, keys: &AddressKeys) {
    assert_eq!(keys.index.expose()[..], hex(&case["mid"]["k_index"]));
    let expected: Vec<Vec<u8>> = case["mid"]["k_sup"]
        .as_array()
        .unwrap()
        .iter()
        .map(hex)
        .collect();
    let derived: Vec<&[u8]> = keys
        .suppression
        .iter()
        .map(|key| &key.expose()[..])
        .collect();
    assert_eq!(derived, expected, "{}", name(case));
}

#[test]
fn row_macs_are_those_of_the_vectors() {
    let all = cases("row-mac");
    assert_eq!(all.len(), 17);
    for case in &all {
        let given = &case["in"];
        let master = AddressMaster::new(Zeroizing::new(thirty_two(&given["master"])));
        let keys = AddressKeys::derive(body(case), &[master]).unwrap();
        let sealed = SealedAddress::from_bytes(hex(&given["sealed"])).unwrap();
        let consent = sixteen(&given["consent_event_id"]);
        let row = RowFields {
            subscription_id: SubscriptionId::new(sixteen(&given["subscription_id"])),
            box_id: BoxId::new(sixteen(&given["box_id"])),
            newsletter: NewsletterNumber(given["newsletter"].as_u64().unwrap()),
            sealed: &sealed,
            state: u8::try_from(given["state"].as_u64().unwrap()).unwrap(),
            consent_event_id: (consent != [0; 16]).then(|| EventId::new(consent)),
        };
        match case["kind"].as_str().unwrap() {
            "mac" => {
                assert_eq!(
                    keys.row.expose()[..],
                    hex(&case["mid"]["k_row"]),
                    "{}",
                    name(case)
                );
                let mac = keys.row_mac(&row);
                let from_files = AddressKeys::from_derived(DerivedKeys {
                    index: Zeroizing::new([0; 32]),
                    suppression: vec![Zeroizing::new([0; 32])],
                    row: Zeroizing::new(thirty_two(&case["mid"]["k_row"])),
                    message_id: Zeroizing::new([0; 32]),
                });
                assert!(from_files.unwrap().row_mac_holds(&row, &mac));
                assert_eq!(
                    mac.as_bytes()[..],
                    hex(&case["out"]["row_mac"]),
                    "{}",
                    name(case)
                );
                assert!(keys.row_mac_holds(&row, &mac));
            }
            "verify" => {
                let mac: Option<[u8; 32]> = hex(&given["row_mac"]).try_into().ok();
                let holds = mac.is_some_and(|mac| keys.row_mac_holds(&row, &RowMac::new(mac)));
                assert_eq!(holds, !is_refused(case), "{}", name(case));
            }
            other => panic!("a kind called {other}"),
        }
    }
}

#[test]
fn keys_are_those_of_the_vectors() {
    let names = [
        KeyName::Index,
        KeyName::Suppression,
        KeyName::Row,
        KeyName::MessageId,
    ];
    let all = cases("keys");
    assert_eq!(all.len(), 13);
    for case in &all {
        assert_eq!(case["kind"], "derive", "{}", name(case));
        let text = case["in"]["name"].as_str().unwrap();
        let key_name = names.into_iter().find(|name| name.text() == text);
        let master: Option<[u8; 32]> = hex(&case["in"]["master"]).try_into().ok();
        if is_refused(case) {
            assert!(key_name.is_none() || master.is_none(), "{}", name(case));
        } else if let Some(key_name) = key_name {
            let key = derived_key::derive(&master.unwrap(), body(case), key_name);
            assert_eq!(key[..], hex(&case["out"]["key"]), "{}", name(case));
        } else {
            assert!(NAMES_OF_LINK_KEYS.contains(&text), "a key called {text}");
        }
    }
}

//! What holds of every token, not only of those in the vectors.

use domain::{BodyId, EventId, IssueNumber, KeyId, KeyState, Timestamp};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::return_path::{MailtoKeys, ReturnPathKeys};
use crate::{
    ClassKey, FormStampKey, LinkClass, LinkKeyError, LinkKeys, LinkMaster, Purpose, Route, receipt,
};

const BODY: BodyId = BodyId::new([7; 16]);

fn master(kid: u16, state: KeyState) -> LinkMaster {
    LinkMaster {
        kid: KeyId(kid),
        bytes: Zeroizing::new([u8::try_from(kid).unwrap(); 32]),
        state,
    }
}

fn keys(class: LinkClass) -> LinkKeys {
    let masters = [
        master(3, KeyState::Compromised),
        master(2, KeyState::Current),
        master(1, KeyState::Retired),
    ];
    LinkKeys::derive(class, BODY, &masters).unwrap()
}

fn any_purpose() -> impl Strategy<Value = Purpose> {
    prop::sample::select(&Purpose::ALL[..])
}

#[test]
fn links_are_made_with_the_newest_current_key() {
    let token = keys(LinkClass::Leave).mint(Purpose::Undo, &[1; 16], 0);
    let checked = keys(LinkClass::Leave).check(Route::Undo, &token).unwrap();
    assert_eq!(checked.key.kid, KeyId(2));
    assert_eq!(checked.key.state, KeyState::Current);
}

#[test]
fn a_set_of_keys_that_cannot_serve_is_refused() {
    let derive =
        |masters: &[LinkMaster]| LinkKeys::derive(LinkClass::Join, BODY, masters).map(|_| ());
    assert_eq!(derive(&[]), Err(LinkKeyError::NoneCurrent));
    let retired = master(1, KeyState::Retired);
    assert_eq!(
        derive(std::slice::from_ref(&retired)),
        Err(LinkKeyError::NoneCurrent)
    );
    let twice = [
        master(2, KeyState::Current),
        retired,
        master(2, KeyState::Current),
    ];
    assert_eq!(derive(&twice), Err(LinkKeyError::TwiceTheSame(KeyId(2))));
}

#[test]
#[should_panic(expected = "a link of another class")]
fn a_link_of_another_class_is_never_made() {
    let _ = keys(LinkClass::Leave).mint(Purpose::Confirm, &[1; 16], 0);
}

#[test]
fn a_set_of_derived_keys_that_cannot_serve_is_refused() {
    let key = |kid, state| master(kid, state).class_key(LinkClass::Join, BODY);
    let take = |keys| LinkKeys::from_class_keys(LinkClass::Join, keys).map(|_| ());
    assert_eq!(take(vec![]), Err(LinkKeyError::NoneCurrent));
    let retired = key(1, KeyState::Retired);
    assert_eq!(take(vec![retired.clone()]), Err(LinkKeyError::NoneCurrent));
    let twice = vec![
        key(2, KeyState::Current),
        retired,
        key(2, KeyState::Retired),
    ];
    assert_eq!(take(twice), Err(LinkKeyError::TwiceTheSame(KeyId(2))));
    let compromised = vec![key(3, KeyState::Compromised)];
    assert_eq!(
        ReturnPathKeys::from_keys(compromised).map(|_| ()),
        Err(LinkKeyError::NoneCurrent)
    );
}

#[test]
fn a_running_role_takes_new_generations_and_states_in_every_clone() {
    let first = [master(1, KeyState::Current)];
    let derive =
        |masters: &[LinkMaster]| LinkKeys::derive(LinkClass::Leave, BODY, masters).unwrap();
    let held = derive(&first);
    let clone = held.clone();
    let old = [Purpose::Unsubscribe, Purpose::NotMe, Purpose::Undo]
        .map(|purpose| (purpose, clone.mint(purpose, &[9; 16], 0)));
    let state_of = |keys: &LinkKeys, (purpose, link): &(Purpose, String)| {
        keys.check(purpose.route(), link)
            .map(|token| token.key.state)
    };

    let rotated = [master(1, KeyState::Retired), master(2, KeyState::Current)];
    held.renew(&derive(&rotated)).unwrap();
    for link in &old {
        assert_eq!(state_of(&clone, link), Some(KeyState::Retired));
    }
    let new = clone.mint(Purpose::Unsubscribe, &[9; 16], 0);
    let checked = held.check(Route::Leave, &new).unwrap();
    assert_eq!(checked.key.kid, KeyId(2));

    let marked = [
        master(1, KeyState::Compromised),
        master(2, KeyState::Current),
    ];
    held.renew(&derive(&marked)).unwrap();
    assert_eq!(state_of(&clone, &old[0]), Some(KeyState::Compromised));
    assert_eq!(state_of(&clone, &old[1]), Some(KeyState::Compromised));
    assert_eq!(state_of(&clone, &old[2]), None, "an undo of a known key");
}

#[test]
fn no_renewal_breaks_links_that_were_made() {
    let two = [master(1, KeyState::Retired), master(2, KeyState::Current)];
    let derive = |masters: &[LinkMaster]| LinkKeys::derive(LinkClass::Join, BODY, masters).unwrap();
    let held = derive(&two);
    let lacking = derive(&two[1..]);
    assert_eq!(held.renew(&lacking), Err(LinkKeyError::Lost(KeyId(1))));
    let another = derive(&[
        master(1, KeyState::Retired),
        LinkMaster {
            bytes: Zeroizing::new([77; 32]),
            ..master(2, KeyState::Current)
        },
    ]);
    assert_eq!(held.renew(&another), Err(LinkKeyError::Another(KeyId(2))));
    assert_eq!(
        held.states(),
        [(KeyId(1), KeyState::Retired), (KeyId(2), KeyState::Current)]
    );
    let paths = ReturnPathKeys::derive(BODY, &two).unwrap();
    let fewer = ReturnPathKeys::derive(BODY, &two[1..]).unwrap();
    assert_eq!(paths.renew(&fewer), Err(LinkKeyError::Lost(KeyId(1))));
}

#[test]
fn keys_are_not_shown() {
    let masters = [master(2, KeyState::Current)];
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        // Of bytes that the texts below would give away if they were shown.
        ClassKey {
            kid: KeyId(2),
            bytes: Zeroizing::new([2; 32]),
            state: KeyState::Current,
        },
        keys(LinkClass::Leave),
        masters,
        MailtoKeys::derive(BODY, &masters).unwrap(),
        ReturnPathKeys::derive(BODY, &masters).unwrap(),
        FormStampKey::new(Zeroizing::new([2; 32])),
    );
    assert!(
        !shown.contains("[2, 2") && !shown.contains("0202"),
        "{shown}"
    );
}

#[test]
fn one_idempotency_key_is_one_event_and_another_site_another() {
    let key = FormStampKey::new(Zeroizing::new([9; 32]));
    let event = key.idempotent_event_id("council.example", "form-1");
    // HMAC-SHA-256 of "council.example\0form-1" under 32 bytes of 09, made by Python's hmac.
    assert_eq!(event.to_string(), "2f8b8b6e666f96bb3f5d8dc8985ff481");
    assert_ne!(event, key.idempotent_event_id("council.example", "form-2"));
    assert_ne!(event, key.idempotent_event_id("council.examplef", "orm-1"));
}

proptest! {
    #[test]
    fn what_is_minted_is_read_on_its_route_alone(
        purpose in any_purpose(), subject: [u8; 16], aux: u32, tail in "[/.)>,]{0,4}(\\?.{0,9})?",
    ) {
        let keys = keys(purpose.class());
        let token = keys.mint(purpose, &subject, aux);
        prop_assert_eq!(token.len(), 54);
        for route in Route::ALL {
            let checked = keys.check(route, &format!("{token}{tail}"));
            let expected = (route == purpose.route()).then_some((purpose, subject, aux));
            prop_assert_eq!(checked.map(|c| (c.purpose, c.subject, c.aux)), expected);
        }
    }

    #[test]
    fn derived_keys_serve_as_the_masters_do_and_no_other_class_does(
        purpose in any_purpose(), subject: [u8; 16], aux: u32, bytes: [[u8; 32]; 3],
        newest in 0..3_usize,
    ) {
        let masters: Vec<LinkMaster> = (0..=newest)
            .map(|place| LinkMaster {
                kid: KeyId(u16::try_from(place).unwrap() + 1),
                bytes: Zeroizing::new(bytes[place]),
                state: if place == newest { KeyState::Current } else { KeyState::Retired },
            })
            .collect();
        let class = purpose.class();
        let whole = LinkKeys::derive(class, BODY, &masters).unwrap();
        let split = |class| {
            masters.iter().map(|master| master.class_key(class, BODY)).collect::<Vec<_>>()
        };
        let derived = LinkKeys::from_class_keys(class, split(class)).unwrap();
        let token = whole.mint(purpose, &subject, aux);
        prop_assert_eq!(&derived.mint(purpose, &subject, aux), &token);
        let checked = derived.check(purpose.route(), &token);
        prop_assert!(checked.is_some());
        prop_assert_eq!(checked, whole.check(purpose.route(), &token));
        // The keys of another class, given out as those of this one, take nothing of it.
        for other in [LinkClass::Leave, LinkClass::Join, LinkClass::Rights] {
            if other != class {
                let mistaken = LinkKeys::from_class_keys(class, split(other)).unwrap();
                prop_assert_eq!(mistaken.check(purpose.route(), &token), None);
            }
        }
        let return_paths: Vec<_> = masters.iter().map(|master| master.return_path_key(BODY)).collect();
        let mistaken = LinkKeys::from_class_keys(class, return_paths).unwrap();
        prop_assert_eq!(mistaken.check(purpose.route(), &token), None);
    }

    #[test]
    fn one_flipped_bit_anywhere_makes_a_token_nothing(
        purpose in any_purpose(), subject: [u8; 16], aux: u32, bit in 0..320_usize,
    ) {
        use data_encoding::BASE64URL_NOPAD;
        let keys = keys(purpose.class());
        let token = keys.mint(purpose, &subject, aux);
        let mut bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = BASE64URL_NOPAD.encode(&bytes);
        for route in Route::ALL {
            prop_assert_eq!(keys.check(route, &changed), None);
        }
    }

    #[test]
    fn one_changed_character_makes_a_token_nothing(
        purpose in any_purpose(), subject: [u8; 16], at in 0..54_usize, other in "[!-~]",
    ) {
        let keys = keys(purpose.class());
        let token = keys.mint(purpose, &subject, 0);
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert_eq!(keys.check(purpose.route(), &changed), None);
    }

    #[test]
    fn a_flipped_bit_makes_a_mailbox_name_nothing(
        subject: [u8; 16], issue: u32, bit in 0..280_usize,
    ) {
        use data_encoding::BASE32_NOPAD;
        let masters = [master(2, KeyState::Current)];
        let flipped = |local_part: &str| {
            let mut bytes = BASE32_NOPAD.decode(local_part[2..].to_uppercase().as_bytes()).unwrap();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            format!("{}{}", &local_part[..2], BASE32_NOPAD.encode(&bytes).to_lowercase())
        };
        let return_paths = ReturnPathKeys::derive(BODY, &masters).unwrap();
        let now = Timestamp::from_millis(1_795_500_000_000);
        let local_part = return_paths.mint(&subject, IssueNumber(issue), now);
        prop_assert!(return_paths.check(&local_part).is_some_and(|mailbox| mailbox.is_alive(now)));
        prop_assert_eq!(return_paths.check(&flipped(&local_part)), None);
        let mailtos = MailtoKeys::derive(BODY, &masters).unwrap();
        let local_part = mailtos.mint(&subject, IssueNumber(issue));
        prop_assert!(mailtos.check(&local_part).is_some());
        prop_assert_eq!(mailtos.check(&flipped(&local_part)), None);
    }

    #[test]
    fn nothing_that_is_sent_breaks_the_checks(text: String, near in "[A-Za-z0-9_%?-]{40,60}") {
        let masters = [master(2, KeyState::Current)];
        for text in [&text, &near, &format!("b-{text}"), &format!("u-{near}"), &format!("%{text}%")] {
            for route in Route::ALL {
                prop_assert_eq!(keys(LinkClass::Leave).check(route, text), None);
            }
            prop_assert_eq!(ReturnPathKeys::derive(BODY, &masters).unwrap().check(text), None);
            prop_assert_eq!(MailtoKeys::derive(BODY, &masters).unwrap().check(text), None);
            if let Some(event_id) = receipt::read(text) {
                prop_assert_eq!(text.len() >= 26, !receipt::of(event_id).is_empty());
            }
        }
    }

    #[test]
    fn a_receipt_is_read_however_it_is_grouped(id: [u8; 16], group in 1..8_usize) {
        let receipt = receipt::of(EventId::new(id));
        let grouped: Vec<&str> = receipt
            .as_bytes()
            .chunks(group)
            .map(|chunk| std::str::from_utf8(chunk).unwrap())
            .collect();
        for typed in [grouped.join("-"), grouped.join(" ").to_lowercase(), format!(" {receipt}-")] {
            prop_assert_eq!(receipt::read(&typed), Some(EventId::new(id)));
        }
    }
}

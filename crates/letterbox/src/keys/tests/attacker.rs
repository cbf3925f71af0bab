//! Somebody has the folder of one role, and all they can do is try.

use address_open::{AddressKeys, AddressMaster, DerivedKeys, Opener, RowFields, SecretKey};
use address_seal::Purpose as BoxPurpose;
use domain::{BoxId, EmailAddress, KeyId, KeyState, NewsletterNumber, SubscriptionId};
use link_token::return_path::ReturnPathKeys;
use link_token::{ClassKey, LinkClass, LinkKeys, LinkMaster, Purpose, Route};
use zeroize::Zeroizing;

use super::super::role_folders::{read_deliver, read_intake, read_unsubscribe};
use super::*;

const BOX: BoxId = BoxId::new([5; 16]);

/// Everything of 32 bytes that a thief of this folder holds, as it stands in the files.
fn loot(folder: &Path) -> Vec<Zeroizing<[u8; 32]>> {
    contents(folder)
        .into_values()
        .filter_map(|bytes| bytes.try_into().ok().map(Zeroizing::new))
        .collect()
}

/// Link keys that a thief can make of one value: as a class key, and derived as if it were a master.
fn forged_keys(
    class: LinkClass,
    body: domain::BodyId,
    value: &Zeroizing<[u8; 32]>,
) -> [LinkKeys; 2] {
    let (kid, state) = (KeyId(1), KeyState::Current);
    let key = ClassKey {
        kid,
        bytes: value.clone(),
        state,
    };
    let master = LinkMaster {
        kid,
        bytes: value.clone(),
        state,
    };
    [
        LinkKeys::from_class_keys(class, vec![key]).unwrap(),
        LinkKeys::derive(class, body, &[master]).unwrap(),
    ]
}

/// The links of this class that all of a thief's values make, for every purpose of the class.
fn forged_links(class: LinkClass, folder: &Path) -> Vec<(Purpose, String)> {
    let body = key_folder::read_body_id(folder).unwrap();
    let purposes = Purpose::ALL
        .into_iter()
        .filter(|purpose| purpose.class() == class);
    purposes
        .flat_map(|purpose| {
            loot(folder)
                .iter()
                .flat_map(|value| forged_keys(class, body, value))
                .map(|keys| (purpose, keys.mint(purpose, &[1; 16], 0)))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// How many of the links a door takes for genuine, on any route.
fn taken(links: &[(Purpose, String)], keys: &LinkKeys) -> usize {
    links
        .iter()
        .filter(|(_, link)| {
            Route::ALL
                .iter()
                .any(|route| keys.check(*route, link).is_some())
        })
        .count()
}

#[test]
fn with_the_folder_of_intake_nobody_can_leave_for_another() {
    let installation = Installation::with(generations(1, 2, 1));
    let stolen = installation.path(Holder::Intake);
    let unsubscribe = read_unsubscribe(&installation.path(Holder::Unsubscribe)).unwrap();
    let intake = read_intake(&stolen).unwrap();
    assert_eq!(loot(&stolen).len(), 4);
    let links = forged_links(LinkClass::Leave, &stolen);
    assert_eq!(links.len(), 3 * 4 * 2);
    assert_eq!(taken(&links, &unsubscribe.leave), 0);
    // What it can do is what it must check: links to confirm, with its own class key as it stands.
    let links = forged_links(LinkClass::Join, &stolen);
    assert_eq!(taken(&links, &intake.join), 2, "one key, two purposes");
}

#[test]
fn with_the_folder_of_unsubscribe_nobody_can_confirm_or_see_data() {
    let installation = Installation::new();
    let stolen = installation.path(Holder::Unsubscribe);
    let intake = read_intake(&installation.path(Holder::Intake)).unwrap();
    let deliver = read_deliver(&installation.path(Holder::Deliver)).unwrap();
    let rights = contents(&installation.path(Holder::Deliver))["link-rights-1.key"].clone();
    let [rights, _] = forged_keys(
        LinkClass::Rights,
        deliver.body_id,
        &Zeroizing::new(rights.try_into().unwrap()),
    );
    assert_eq!(loot(&stolen).len(), 1);
    assert_eq!(
        taken(&forged_links(LinkClass::Join, &stolen), &intake.join),
        0
    );
    assert_eq!(taken(&forged_links(LinkClass::Rights, &stolen), &rights), 0);
    // The holder of the right folder can: the test would see a link that is taken.
    let genuine = forged_links(LinkClass::Rights, &installation.path(Holder::Intake));
    assert_eq!(taken(&genuine, &rights), 3);
}

#[test]
fn with_the_folder_of_a_web_role_no_address_opens() {
    let installation = Installation::with(generations(1, 2, 1));
    let intake = read_intake(&installation.path(Holder::Intake)).unwrap();
    let deliver = read_deliver(&installation.path(Holder::Deliver)).unwrap();
    let address = EmailAddress::parse("jo@example.org").unwrap();
    let sealed = intake
        .sealer
        .seal(&address, BoxPurpose::Subscriber, BOX)
        .unwrap();
    let open = |opener: &Opener| opener.open(&sealed, BoxPurpose::Subscriber, BOX);
    assert!(open(&deliver.keys.opener).is_ok());
    for role in [Holder::Intake, Holder::Unsubscribe] {
        for value in loot(&installation.path(role)) {
            let secret = SecretKey::from_bytes(value);
            let opener = Opener::new(intake.body_id, vec![(intake.sealer.kid(), secret)]);
            assert!(open(&opener).is_err(), "{role:?}");
        }
    }
}

#[test]
fn with_the_folder_of_a_web_role_nobody_can_tell_an_address_or_forge_a_row() {
    let installation = Installation::new();
    let intake = read_intake(&installation.path(Holder::Intake)).unwrap();
    let deliver = read_deliver(&installation.path(Holder::Deliver)).unwrap();
    let real = &deliver.keys.address;
    let address = EmailAddress::parse("jo@example.org").unwrap();
    let sealed = intake
        .sealer
        .seal(&address, BoxPurpose::Subscriber, BOX)
        .unwrap();
    let row = RowFields {
        subscription_id: SubscriptionId::new([6; 16]),
        box_id: BOX,
        newsletter: NewsletterNumber(1),
        sealed: &sealed,
        state: 0,
        consent_event_id: None,
    };
    assert!(real.row_mac_holds(&row, &real.row_mac(&row)));
    for role in [Holder::Intake, Holder::Unsubscribe] {
        for value in loot(&installation.path(role)) {
            let guess = DerivedKeys {
                index: value.clone(),
                suppression: vec![value.clone()],
                row: value.clone(),
                message_id: value.clone(),
            };
            let as_master = AddressMaster::new(value);
            for forged in [
                AddressKeys::from_derived(guess).unwrap(),
                AddressKeys::derive(intake.body_id, &[as_master]).unwrap(),
            ] {
                let (codes, real_codes) = (forged.codes(&address), real.codes(&address));
                assert_ne!(codes.index, real_codes.index, "{role:?}");
                assert_ne!(codes.suppression, real_codes.suppression, "{role:?}");
                assert_ne!(codes.mailbox, real_codes.mailbox, "{role:?}");
                assert!(!real.row_mac_holds(&row, &forged.row_mac(&row)), "{role:?}");
            }
        }
    }
}

#[test]
fn with_the_folder_of_a_web_role_nobody_can_forge_a_bounce() {
    let installation = Installation::new();
    let return_path = |bytes| {
        let key = ClassKey {
            kid: KeyId(1),
            bytes,
            state: KeyState::Current,
        };
        ReturnPathKeys::from_keys(vec![key]).unwrap()
    };
    let real = contents(&installation.path(Holder::Deliver))["verp-1.key"].clone();
    let real = return_path(Zeroizing::new(real.try_into().unwrap()));
    let now = domain::Timestamp::from_millis(1_795_500_000_000);
    let issue = domain::IssueNumber(3);
    assert!(real.check(&real.mint(&[1; 16], issue, now)).is_some());
    for role in [Holder::Intake, Holder::Unsubscribe] {
        for value in loot(&installation.path(role)) {
            let body = key_folder::read_body_id(&installation.path(role)).unwrap();
            let master = LinkMaster {
                kid: KeyId(1),
                bytes: value.clone(),
                state: KeyState::Current,
            };
            for forged in [
                return_path(value),
                ReturnPathKeys::derive(body, &[master]).unwrap(),
            ] {
                assert!(
                    real.check(&forged.mint(&[1; 16], issue, now)).is_none(),
                    "{role:?}"
                );
            }
        }
    }
}

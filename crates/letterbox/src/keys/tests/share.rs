//! The folders hold what they should, and their keys do what the masters' do.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use address_seal::Purpose;
use domain::{
    BoxId, EmailAddress, EventId, IssueNumber, KeyId, KeyState, NewsletterNumber, SubscriptionId,
};
use link_token::Route;

use super::super::role_folders::{
    DeliverKeys, IntakeKeys, UnsubscribeKeys, read_body_id, read_deliver, read_intake,
    read_unsubscribe,
};
use super::super::{description, key_folder};
use super::*;

/// The table of `keys/mod.rs`, for one generation of everything.
const FILES: [(Holder, &[&str]); 4] = [
    (
        Holder::Masters,
        &[
            "address-1.key",
            "body-id",
            "form-stamp.key",
            "ledger.key",
            "link-1.key",
            "sealing-1.key",
            "sealing-1.public",
        ],
    ),
    (
        Holder::Intake,
        &[
            "body-id",
            "form-stamp.key",
            "link-join-1.key",
            "link-rights-1.key",
            "sealing-1.public",
        ],
    ),
    (Holder::Unsubscribe, &["body-id", "link-leave-1.key"]),
    (
        Holder::Deliver,
        &[
            "address-index-1.key",
            "address-message-id-1.key",
            "address-row-1.key",
            "address-suppression-1.key",
            "body-id",
            "ledger.key",
            "link-join-1.key",
            "link-leave-1.key",
            "link-rights-1.key",
            "sealing-1.key",
            "sealing-1.public",
            "verp-1.key",
        ],
    ),
];

#[test]
fn each_folder_holds_its_keys_and_nothing_else_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let target = parent.path().join("not/there/yet");
    split::write_new_keys(&target, &CountingEntropy::default()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&target), 0o700);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 4);
    for (holder, names) in FILES {
        let folder = target.join(holder.folder_name());
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(contents(&folder).into_keys().collect::<Vec<_>>(), names);
        for name in names {
            assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
        }
        assert!(refusal(holder, &folder).is_none());
        assert_eq!(
            read_body_id(&folder).unwrap(),
            read_body_id(&target.join("masters")).unwrap()
        );
    }
    // Nothing of the building stays beside it.
    assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn of_several_generations_each_role_gets_those_it_uses() {
    let installation = Installation::with(generations(2, 3, 2));
    let names = |holder| {
        let names: Vec<_> = contents(&installation.path(holder)).into_keys().collect();
        names.join(" ")
    };
    assert_eq!(
        names(Holder::Intake),
        "body-id form-stamp.key link-join-1.key link-join-2.key link-rights-1.key \
         link-rights-2.key sealing-3.public"
    );
    assert_eq!(
        names(Holder::Unsubscribe),
        "body-id link-leave-1.key link-leave-2.key"
    );
    assert_eq!(
        names(Holder::Deliver),
        "address-index-2.key address-message-id-2.key address-row-2.key \
         address-suppression-1.key address-suppression-2.key body-id ledger.key link-join-1.key \
         link-join-2.key link-leave-1.key link-leave-2.key link-rights-1.key link-rights-2.key \
         sealing-1.key sealing-1.public sealing-2.key sealing-2.public sealing-3.key \
         sealing-3.public verp-1.key verp-2.key"
    );
}

#[test]
fn no_master_is_in_a_role_folder_and_no_two_folders_share_more_than_they_must() {
    let installation = Installation::with(generations(3, 2, 3));
    let values = |holder| -> BTreeSet<Vec<u8>> {
        contents(&installation.path(holder)).into_values().collect()
    };
    let secret_of_masters: Vec<Vec<u8>> = contents(&installation.path(Holder::Masters))
        .into_iter()
        .filter(|(name, _)| name.starts_with("link-") || name.starts_with("address-"))
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(secret_of_masters.len(), 6);
    for role in Holder::ROLES {
        for master in &secret_of_masters {
            assert!(!values(role).contains(master), "{role:?}");
        }
    }
    let shared = |one, other| {
        let names = contents(&installation.path(one));
        let others = values(other);
        let mut shared: Vec<_> = names
            .into_iter()
            .filter(|(_, bytes)| others.contains(bytes))
            .map(|(name, _)| name)
            .collect();
        shared.retain(|name| name != "body-id");
        shared.join(" ")
    };
    assert_eq!(shared(Holder::Intake, Holder::Unsubscribe), "");
    assert_eq!(
        shared(Holder::Intake, Holder::Deliver),
        "link-join-1.key link-join-2.key link-join-3.key link-rights-1.key link-rights-2.key \
         link-rights-3.key sealing-2.public"
    );
    assert_eq!(
        shared(Holder::Unsubscribe, Holder::Deliver),
        "link-leave-1.key link-leave-2.key link-leave-3.key"
    );
}

struct AllKeys(IntakeKeys, UnsubscribeKeys, DeliverKeys);

fn from_folders(installation: &Installation) -> AllKeys {
    AllKeys(
        read_intake(&installation.path(Holder::Intake)).unwrap(),
        read_unsubscribe(&installation.path(Holder::Unsubscribe)).unwrap(),
        read_deliver(&installation.path(Holder::Deliver)).unwrap(),
    )
}

fn from_masters(installation: &Installation) -> AllKeys {
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    let (intake, unsubscribe, deliver) = masters.share_out().unwrap();
    AllKeys(intake, unsubscribe, deliver)
}

/// What one set makes, the other takes: links, boxes, codes, row MACs and Message-IDs.
fn what_one_makes_the_other_takes(made_by: &AllKeys, taken_by: &AllKeys, newest: u16) {
    use link_token::Purpose::{Confirm, NotMe, Undo, Unsubscribe};
    let AllKeys(intake, _, deliver) = made_by;
    let AllKeys(its_intake, its_unsubscribe, its_deliver) = taken_by;
    assert_eq!(its_unsubscribe.body_id, intake.body_id);
    let subject = [7; 16];
    for (purpose, route) in [
        (Unsubscribe, Route::Leave),
        (NotMe, Route::Leave),
        (Undo, Route::Undo),
    ] {
        let link = deliver.keys.leave.mint(purpose, &subject, 0);
        for keys in [&its_unsubscribe.leave, &its_deliver.keys.leave] {
            let checked = keys.check(route, &link).unwrap();
            assert_eq!((checked.subject, checked.key.kid), (subject, KeyId(newest)));
            assert_eq!(checked.key.state, KeyState::Current);
        }
    }
    let link = deliver.keys.join.mint(Confirm, &subject, 9);
    assert!(its_intake.join.check(Route::Confirm, &link).is_some());

    let address = EmailAddress::parse("jo+news@example.org").unwrap();
    let box_id = BoxId::new([5; 16]);
    let sealed = intake
        .sealer
        .seal(&address, Purpose::Subscriber, box_id)
        .unwrap();
    let opened = its_deliver
        .keys
        .opener
        .open(&sealed, Purpose::Subscriber, box_id)
        .unwrap();
    assert_eq!(opened.expose(), address.expose());
    let (keys, its_keys) = (&deliver.keys.address, &its_deliver.keys.address);
    assert_eq!(keys.codes(&address), its_keys.codes(&address));
    let row = address_open::RowFields {
        subscription_id: SubscriptionId::new(subject),
        box_id,
        newsletter: NewsletterNumber(3),
        sealed: &sealed,
        state: 1,
        consent_event_id: Some(EventId::new([8; 16])),
    };
    assert!(its_keys.row_mac_holds(&row, &keys.row_mac(&row)));
    let issue = IssueNumber(12);
    assert_eq!(
        keys.message_id_local_part(issue, &subject),
        its_keys.message_id_local_part(issue, &subject)
    );
    assert_eq!(
        intake.form_stamp.idempotent_event_id("a.example", "1"),
        its_intake.form_stamp.idempotent_event_id("a.example", "1")
    );
}

#[test]
fn folders_and_masters_give_the_same_keys_for_every_number_of_generations() {
    for links in 1..=3 {
        for sealing in 1..=2 {
            for address in 1..=3 {
                let installation = Installation::with(generations(links, sealing, address));
                let (split, whole) = (from_folders(&installation), from_masters(&installation));
                what_one_makes_the_other_takes(&whole, &split, links);
                what_one_makes_the_other_takes(&split, &whole, links);
            }
        }
    }
}

#[test]
fn links_made_and_boxes_sealed_before_two_more_generations_still_hold_after_the_split() {
    let before = from_masters(&Installation::new());
    let links: Vec<String> = (0..9)
        .map(|n| {
            let leave = &before.2.keys.leave;
            leave.mint(link_token::Purpose::Unsubscribe, &[n; 16], 4)
        })
        .collect();
    // The same entropy makes the same first generation of links and addresses.
    let after = from_folders(&Installation::with(generations(3, 1, 1)));
    for link in links {
        let checked = after.1.leave.check(Route::Leave, &link).unwrap();
        assert_eq!(checked.key.kid, KeyId(1));
        assert_eq!(checked.key.state, KeyState::Retired);
    }
}

#[test]
fn splitting_again_gives_the_same_bytes_and_leaves_the_masters_alone() {
    let installation = Installation::with(generations(2, 2, 2));
    let before = contents(&installation.path(Holder::Masters));
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    let again = installation.folder.path().join("again");
    split::write(&masters, &again).unwrap();
    for role in Holder::ROLES {
        assert_eq!(
            contents(&again.join(role.folder_name())),
            contents(&installation.path(role))
        );
    }
    assert_eq!(contents(&installation.path(Holder::Masters)), before);
    assert_eq!(fs::read_dir(&again).unwrap().count(), 3);
}

#[test]
fn show_tells_whose_folder_it_is_and_no_secret() {
    let installation = Installation::with(generations(2, 2, 2));
    for holder in [
        Holder::Masters,
        Holder::Intake,
        Holder::Unsubscribe,
        Holder::Deliver,
    ] {
        let folder = installation.path(holder);
        let text = description::of_any(&folder).unwrap().join("\n");
        assert!(
            text.contains(&format!("of {}", holder.folder_name())),
            "{text}"
        );
        assert!(text.contains("key id 1, retired") && text.contains("key id 2, current"));
        for (name, bytes) in contents(&folder) {
            let may_show = name == "body-id" || name.ends_with(".public");
            assert_eq!(
                text.contains(&HEXLOWER.encode(&bytes)),
                may_show,
                "{name} in {text}"
            );
        }
    }
    let lines = description::of_masters(&installation.path(Holder::Masters)).unwrap();
    assert!(lines[0].starts_with("body id"), "{lines:?}");
}

#[test]
fn masters_are_made_once_and_read_back() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("keys");
    key_folder::create_folder(&folder).unwrap();
    assert!(masters::create_if_absent(&folder, &CountingEntropy::default()).unwrap());
    assert!(!masters::create_if_absent(&folder, &CountingEntropy::default()).unwrap());
    fs::write(folder.join("a note of the operator"), "kept").unwrap();
    let keys = masters::read(&folder).unwrap();
    assert_eq!(keys.links.len(), 1);
    assert_eq!(keys.links[0].state, KeyState::Current);
    assert_eq!(keys.sealing[0].kid, KeyId(1));
    key_folder::write_new(
        &folder,
        KeyFile {
            kind: Kind::LinkMaster,
            generation: 2,
        },
        &[7; 32],
    )
    .unwrap();
    let states: Vec<_> = masters::read(&folder)
        .unwrap()
        .links
        .iter()
        .map(|master| master.state)
        .collect();
    assert_eq!(states, [KeyState::Retired, KeyState::Current]);
}

//! Link keys that change: every old link goes on, whatever is cut short, and nothing is half there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use domain::{KeyId, KeyState};
use link_token::{Purpose, Route};

use super::super::marks::{self, Mark};
use super::super::role_folders::{read_deliver, read_intake, read_unsubscribe};
use super::super::rotation::{RoleFolder, add_generation, mark_compromised};
use super::super::{description, masters, split};
use super::*;
use crate::failure::SettingsError;

/// Makes a generation and gives it to these roles, as the command does.
fn rotate(installation: &Installation, seed: u8, roles: &[Holder]) -> u16 {
    let folder = installation.path(Holder::Masters);
    let generation = add_generation(&folder, &Other::than(seed)).unwrap();
    let masters = masters::read(&folder).unwrap();
    for role in roles {
        let role = RoleFolder::open(&installation.path(*role), &masters).unwrap();
        role.bring_up_to(&masters).unwrap();
    }
    generation
}

fn refused<T>(outcome: anyhow::Result<T>) -> String {
    let error = outcome.err().expect("a refusal");
    assert!(error.downcast_ref::<SettingsError>().is_some(), "{error:?}");
    error.to_string()
}

#[test]
fn every_unsubscribe_link_that_was_ever_made_goes_on_through_five_generations() {
    let installation = Installation::new();
    let mut links = Vec::new();
    for generation in 1..=5_u16 {
        let deliver = read_deliver(&installation.path(Holder::Deliver)).unwrap();
        let subject = [u8::try_from(generation).unwrap(); 16];
        for purpose in [Purpose::Unsubscribe, Purpose::NotMe, Purpose::Undo] {
            let link = deliver.keys.leave.mint(purpose, &subject, 0);
            links.push((generation, purpose, link));
        }
        let confirm = deliver.keys.join.mint(Purpose::Confirm, &subject, 9);
        links.push((generation, Purpose::Confirm, confirm));
        let made = rotate(&installation, 100 + subject[0], &Holder::ROLES);
        assert_eq!(made, generation + 1);
    }
    let kept: Vec<PathBuf> = [Holder::Masters, Holder::Intake, Holder::Unsubscribe]
        .iter()
        .map(|holder| installation.path(*holder))
        .collect();
    assert_eq!(mark_compromised(&kept, 3).unwrap(), [true; 3]);
    assert_eq!(mark_compromised(&kept, 3).unwrap(), [false; 3], "no news");
    let unsubscribe = read_unsubscribe(&installation.path(Holder::Unsubscribe)).unwrap();
    let intake = read_intake(&installation.path(Holder::Intake)).unwrap();
    for (generation, purpose, link) in &links {
        let keys = match purpose {
            Purpose::Confirm => &intake.join,
            _ => &unsubscribe.leave,
        };
        let state = keys.check(purpose.route(), link).map(|token| {
            assert_eq!(token.key.kid, KeyId(*generation));
            token.key.state
        });
        let expected = match (generation, purpose) {
            (3, Purpose::Unsubscribe | Purpose::NotMe) => Some(KeyState::Compromised),
            (3, _) => None,
            _ => Some(KeyState::Retired),
        };
        assert_eq!(state, expected, "{generation} {purpose:?}");
    }
    let text = description::of_any(&kept[2]).unwrap().join("\n");
    for line in [
        "key id 2, retired",
        "key id 3, compromised",
        "key id 6, current",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn what_a_rotation_gives_is_what_a_split_of_the_masters_would_give() {
    let installation = Installation::with(generations(2, 2, 2));
    rotate(&installation, 77, &Holder::ROLES);
    let everything: Vec<PathBuf> = Holder::ROLES
        .iter()
        .chain([&Holder::Masters])
        .map(|holder| installation.path(*holder))
        .collect();
    mark_compromised(&everything, 1).unwrap();
    let again = installation.folder.path().join("again");
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    split::write(&masters, &again).unwrap();
    for role in Holder::ROLES {
        let folder = installation.path(role);
        let files = |folder: &Path| {
            let mut files: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| {
                    let path = entry.unwrap().path();
                    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
                    assert_eq!(mode, 0o600, "{}", path.display());
                    let name = path.file_name().unwrap().to_owned();
                    (name, fs::read(path).unwrap())
                })
                .collect();
            files.sort();
            files
        };
        assert_eq!(files(&folder), files(&again.join(role.folder_name())));
    }
}

#[test]
fn a_generation_that_is_being_written_is_not_there_and_the_next_run_completes_it() {
    let installation = Installation::new();
    let masters_folder = installation.path(Holder::Masters);
    add_generation(&masters_folder, &Other::than(50)).unwrap();
    let masters = masters::read(&masters_folder).unwrap();
    let folder = installation.path(Holder::Deliver);
    let bring = || {
        let role = RoleFolder::open(&folder, &masters).unwrap();
        role.bring_up_to(&masters).unwrap()
    };
    // Cut short after the mark, and after each of its four files.
    let names = ["", "link-leave", "link-join", "link-rights", "verp"];
    marks::set(&folder, Mark::Incomplete(2)).unwrap();
    for name in names {
        if !name.is_empty() {
            let half = "half a key";
            let path = folder.join(format!("{name}-2.key"));
            fs::write(&path, half).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let keys = read_deliver(&folder).unwrap().keys.leave;
        assert_eq!(keys.states(), [(KeyId(1), KeyState::Current)], "{name}");
    }
    assert_eq!(bring().generations, [2]);
    let keys = read_deliver(&folder).unwrap().keys.leave;
    assert_eq!(
        keys.states(),
        [(KeyId(1), KeyState::Retired), (KeyId(2), KeyState::Current)]
    );
    assert!(!folder.join("link-2.incomplete").exists());
    assert!(bring().generations.is_empty(), "it has everything");

    // Masters that were cut short make the same number again: no role has it yet.
    marks::set(&masters_folder, Mark::Incomplete(3)).unwrap();
    fs::write(masters_folder.join("link-3.key"), "half").unwrap();
    assert_eq!(masters::read(&masters_folder).unwrap().links.len(), 2);
    assert_eq!(
        add_generation(&masters_folder, &Other::than(51)).unwrap(),
        3
    );
    assert_eq!(masters::read(&masters_folder).unwrap().links.len(), 3);
}

#[test]
fn folders_that_masters_did_not_make_are_left_alone() {
    let installation = Installation::new();
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    let strangers = tempfile::tempdir().unwrap();
    let theirs = strangers.path().join("keys");
    split::write_new_keys(&theirs, &Other::than(9)).unwrap();
    let open = |path: &Path| refused(RoleFolder::open(path, &masters));
    assert!(open(&theirs.join("unsubscribe")).contains("not made from these masters"));
    assert!(open(&installation.path(Holder::Masters)).contains("no folder of a role"));
    assert!(open(&strangers.path().join("nowhere")).contains("nowhere"));

    // The right body and other keys: a copy of masters that went another way.
    let other = installation.folder.path().join("other");
    key_folder::create_folder(&other).unwrap();
    for (name, _) in contents(&installation.path(Holder::Masters)) {
        let from = installation.path(Holder::Masters).join(&name);
        fs::copy(from, other.join(&name)).unwrap();
    }
    add_generation(&other, &Other::than(60)).unwrap();
    rotate(&installation, 61, &Holder::ROLES);
    let other = masters::read(&other).unwrap();
    let folder = installation.path(Holder::Unsubscribe);
    assert!(refused(RoleFolder::open(&folder, &other)).contains("not made from these masters"));
    // Older masters would take generations away.
    assert!(open(&folder).contains("newer link keys"));
    let newest = masters::read(&installation.path(Holder::Masters)).unwrap();
    let held = RoleFolder::open(&folder, &newest).unwrap();
    assert!(refused(RoleFolder::open(&folder, &newest)).contains("named twice"));
    drop(held);
}

#[test]
fn the_key_that_makes_links_is_not_marked_and_a_mark_without_its_key_is_refused() {
    let installation = Installation::new();
    let folders = [
        installation.path(Holder::Unsubscribe),
        installation.path(Holder::Masters),
    ];
    let why = refused(mark_compromised(&folders, 1));
    assert!(why.contains("keys rotate links"), "{why}");
    let why = refused(mark_compromised(&folders, 2));
    assert!(why.contains("has no link key 2"), "{why}");
    // One of the folders does not have it: none is marked.
    rotate(&installation, 70, &[]);
    assert!(refused(mark_compromised(&folders, 1)).contains("unsubscribe"));
    let names = |holder| fs::read_dir(installation.path(holder)).unwrap().count();
    assert_eq!(names(Holder::Unsubscribe), 2);

    let folder = installation.path(Holder::Unsubscribe);
    fs::write(folder.join("link-2.compromised"), "").unwrap();
    let why = refused(read_unsubscribe(&folder));
    assert!(
        why.contains("link-2.compromised") && why.contains("backup"),
        "{why}"
    );
    fs::remove_file(folder.join("link-2.compromised")).unwrap();
    fs::create_dir(folder.join("link-1.compromised")).unwrap();
    assert!(refused(read_unsubscribe(&folder)).contains("no key of unsubscribe"));
}

#[test]
fn a_link_of_a_new_key_is_refused_where_the_key_is_not_yet() {
    let installation = Installation::new();
    rotate(&installation, 80, &[Holder::Deliver]);
    let deliver = read_deliver(&installation.path(Holder::Deliver)).unwrap();
    let link = deliver.keys.leave.mint(Purpose::Unsubscribe, &[1; 16], 0);
    let late = read_unsubscribe(&installation.path(Holder::Unsubscribe)).unwrap();
    assert!(late.leave.check(Route::Leave, &link).is_none());
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    let folder = installation.path(Holder::Unsubscribe);
    let role = RoleFolder::open(&folder, &masters).unwrap();
    role.bring_up_to(&masters).unwrap();
    let newer = read_unsubscribe(&folder).unwrap();
    late.leave.renew(&newer.leave).unwrap();
    assert!(late.leave.check(Route::Leave, &link).is_some());
}

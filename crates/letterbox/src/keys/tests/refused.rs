//! Folders that a role does not start with; each refusal names the file and the remedy.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::role_folders::read_body_id;
use super::*;
use crate::failure::SettingsError;

const EVERYBODY: [Holder; 4] = [
    Holder::Masters,
    Holder::Intake,
    Holder::Unsubscribe,
    Holder::Deliver,
];

/// The folder is refused with exit code 2, in one line that holds all these words.
fn assert_refused(role: Holder, folder: &Path, words: &[&str]) {
    let error = refusal(role, folder).unwrap_or_else(|| panic!("{role:?} starts: {words:?}"));
    assert!(error.downcast_ref::<SettingsError>().is_some(), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    for word in words {
        assert!(text.contains(word), "{role:?}: no {word} in: {text}");
    }
    for secret in fs::read_dir(folder).into_iter().flatten().flatten() {
        if secret.path().is_file()
            && let Ok(line) = fs::read_to_string(secret.path())
            && line.len() > 32
        {
            assert!(!text.contains(line.trim()), "{text}");
        }
    }
}

/// Does something to each file of each folder in turn, and undoes it.
fn for_each_file(spoil: impl Fn(&Path, &str), check: impl Fn(Holder, &Path, &str)) {
    let installation = Installation::with(generations(2, 2, 2));
    for holder in EVERYBODY {
        let folder = installation.path(holder);
        for name in contents(&folder).into_keys() {
            let path = folder.join(&name);
            let kept = fs::read(&path).unwrap();
            spoil(&path, &name);
            check(holder, &folder, &name);
            if path.is_dir() && !path.is_symlink() {
                fs::remove_dir(&path).unwrap();
            } else if path.is_symlink() {
                fs::remove_file(&path).unwrap();
            }
            fs::write(&path, kept).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let after = refusal(holder, &folder);
            assert!(after.is_none(), "put back, it should do: {after:?}");
        }
    }
}

#[test]
fn a_folder_without_one_of_its_keys_is_refused() {
    for_each_file(
        |path, _| fs::remove_file(path).unwrap(),
        |holder, folder, name| {
            // Of the newest generation of a kind that is alone in its numbering nothing is left that
            // would say that it was there; nor do the halves of a box's key point at others.
            let alone = match holder {
                Holder::Masters => ["link-2.key", "address-2.key"].contains(&name),
                Holder::Unsubscribe => name == "link-leave-2.key",
                _ => false,
            };
            if alone {
                assert!(refusal(holder, folder).is_none(), "{name}");
                return;
            }
            let expected = match (holder, name) {
                (Holder::Intake, "sealing-2.public") => "sealing-1.public",
                _ => name,
            };
            assert_refused(holder, folder, &["lacks", expected, "backup"]);
        },
    );
}

#[test]
fn a_key_that_is_no_key_is_refused() {
    let spoilt: [&[u8]; 9] = [
        b"",
        b"\n",
        b"zz\n",
        b"0123456789abcdef\n",
        b"0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\n",
        b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef00\n",
        b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n",
        b" 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\n",
    ];
    for line in spoilt {
        for_each_file(
            |path, _| fs::write(path, line).unwrap(),
            |holder, folder, name| assert_refused(holder, folder, &[name]),
        );
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    for mode in [0o640, 0o604, 0o660, 0o644, 0o777, 0o601] {
        let set = |path: &Path, _: &str| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for_each_file(set, |holder, folder, name| {
            let path = folder.join(name);
            assert_refused(holder, folder, &[&format!("chmod 600 {}", path.display())]);
        });
    }
}

#[test]
fn a_link_or_a_folder_in_place_of_a_key_is_refused() {
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("key");
    for_each_file(
        |path, _| {
            fs::copy(path, &real).unwrap();
            fs::remove_file(path).unwrap();
            symlink(&real, path).unwrap();
        },
        |holder, folder, name| assert_refused(holder, folder, &[name, "is a link"]),
    );
    for_each_file(
        |path, _| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
        |holder, folder, name| assert_refused(holder, folder, &[name, "no file"]),
    );
}

#[test]
fn a_pipe_in_place_of_a_key_is_refused_and_not_waited_for() {
    let installation = Installation::new();
    let folder = installation.path(Holder::Unsubscribe);
    let path = folder.join("link-leave-1.key");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (answer, answered) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        assert_refused(Holder::Unsubscribe, &folder, &["link-leave-1.key"]);
        answer.send(())
    });
    let waited = answered.recv_timeout(std::time::Duration::from_secs(20));
    assert!(waited.is_ok(), "it waits for somebody to write, or starts");
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let installation = Installation::new();
    for holder in EVERYBODY {
        let folder = installation.path(holder);
        for mode in [0o755, 0o750, 0o770, 0o701, 0o1777] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            assert_refused(
                holder,
                &folder,
                &[
                    &format!("chmod 700 {}", folder.display()),
                    &format!("{mode:04o}"),
                ],
            );
            assert!(read_body_id(&folder).is_err());
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(refusal(holder, &folder).is_none());
    }
}

#[test]
fn a_key_that_the_role_may_not_hold_is_refused_by_name() {
    let installation = Installation::new();
    let deliver = contents(&installation.path(Holder::Deliver));
    let masters = contents(&installation.path(Holder::Masters));
    for role in Holder::ROLES {
        let folder = installation.path(role);
        let own = contents(&folder);
        let foreign = deliver
            .iter()
            .chain(&masters)
            .filter(|(name, _)| !own.contains_key(*name));
        for (name, bytes) in foreign {
            let path = folder.join(name);
            fs::write(&path, format!("{}\n", HEXLOWER.encode(bytes))).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert_refused(role, &folder, &[&path.display().to_string(), "--keys"]);
            if name == "link-1.key" || name == "address-1.key" {
                assert_refused(role, &folder, &["master", "keys split", role.folder_name()]);
            }
            fs::remove_file(path).unwrap();
        }
        assert!(refusal(role, &folder).is_none());
    }
}

#[test]
fn another_folder_than_its_own_is_refused_with_the_remedy() {
    let installation = Installation::new();
    for role in Holder::ROLES {
        for other in EVERYBODY.into_iter().filter(|other| *other != role) {
            let folder = installation.path(other);
            let error = refusal(role, &folder).unwrap().to_string();
            assert!(
                error.contains("letterbox keys split"),
                "{role:?}, {other:?}: {error}"
            );
        }
        let whole = installation.folder.path();
        let own = format!("give --keys {}", installation.path(role).display());
        // The folder of all folders, closed as `keys new` makes it.
        fs::set_permissions(whole, fs::Permissions::from_mode(0o700)).unwrap();
        assert_refused(role, whole, &[&own]);
        let missing = whole.join("nowhere");
        assert_refused(role, &missing, &["nowhere", "letterbox keys new"]);
        let file = installation.path(role).join("body-id");
        assert_refused(role, &file, &["is no folder"]);
    }
    let whole = installation.folder.path();
    let masters = installation.path(Holder::Masters).display().to_string();
    assert_refused(Holder::Masters, whole, &["of all roles", &masters]);
    let error = read_body_id(whole).unwrap_err().to_string();
    let deliver = installation.path(Holder::Deliver).display().to_string();
    assert!(error.contains(&deliver), "{error}");
    // A folder of a role is no folder of masters either.
    for role in Holder::ROLES {
        assert_refused(
            Holder::Masters,
            &installation.path(role),
            &[
                "lacks",
                &format!("the folder of {}", role.folder_name()),
                "of the masters",
            ],
        );
    }
}

#[test]
fn masters_that_were_left_half_made_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("keys");
    key_folder::create_folder(&folder).unwrap();
    assert_refused(Holder::Masters, &folder, &["lacks body-id", "backup"]);
    add(&folder, Kind::SealingSecret, 1, &[9; 32]);
    assert_refused(Holder::Masters, &folder, &["lacks body-id", "backup"]);
}

#[test]
fn whatever_else_lies_in_a_role_folder_is_refused() {
    let installation = Installation::new();
    for role in Holder::ROLES {
        let folder = installation.path(role);
        for name in [
            "link-leave-01.key",
            "link-join-1.key~",
            "sealing-0.public",
            "body-id.bak",
            "keys.tar",
            ".hidden",
            "LINK-JOIN-1.KEY",
        ] {
            fs::write(folder.join(name), "x").unwrap();
            assert_refused(role, &folder, &[name, "no key of"]);
            fs::remove_file(folder.join(name)).unwrap();
        }
    }
}

#[test]
fn generations_that_do_not_fit_together_are_refused() {
    let cases: [(Holder, Kind, u16, &str); 9] = [
        // A newer generation of one class and not of the others; a gap; an old one too many.
        (Holder::Intake, Kind::LinkJoin, 2, "lacks link-rights-2.key"),
        (Holder::Intake, Kind::LinkRights, 3, "lacks link-join-2.key"),
        (
            Holder::Intake,
            Kind::SealingPublic,
            2,
            "sealing-1.public is of an older",
        ),
        (
            Holder::Unsubscribe,
            Kind::LinkLeave,
            3,
            "lacks link-leave-2.key",
        ),
        (
            Holder::Unsubscribe,
            Kind::LinkLeave,
            u16::MAX,
            "lacks link-leave-2.key",
        ),
        (
            Holder::Deliver,
            Kind::ReturnPath,
            2,
            "lacks link-leave-2.key",
        ),
        (
            Holder::Deliver,
            Kind::SealingPublic,
            2,
            "lacks sealing-2.key",
        ),
        (
            Holder::Deliver,
            Kind::AddressSuppression,
            2,
            "lacks address-index-2.key",
        ),
        (Holder::Masters, Kind::LinkMaster, 3, "lacks link-2.key"),
    ];
    for (holder, kind, generation, words) in cases {
        let installation = Installation::new();
        let folder = installation.path(holder);
        add(&folder, kind, generation, &[9; 32]);
        assert_refused(holder, &folder, &[words]);
    }
    let installation = Installation::with(generations(1, 1, 2));
    let folder = installation.path(Holder::Deliver);
    add(&folder, Kind::AddressIndex, 1, &[9; 32]);
    assert_refused(
        Holder::Deliver,
        &folder,
        &["address-index-1.key", "remove it"],
    );
}

#[test]
fn one_key_in_two_files_is_refused() {
    for (holder, copied, to) in [
        (Holder::Unsubscribe, "link-leave-1.key", "link-leave-2.key"),
        (Holder::Masters, "link-1.key", "link-2.key"),
        (Holder::Intake, "link-join-1.key", "link-rights-1.key"),
        (Holder::Deliver, "address-row-1.key", "address-index-1.key"),
    ] {
        let installation = Installation::new();
        let folder = installation.path(holder);
        fs::copy(folder.join(copied), folder.join(to)).unwrap();
        assert_refused(holder, &folder, &[copied, to, "the same key"]);
    }
}

#[test]
fn halves_of_two_sealing_keys_are_refused() {
    let (one, other) = (Installation::new(), Installation::new());
    for holder in [Holder::Masters, Holder::Deliver] {
        for name in ["sealing-1.key", "sealing-1.public"] {
            let path = one.path(holder).join(name);
            let kept = fs::read(&path).unwrap();
            fs::copy(other.path(holder).join(name), &path).unwrap();
            assert_refused(
                holder,
                &one.path(holder),
                &["sealing-1.public is not the public key"],
            );
            fs::write(&path, kept).unwrap();
        }
    }
    let intake = one.path(Holder::Intake);
    fs::write(
        intake.join("sealing-1.public"),
        format!("{}\n", "0".repeat(64)),
    )
    .unwrap();
    assert_refused(Holder::Intake, &intake, &["sealing-1.public", "backup"]);
}

//! Keys of signatures: made beside the others, read by a worker, refused to everybody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use mail::{DkimAlgorithm, DkimKey};

use super::super::role_folders::read_deliver;
use super::super::{description, dkim};
use super::*;

const FILES: [&str; 2] = ["dkim-letterbox-ed25519.key", "dkim-letterbox-rsa.key"];

fn dkim_files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("dkim-"))
        .collect();
    names.sort();
    names
}

/// How many signatures a worker with this folder makes.
fn signatures(folder: &Path) -> usize {
    let message = "From: <a@example.gov.uk>\r\nDate: Tue, 24 Nov 2026 06:02:03 +0000\r\n\r\n\r\n";
    read_deliver(folder).unwrap().keys.dkim.map_or(0, |signer| {
        let signed = signer.sign(message.into(), "example.gov.uk").unwrap();
        let text = String::from_utf8(signed).unwrap();
        text.matches("DKIM-Signature:").count()
    })
}

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_pair_is_made_for_the_folders_owner_alone_and_a_worker_signs_with_it() {
    let installation = Installation::new();
    let folder = installation.path(Holder::Deliver);
    assert_eq!(signatures(&folder), 0);
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&folder, Some(12_345), Some(12_346)).unwrap();
    }
    dkim::create(&folder, "letterbox").unwrap();
    assert_eq!(dkim_files(&folder), FILES);
    let owner = fs::metadata(&folder).unwrap();
    for name in FILES {
        let file = fs::metadata(folder.join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o600);
        assert_eq!(file.uid(), owner.uid(), "{name}");
    }
    assert_eq!(signatures(&folder), 2);
    // Either is enough, and RSA comes first.
    let records = dkim::records(&folder).unwrap();
    assert!(records[0].starts_with("letterbox-rsa._domainkey IN TXT ( \"v=DKIM1; k=rsa; p="));
    let ed25519 = "letterbox-ed25519._domainkey IN TXT ( \"v=DKIM1; k=ed25519; p=";
    assert!(records[1].starts_with(ed25519));
    for string in records[0].split('"').skip(1).step_by(2) {
        assert!(string.len() <= 255);
    }
    fs::remove_file(folder.join(FILES[1])).unwrap();
    assert_eq!(signatures(&folder), 1);
}

#[test]
fn a_second_pair_signs_beside_the_first_and_nothing_is_overwritten() {
    let installation = Installation::new();
    let folder = installation.path(Holder::Deliver);
    dkim::create(&folder, "letterbox").unwrap();
    let before = fs::read(folder.join(FILES[0])).unwrap();
    let again = dkim::create(&folder, "letterbox").unwrap_err().to_string();
    assert!(again.contains("--selector"), "{again}");
    assert!(fs::read(folder.join(FILES[0])).unwrap() == before);
    dkim::create(&folder, "next").unwrap();
    assert_eq!(signatures(&folder), 4);
    let third = dkim::create(&folder, "third").unwrap_err().to_string();
    assert!(third.contains("take away"), "{third}");
    for name in ["", "Letterbox", "a.b", "a_b", "../x", &"a".repeat(60)] {
        fs::remove_file(folder.join(FILES[0])).ok();
        fs::remove_file(folder.join(FILES[1])).ok();
        let refused = dkim::create(&folder, name).unwrap_err().to_string();
        assert!(refused.contains("--selector"), "{name}: {refused}");
    }
}

#[test]
fn keys_beside_the_masters_go_to_the_worker_and_to_nobody_else() {
    let installation = Installation::new();
    let masters_folder = installation.path(Holder::Masters);
    dkim::create(&masters_folder, "letterbox").unwrap();
    let target = installation.folder.path().join("split");
    split::write(&masters::read(&masters_folder).unwrap(), &target).unwrap();
    assert_eq!(dkim_files(&target.join("deliver")), FILES);
    for name in FILES {
        let of = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert!(of(&target.join("deliver")) == of(&masters_folder), "{name}");
    }
    for role in ["intake", "unsubscribe"] {
        assert!(dkim_files(&target.join(role)).is_empty());
    }
    // `letterbox up` signs with those beside its masters.
    let (_, _, worker) = masters::read(&masters_folder).unwrap().share_out().unwrap();
    assert!(worker.keys.dkim.is_some());
}

#[test]
fn a_role_that_sends_nothing_may_not_have_them() {
    let installation = Installation::new();
    for role in [Holder::Intake, Holder::Unsubscribe] {
        let folder = installation.path(role);
        let refused = dkim::create(&folder, "letterbox").unwrap_err().to_string();
        assert!(refused.contains("sends no mail"), "{refused}");
        let pem = DkimKey::generate(DkimAlgorithm::Ed25519).unwrap();
        put(&folder, FILES[0], &pem);
        let refused = refusal(role, &folder).unwrap().to_string();
        assert!(refused.contains("may not hold"), "{refused}");
    }
}

#[test]
fn a_key_that_cannot_be_used_stops_the_worker_and_is_named() {
    let installation = Installation::new();
    let folder = installation.path(Holder::Deliver);
    let good = DkimKey::generate(DkimAlgorithm::Ed25519).unwrap();
    let refused = |what: &str| {
        let refused = refusal(Holder::Deliver, &folder).unwrap().to_string();
        for name in dkim_files(&folder) {
            assert!(refused.contains(&name), "{refused}");
            fs::remove_file(folder.join(name)).unwrap();
        }
        assert!(refused.contains(what), "{refused}");
    };
    put(&folder, "dkim-a.key", "nonsense");
    refused("PEM");
    put(&folder, "dkim-A.key", &good);
    refused("selector");
    put(&folder, "dkim-.key", &good);
    refused("selector");
    put(&folder, "dkim-a.key", &good);
    fs::set_permissions(folder.join("dkim-a.key"), Permissions::from_mode(0o640)).unwrap();
    refused("chmod 600");
    let elsewhere = installation.folder.path().join("elsewhere");
    fs::write(&elsewhere, good.as_bytes()).unwrap();
    symlink(&elsewhere, folder.join("dkim-a.key")).unwrap();
    refused("link");
    put(&folder, "dkim-a.pem", &good);
    refused("no key of deliver");
    assert!(refusal(Holder::Deliver, &folder).is_none());
}

#[test]
fn what_is_shown_is_public() {
    let installation = Installation::new();
    let folder = installation.path(Holder::Deliver);
    dkim::create(&folder, "letterbox").unwrap();
    let shown = description::of_any(&folder).unwrap().join("\n");
    for record in dkim::records(&folder).unwrap() {
        assert!(shown.contains(&record), "{shown}");
    }
    for name in FILES {
        let pem = fs::read_to_string(folder.join(name)).unwrap();
        for line in pem.lines().filter(|line| !line.starts_with('-')) {
            assert!(!shown.contains(line), "{name}");
        }
    }
}

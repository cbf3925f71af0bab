//! Whatever ends `keys new` or `keys split`, no folder is half made and none is overwritten.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::failure::SettingsError;

/// Tells the child process of a test where to make keys; it says so and waits to be killed.
const TARGET: &str = "LETTERBOX_TEST_KEYS_TARGET";

/// Runs out in the middle of making keys.
struct RunsOut {
    left: AtomicUsize,
    out: fn(),
}

impl Entropy for RunsOut {
    fn fill(&self, buffer: &mut [u8]) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            (self.out)();
        }
        buffer.fill(u8::try_from(self.left.load(Ordering::SeqCst)).unwrap());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn refused(outcome: anyhow::Result<()>) -> String {
    let error = outcome.unwrap_err();
    assert!(error.downcast_ref::<SettingsError>().is_some(), "{error:?}");
    error.to_string()
}

#[test]
fn a_failure_in_the_middle_leaves_nothing() {
    for existing in [false, true] {
        for left in 0..4 {
            let parent = tempfile::tempdir().unwrap();
            let target = parent.path().join("keys");
            if existing {
                fs::create_dir(&target).unwrap();
            }
            let entropy = RunsOut {
                left: AtomicUsize::new(left),
                out: || panic!("out of randomness"),
            };
            let ended = catch_unwind(AssertUnwindSafe(|| {
                split::write_new_keys(&target, &entropy)
            }));
            assert!(ended.is_err());
            if existing {
                assert!(names(&target).is_empty(), "{:?}", names(&target));
            } else {
                assert!(
                    names(parent.path()).is_empty(),
                    "{:?}",
                    names(parent.path())
                );
            }
            split::write_new_keys(&target, &CountingEntropy::default()).unwrap();
        }
    }
}

#[test]
fn killed_in_the_middle_it_leaves_no_folder_of_a_role_and_says_what_to_do() {
    if let Some(target) = std::env::var_os(TARGET) {
        let entropy = RunsOut {
            left: AtomicUsize::new(3),
            out: || {
                eprintln!("in the middle");
                loop {
                    std::thread::park();
                }
            },
        };
        split::write_new_keys(Path::new(&target), &entropy).unwrap();
        return;
    }
    for existing in [false, true] {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("keys");
        if existing {
            fs::create_dir(&target).unwrap();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("keys::tests::interrupted::killed_in_the_middle_it_leaves_no_folder_of_a_role_and_says_what_to_do")
            .args(["--exact", "--nocapture"])
            .env(TARGET, &target)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("in the middle")));
        child.kill().unwrap();
        child.wait().unwrap();

        let rest = if existing {
            assert_eq!(names(&target), ["incomplete"]);
            target.join("incomplete")
        } else {
            assert_eq!(names(parent.path()), ["keys.incomplete"]);
            parent.path().join("keys.incomplete")
        };
        let mode = fs::metadata(&rest).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for role in Holder::ROLES {
            assert!(refusal(role, &target.join(role.folder_name())).is_some());
        }
        let why = refused(split::write_new_keys(&target, &CountingEntropy::default()));
        let remedy = format!("rm -r {}", rest.display());
        assert!(why.contains(&remedy) && why.contains("cut short"), "{why}");
        fs::remove_dir_all(&rest).unwrap();
        split::write_new_keys(&target, &CountingEntropy::default()).unwrap();
        assert_eq!(
            names(&target),
            ["deliver", "intake", "masters", "unsubscribe"]
        );
    }
}

#[test]
fn keys_are_never_overwritten() {
    let installation = Installation::new();
    let root = installation.folder.path();
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    let before: Vec<_> = Holder::ROLES
        .map(|role| contents(&installation.path(role)))
        .into();
    for outcome in [
        split::write(&masters, root),
        split::write_new_keys(root, &CountingEntropy::default()),
    ] {
        let why = refused(outcome);
        assert!(
            why.contains("never overwritten") && why.contains("another folder"),
            "{why}"
        );
    }
    let after: Vec<_> = Holder::ROLES
        .map(|role| contents(&installation.path(role)))
        .into();
    assert_eq!(before, after);
    assert_eq!(names(root), ["deliver", "intake", "masters", "unsubscribe"]);
    // One of them is enough, be it an empty folder or a link that leads nowhere.
    for spoil in [
        (|path| fs::create_dir(path)) as fn(&Path) -> std::io::Result<()>,
        |path| std::os::unix::fs::symlink("/nowhere/at/all", path),
        |path| fs::write(path, ""),
    ] {
        let other = tempfile::tempdir().unwrap();
        spoil(&other.path().join("unsubscribe")).unwrap();
        let why = refused(split::write(&masters, other.path()));
        assert!(why.contains("unsubscribe is there already"), "{why}");
        assert_eq!(names(other.path()), ["unsubscribe"]);
    }
}

#[test]
fn if_one_folder_cannot_be_put_in_its_place_none_is() {
    let installation = Installation::new();
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    let target = tempfile::tempdir().unwrap();
    let in_the_way = target.path().join("deliver");
    let outcome = split::write_disturbed(&masters, target.path(), || {
        fs::create_dir(&in_the_way).unwrap();
        fs::write(in_the_way.join("something"), "").unwrap();
    });
    assert!(outcome.is_err());
    assert_eq!(names(target.path()), ["deliver"]);
    assert_eq!(names(&in_the_way), ["something"]);
}

#[test]
fn a_target_that_cannot_be_is_refused_with_the_remedy() {
    let installation = Installation::new();
    let masters = masters::read(&installation.path(Holder::Masters)).unwrap();
    let root = installation.folder.path();
    let file = installation.path(Holder::Intake).join("body-id");
    for (target, word) in [
        (file.clone(), "write to"),
        (file.join("below"), "write to"),
        (root.join("new/.."), ".."),
    ] {
        let why = refused(split::write(&masters, &target));
        assert!(why.contains(word), "{why}");
    }
    assert!(refusal(Holder::Intake, &installation.path(Holder::Intake)).is_none());
}

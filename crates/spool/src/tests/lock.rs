//! No two hold one folder.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Room, START};
use crate::OpenError;

#[tokio::test]
async fn a_second_opening_is_refused_while_the_first_lasts() {
    let room = Room::new();
    let spool = room.open();
    let refused = room.try_open().err().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert_eq!(refused.to_string(), in_use(room.path()));
    drop(spool);
    room.open();
}

/// What an operator reads who starts two roles on one folder.
fn in_use(folder: &Path) -> String {
    format!(
        "the spool {} is in use by another process: give each process a data folder of its own",
        folder.display()
    )
}

const CHILD: &str = "this-is-the-child";
const OPENED: &str = "the-child-has-it";

/// The other process is this very test again, which knows its part by a file in the folder it starts in.
#[test]
fn a_second_process_is_refused_and_a_killed_one_lets_go() {
    if Path::new(CHILD).exists() {
        let settings = crate::SpoolSettings {
            folder: "spool".into(),
            limit_bytes: 1 << 20,
            keep_archive: None,
        };
        let clock = Arc::new(domain::ManualClock::new(START));
        let entropy = domain::CountingEntropy::default();
        let _spool = crate::Spool::open(settings, clock, &entropy).unwrap();
        fs::write(OPENED, "").unwrap();
        // Until it is killed.
        std::thread::sleep(Duration::from_mins(1));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join(CHILD), "").unwrap();
    let path = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("{path}::a_second_process_is_refused_and_a_killed_one_lets_go"),
        ])
        .current_dir(place.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !place.path().join(OPENED).exists() {
        assert!(Instant::now() < deadline, "the child does not open");
        std::thread::sleep(Duration::from_millis(10));
    }
    let folder = place.path().join("spool");
    let room = Room::new();
    let open = || {
        let settings = crate::SpoolSettings {
            folder: folder.clone(),
            limit_bytes: 1 << 20,
            keep_archive: None,
        };
        let clock = Arc::clone(&room.clock) as Arc<dyn domain::Clock>;
        crate::Spool::open(settings, clock, &room.entropy)
    };
    let refused = open().err().unwrap();
    // SIGKILL: it can tidy nothing.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert_eq!(refused.to_string(), in_use(&folder));
    open().unwrap();
}

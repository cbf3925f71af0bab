//! Setting up logs, once for a process and so in a test process of its own.

use std::process::Command;

use service_runtime::logs::{self, LogError, LogFormat, LogSettings};

/// Says to the test below that it is the process which panics.
const PLANTED: &str = "LETTERBOX_TEST_PLANTED_PANIC";

#[test]
fn a_panic_is_logged_by_its_place_and_without_its_text() {
    if let Some(text) = std::env::var_os(PLANTED) {
        logs::init(&LogSettings::default()).unwrap();
        let text = text.into_string().unwrap();
        let cut = std::panic::catch_unwind(|| text.split_at(1_000).0.len());
        assert!(cut.is_err());
        return;
    }
    let name = "a_panic_is_logged_by_its_place_and_without_its_text";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(PLANTED, "rhian.canary@post.example")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(child.status.success(), "{said}");
    assert!(said.contains("a panic"), "{said}");
    assert!(said.contains("tests/logs.rs"), "{said}");
    assert!(!said.contains("rhian.canary"), "{said}");
}

#[test]
fn a_second_set_up_is_refused_without_a_panic() {
    if std::env::var_os(PLANTED).is_some() {
        return;
    }
    let settings = LogSettings {
        filter: "off".to_owned(),
        format: LogFormat::Json,
    };
    logs::init(&settings).unwrap();
    assert!(matches!(logs::init(&settings), Err(LogError::AlreadySetUp)));
}

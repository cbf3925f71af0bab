//! Where the program under test is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// The folder of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or_else(|| Path::new("/"))
}

/// The debug binary: `LETTERBOX_BINARY` where it is set (`tests/run` does, so that nothing is built
/// twice), else built now by the cargo that built this test, once a run.
///
/// # Errors
/// It does not build.
pub fn letterbox_binary() -> Result<PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY
        .get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))
}

fn find_or_build() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LETTERBOX_BINARY") {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "LETTERBOX_BINARY is {}, which is no file",
            path.display()
        );
        return Ok(path);
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "-p", "letterbox", "--bin", "letterbox"])
        .args(["--features", "failpoints"])
        .args(["--message-format", "json-render-diagnostics"])
        .env("SQLX_OFFLINE", "true")
        .current_dir(repository())
        .output()
        .context("cargo build")?;
    ensure!(
        built.status.success(),
        "cargo build -p letterbox: {}",
        String::from_utf8_lossy(&built.stderr)
    );
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .context("cargo build named no executable")
}

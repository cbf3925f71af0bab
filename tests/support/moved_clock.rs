//! The time of day as one program sees it, moved while it runs: an administrator who sets the clock, or
//! a time server that does. `moved_clock.c` is loaded before the C library, by any program that tells
//! the time through it: ours and PostgreSQL. How long something takes is measured by another clock,
//! which no jump moves.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{Ended, repository};

/// A clock, right until it is moved.
#[derive(Debug)]
pub struct MovedClock {
    folder: tempfile::TempDir,
    file: File,
}

impl MovedClock {
    /// A clock that is right.
    ///
    /// # Errors
    /// There is no C compiler (`cc`), which Rust needs as well.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("letterbox-clock-")
            .tempdir()?;
        // Whoever a program becomes reads the clock.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let path = folder.path().join("seconds");
        let file = File::create(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        let clock = Self { folder, file };
        clock.set(0)?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .arg(clock.shared_object())
            .arg(repository().join("tests/support/moved_clock.c"))
            .output()
            .context("cc")?;
        Ended::from(built).ok()?;
        Ok(clock)
    }

    /// Moves it so many seconds from the real time, for every program that has it, at once.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        Ok(self.file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }

    /// What a program must find in its environment to have this clock.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let say = |path: PathBuf| path.display().to_string();
        [
            ("LD_PRELOAD", say(self.shared_object())),
            (
                "LETTERBOX_MOVED_CLOCK",
                say(self.folder.path().join("seconds")),
            ),
        ]
    }

    fn shared_object(&self) -> PathBuf {
        self.folder.path().join("moved_clock.so")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(clock: &MovedClock) -> i64 {
        let mut date = Command::new("date");
        let output = date.arg("+%s").envs(clock.environment()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        said.trim().parse().unwrap()
    }

    #[test]
    fn a_program_sees_the_time_that_was_set() {
        let clock = MovedClock::new().unwrap();
        let right = told(&clock);
        clock.set(3_600).unwrap();
        assert!((3_600..3_660).contains(&(told(&clock) - right)));
        clock.set(-3_600).unwrap();
        assert!((-3_600..-3_540).contains(&(told(&clock) - right)));
    }
}

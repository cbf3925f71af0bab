//! The user that a story's server runs as: ourselves, but never root, which PostgreSQL refuses.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::unistd::{User, geteuid};

/// The user.
#[derive(Debug, Clone)]
pub(crate) struct ServerUser(Option<User>);

impl ServerUser {
    /// As root the user of this name, or `nobody` where the package that brings it is missing.
    pub(crate) fn named(name: &str) -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        let user = User::from_name(name)?.or(User::from_name("nobody")?);
        Ok(Self(Some(user.context("no user nobody")?)))
    }

    /// Hands a file or folder over.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        if let Some(user) = &self.0 {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        Ok(())
    }

    /// A command that this user runs.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Some(user) = &self.0 else {
            return Command::new(program);
        };
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &user.uid.to_string()])
            .args(["--regid", &user.gid.to_string(), "--clear-groups", "--"])
            .arg(program);
        command
    }
}

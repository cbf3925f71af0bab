//! A PostgreSQL of a story's own, as the operator of separate roles runs one: on loopback, with a
//! password for each user, in a folder of its own. It is ended by its process id.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::letterbox::{STOP, free_port};
use crate::server_user::ServerUser;
use crate::{DEADLINE, Ended, repository, wait_until};

/// The superuser's password.
pub(crate) const PASSWORD: &str = "the-story-s-own";

/// The server.
#[derive(Debug)]
pub struct PostgresNode {
    folder: tempfile::TempDir,
    user: ServerUser,
    programs: PathBuf,
    port: u16,
    settings: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl PostgresNode {
    /// A new server with the empty database `postgres`. It does not sync to disk: killed processes of
    /// ours lose nothing by that; only a machine would.
    ///
    /// # Errors
    /// PostgreSQL's programs are missing, or it does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(&["fsync=off"])
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// PostgreSQL's programs are missing, or it does not start.
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let node = Self::folder_for(settings)?;
        let password = node.folder.path().join("password");
        fs::write(&password, PASSWORD)?;
        node.user.give(&password)?;
        node.run(
            "initdb",
            &["--no-sync", "-U", "postgres", "-E", "UTF8"],
            |command| {
                command
                    .args(["-A", "scram-sha-256", "--pwfile"])
                    .arg(&password)
                    .arg("-D")
                    .arg(node.data());
            },
        )?
        .ok()?;
        node.resume()?;
        Ok(node)
    }

    /// A server on a copy of the files of one that was stopped.
    ///
    /// # Errors
    /// PostgreSQL's programs are missing, or it does not start.
    pub(crate) fn start_on_copy(of: &Path, settings: &[&str]) -> Result<Self> {
        let node = Self::folder_for(settings)?;
        let copied = Command::new("cp")
            .arg("-a")
            .arg(of)
            .arg(node.data())
            .output()?;
        Ended::from(copied).ok()?;
        node.resume()?;
        Ok(node)
    }

    pub(crate) fn folder_for(settings: &[&str]) -> Result<Self> {
        let user = ServerUser::named("postgres")?;
        let folder = tempfile::Builder::new()
            .prefix("letterbox-postgres-")
            .tempdir()?;
        user.give(folder.path())?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
        Ok(Self {
            folder,
            user,
            programs: programs()?,
            port: free_port()?,
            settings: settings.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
        })
    }

    /// Its settings, from its next start.
    pub fn set_settings(&mut self, settings: &[&str]) {
        self.settings = settings.iter().map(ToString::to_string).collect();
    }

    /// What it finds in its environment besides, from its next start.
    pub fn set_environment(
        &mut self,
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) {
        self.environment.extend(environment);
    }

    /// Starts it again.
    ///
    /// # Errors
    /// It does not start.
    pub fn resume(&self) -> Result<()> {
        let mut options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c jit=off -c max_connections=150",
            self.port,
            self.folder.path().display()
        );
        for setting in &self.settings {
            options.push_str(" -c ");
            options.push_str(setting);
        }
        self.run(
            "pg_ctl",
            &["-w", "-s", "-t", "60", "-o", &options],
            |command| {
                command
                    .arg("-D")
                    .arg(self.data())
                    .arg("-l")
                    .arg(self.data().join("server.log"))
                    .arg("start")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
            },
        )?
        .ok()
        .with_context(|| fs::read_to_string(self.data().join("server.log")).unwrap_or_default())?;
        Ok(())
    }

    /// Stops it as an operator would, at once, and waits until it is gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop(&self) -> Result<()> {
        self.end(Signal::SIGINT)
    }

    /// Ends it with `SIGKILL`, and waits until it is gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self) -> Result<()> {
        self.end(Signal::SIGKILL)
    }

    /// Ends it as a crash would look to its clients: an immediate shutdown, and recovery at the next
    /// start.
    ///
    /// # Errors
    /// It does not run.
    pub fn crash(&self) -> Result<()> {
        self.end(Signal::SIGQUIT)
    }

    fn end(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("PostgreSQL does not run")?;
        kill(pid, signal)?;
        wait_until("PostgreSQL to end", STOP, || Ok(kill(pid, None).is_err()))
    }

    /// Its process, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        let ours = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|at| at == self.data());
        ours.then(|| Pid::from_raw(pid))
    }

    /// Its port on loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket, which has its port too.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The address of a database for the superuser, without the password.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The superuser's password, for what needs it.
    #[must_use]
    pub const fn password(&self) -> &'static str {
        PASSWORD
    }

    /// One value, as the superuser, as text.
    ///
    /// # Errors
    /// The statement fails.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let words = [
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ];
        Ok(self
            .tool("psql", database, &words)?
            .ok()?
            .trim_end()
            .to_owned())
    }

    /// Waits until a statement gives this value; a database that is away counts as not yet.
    ///
    /// # Errors
    /// It does not, after a minute.
    pub fn wait_for_sql(&self, database: &str, statement: &str, value: &str) -> Result<()> {
        let mut last = String::new();
        wait_until("the database to show it", DEADLINE, || {
            last = self
                .sql(database, statement)
                .unwrap_or_else(|error| error.to_string());
            Ok(last == value)
        })
        .with_context(|| format!("{statement}: {last}, not {value}"))
    }

    /// Runs a program of PostgreSQL against a database, as the superuser.
    ///
    /// # Errors
    /// It could not be started.
    pub fn tool(&self, program: &str, database: &str, words: &[&str]) -> Result<Ended> {
        self.tool_as(("postgres", PASSWORD), program, database, words)
    }

    /// The same as another user, with this password.
    ///
    /// # Errors
    /// It could not be started.
    pub fn tool_as(
        &self,
        (user, password): (&str, &str),
        program: &str,
        database: &str,
        words: &[&str],
    ) -> Result<Ended> {
        let ended = Command::new(self.programs.join(program))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", user, "-d", database])
            .args(words)
            .env("PGPASSWORD", password)
            .current_dir(repository())
            .stdin(Stdio::null())
            .output()
            .with_context(|| program.to_owned())?;
        Ok(ended.into())
    }

    pub(crate) fn run(
        &self,
        program: &str,
        words: &[&str],
        more: impl FnOnce(&mut Command),
    ) -> Result<Ended> {
        let mut command = self.user.command(&self.programs.join(program));
        command.args(words).current_dir(self.folder.path());
        command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        command.envs(self.environment.iter().cloned());
        more(&mut command);
        Ok(command.output().with_context(|| program.to_owned())?.into())
    }
}

impl Drop for PostgresNode {
    fn drop(&mut self) {
        if self.pid().is_some()
            && let Err(error) = self.end(Signal::SIGQUIT)
        {
            eprintln!("ending PostgreSQL: {error:#}");
        }
    }
}

/// The folder of the newest installed PostgreSQL that is 15 or newer.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        let path = entry?.path();
        let major = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        if let Some(major) = major
            && path.join("bin/initdb").exists()
        {
            found.push((major, path.join("bin")));
        }
    }
    let newest = found.into_iter().max();
    let (major, programs) = newest.unwrap_or_else(|| (15, Path::new("/usr/bin").to_owned()));
    ensure!(
        major >= 15 && programs.join("initdb").exists(),
        "PostgreSQL 15 or newer is missing: tests/run installs it"
    );
    Ok(programs)
}

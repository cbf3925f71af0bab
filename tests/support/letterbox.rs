//! A `letterbox up` of its own for a story: on a free port, in a folder of its own, started, stopped,
//! killed and started again. It ends only processes that it started, by their ids.

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Mailbox, Site, Web, issue_files, letterbox_binary, wait_for, wait_until};

const START: Duration = Duration::from_mins(2);
pub(crate) const STOP: Duration = Duration::from_secs(40);

/// Its folder for temporary files, empty again when it stops.
const TEMPORARY: &str = "temporary";

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Its output, if it succeeded.
    ///
    /// # Errors
    /// It failed; the error holds what it said.
    pub fn ok(self) -> Result<String> {
        ensure!(
            self.code == Some(0),
            "exit {:?}: {}{}",
            self.code,
            self.out,
            self.err
        );
        Ok(self.out)
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A running installation.
#[derive(Debug)]
pub struct Letterbox {
    folder: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    process: Option<Child>,
    starts: u32,
}

impl Letterbox {
    /// A new installation with the example newsletter `council-news` and caught mail.
    ///
    /// # Errors
    /// It did not become ready.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// A new installation with more options of `letterbox up`.
    ///
    /// # Errors
    /// It did not become ready.
    pub fn start_with(options: &[&str]) -> Result<Self> {
        let mut letterbox = Self::prepare(options)?;
        letterbox.resume()?;
        Ok(letterbox)
    }

    /// An installation that was not started yet.
    ///
    /// # Errors
    /// There is no folder or no port.
    pub fn prepare(options: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("letterbox-story-")
            .tempdir()?;
        // As root, `up` becomes the user letterbox, who must be able to pass through.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let temporary = folder.path().join(TEMPORARY);
        fs::create_dir(&temporary)?;
        fs::set_permissions(&temporary, Permissions::from_mode(0o1777))?;
        Ok(Self {
            folder,
            port: free_port()?,
            options: options.iter().map(ToString::to_string).collect(),
            process: None,
            starts: 0,
        })
    }

    /// Starts it, or starts it again on the data that is there, and waits until it is ready.
    ///
    /// # Errors
    /// It did not become ready; the error ends with its log.
    pub fn resume(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        self.starts += 1;
        let log = File::create(self.log_path())?;
        // In our process group: Ctrl-C at a test run stops this program too.
        let process = Command::new(letterbox_binary()?)
            .args([
                "up",
                "--listen",
                &format!("127.0.0.1:{}", self.port),
                "--data",
            ])
            .arg(self.data())
            .args(&self.options)
            .current_dir("/")
            .env("RUST_BACKTRACE", "0")
            .env("TMPDIR", self.folder.path().join(TEMPORARY))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        wait_for("letterbox up to be ready", START, || {
            if self.log()?.lines().any(|line| line.starts_with("Ready")) {
                return Ok(Some(()));
            }
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("letterbox up ended with {status}");
            }
            Ok(None)
        })
        .with_context(|| self.log().unwrap_or_default())?;
        Ok(())
    }

    /// Other options for the next start.
    pub fn set_options(&mut self, options: &[&str]) {
        self.options = options.iter().map(ToString::to_string).collect();
    }

    /// Stops it as Ctrl-C or a service manager does, and waits for its end.
    ///
    /// # Errors
    /// It did not end, or not with exit code 0, or left a temporary file.
    pub fn stop(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        kill(pid_of(process)?, Signal::SIGTERM)?;
        let status = wait_for("letterbox up to stop", STOP, || Ok(process.try_wait()?))?;
        self.process = None;
        ensure!(
            status.success(),
            "it stopped with {status}: {}",
            self.log()?
        );
        let left = fs::read_dir(self.folder.path().join(TEMPORARY))?.next();
        ensure!(left.is_none(), "it left a temporary file: {left:?}");
        Ok(())
    }

    /// Ends the program with `SIGKILL`. Its PostgreSQL is no child that dies with it: it is left
    /// running, as after a crash.
    ///
    /// # Errors
    /// It was not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        kill(pid_of(&process)?, Signal::SIGKILL)?;
        process.wait()?;
        Ok(())
    }

    /// The `--data` folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside the data, for files of the story.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client for it.
    #[must_use]
    pub fn web(&self) -> Web {
        Web::new(&self.base_url())
    }

    /// Its caught mail.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::at(self.data().join("caught-mail"))
    }

    /// What the program printed and logged since its latest start.
    ///
    /// # Errors
    /// It was never started.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.log_path())?).into_owned())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join(format!("up-{}.log", self.starts))
    }

    /// Runs an operator command: `words` and `--data`.
    ///
    /// # Errors
    /// It could not be started.
    pub fn command(&self, words: &[&str]) -> Result<Ended> {
        let ended = Command::new(letterbox_binary()?)
            .args(words)
            .arg("--data")
            .arg(self.data())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()?;
        Ok(ended.into())
    }

    /// Writes a file of the story beside the data and gives its path as text.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        issue_files::write(self.folder.path(), name, text)
    }

    /// Sends an issue with this subject and text, the same in both languages, to `council-news`, and
    /// waits for its end.
    ///
    /// # Errors
    /// It was refused.
    pub fn send_issue(&self, subject: &str, markdown: &str) -> Result<String> {
        let words = |words: &[&str]| self.command(words);
        issue_files::send(self.folder.path(), (subject, markdown), &[], words)
    }

    /// The same, without waiting for its end.
    ///
    /// # Errors
    /// It was refused.
    pub fn hand_over_issue(&self, subject: &str, markdown: &str) -> Result<String> {
        let words = |words: &[&str]| self.command(words);
        issue_files::send(
            self.folder.path(),
            (subject, markdown),
            &["--no-wait"],
            words,
        )
    }

    /// The two files of such an issue.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn issue_files(&self, subject: &str, markdown: &str) -> Result<[String; 2]> {
        issue_files::issue_files(self.folder.path(), subject, markdown)
    }
}

impl Site for Letterbox {
    fn web(&self) -> Web {
        self.web()
    }

    fn mailbox(&self) -> Mailbox {
        self.mailbox()
    }
}

impl Drop for Letterbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log().unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- the end of {}:\n{tail}\n---", self.log_path().display());
        }
        if let Err(error) = self.stop() {
            eprintln!("ending letterbox up the hard way: {error:#}");
            if let Some(mut process) = self.process.take() {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        // What a killed run left behind is ours to end too.
        if let Some(pid) = self.postgres_pid() {
            let _ = kill(pid, Signal::SIGQUIT);
            let _ = wait_until("PostgreSQL to end", STOP, || Ok(kill(pid, None).is_err()));
        }
    }
}

pub(crate) fn pid_of(process: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(process.id())?))
}

/// A port that nothing uses, below those that the system gives to connections, so that no connection
/// takes it between two starts.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100)? * 100;
    for _ in 0..1000 {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {first} on")
}

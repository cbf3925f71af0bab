//! One role as a process of its own: started, stopped, killed, frozen and started again.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};

use crate::letterbox::{STOP, pid_of};
use crate::{Ended, Web, letterbox_binary, wait_for};

const START: Duration = Duration::from_mins(1);

/// A role.
#[derive(Debug)]
pub struct RoleProcess {
    /// `intake-1`, say.
    pub name: String,
    pub(crate) words: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Where its pages are, and where its metrics.
    pub(crate) ports: (u16, u16),
    pub(crate) data: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) process: Option<Child>,
    pub(crate) starts: u32,
    pub(crate) program: Option<PathBuf>,
}

impl RoleProcess {
    fn command(&self, words: &[String]) -> Result<Command> {
        let program = match &self.program {
            Some(other) => other.clone(),
            None => letterbox_binary()?,
        };
        let mut command = Command::new(program);
        command
            .args(words)
            .envs(self.environment.iter().cloned())
            .env("RUST_BACKTRACE", "0")
            .current_dir("/")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Its next starts are of another build of the program, or of the one under test again.
    pub fn set_program(&mut self, other: Option<PathBuf>) {
        self.program = other;
    }

    /// Sets an environment variable for its next starts, or takes it away.
    pub fn set_environment(&mut self, name: &'static str, value: Option<&str>) {
        self.environment.retain(|(other, _)| *other != name);
        self.environment
            .extend(value.map(|value| (name, value.to_owned())));
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        Ok(kill(pid_of(process)?, signal)?)
    }

    /// Waits for its end, which somebody else brings about, and gives its exit code, none after a signal.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait_ended(&mut self, deadline: Duration) -> Result<Option<i32>> {
        let process = self.process.as_mut().context("it does not run")?;
        let what = format!("{} to end", self.name);
        let status = wait_for(&what, deadline, || Ok(process.try_wait()?))?;
        self.process = None;
        Ok(status.code())
    }

    /// Starts it, on the data that is there.
    ///
    /// # Errors
    /// It runs already, or there is no such program.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name);
        self.starts += 1;
        let log = File::create(self.log_path())?;
        let mut command = self.command(&self.words)?;
        self.process = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    /// Waits until its `/readyz` says 200.
    ///
    /// # Errors
    /// It does not, or the process ended; the error ends with its log.
    pub fn wait_ready(&mut self) -> Result<()> {
        let web = self.admin();
        wait_for(&format!("{} to be ready", self.name), START, || {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("{} ended with {status}", self.name);
            }
            let ready = web.get("/readyz").is_ok_and(|answer| answer.status == 200);
            Ok(ready.then_some(()))
        })
        .with_context(|| self.log())
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::wait_ready`].
    pub fn resume(&mut self) -> Result<()> {
        self.start()?;
        self.wait_ready()
    }

    /// Runs it to its end, which a role comes to only if it is refused. Each option here takes the place
    /// of its own; an empty value takes the option away.
    ///
    /// # Errors
    /// It could not be started, or it is still running after a while.
    pub fn run_to_its_end(&self, changes: &[(&str, &str)]) -> Result<Ended> {
        let mut words = self.words.clone();
        for (option, value) in changes {
            if let Some(at) = words.iter().position(|word| word == option) {
                words.drain(at..at + 2);
            }
            if !value.is_empty() {
                words.push(format!("{option}={value}"));
            }
        }
        let mut command = self.command(&words)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let ended = wait_for(&format!("{} to be refused", self.name), START, || {
            Ok(process.try_wait()?)
        });
        if ended.is_err() {
            process.kill()?;
        }
        let output = process.wait_with_output()?;
        ended.with_context(|| format!("{words:?}: {output:?}"))?;
        Ok(output.into())
    }

    /// Ends it with `SIGTERM`, and waits for its end.
    ///
    /// # Errors
    /// It did not end, or not with exit code 0.
    pub fn stop(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        kill(pid_of(process)?, Signal::SIGTERM)?;
        let status = wait_for(&format!("{} to stop", self.name), STOP, || {
            Ok(process.try_wait()?)
        })?;
        self.process = None;
        ensure!(
            status.success(),
            "{} stopped with {status}: {}",
            self.name,
            self.log()
        );
        Ok(())
    }

    /// Ends it with `SIGKILL`.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<()> {
        let process = self.process.take();
        let mut process = process.with_context(|| format!("{} does not run", self.name))?;
        kill(pid_of(&process)?, Signal::SIGKILL)?;
        process.wait()?;
        Ok(())
    }

    /// Whether its process is there; one that ended by itself is not.
    ///
    /// # Errors
    /// The system does not say.
    pub fn runs(&mut self) -> Result<bool> {
        match &mut self.process {
            Some(process) => Ok(process.try_wait()?.is_none()),
            None => Ok(false),
        }
    }

    /// Its process id.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("it does not run")?.id())
    }

    /// The port of its own pages, on loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.ports.0
    }

    /// A client for its metrics and its health.
    #[must_use]
    pub fn admin(&self) -> Web {
        Web::new(&format!("http://127.0.0.1:{}", self.ports.1))
    }

    /// A client for its own pages.
    #[must_use]
    pub fn web(&self) -> Web {
        Web::new(&format!("http://127.0.0.1:{}", self.ports.0))
    }

    /// The sum of a metric over all its labels that hold these words; 0 if it is not there yet.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let page = self.admin().get("/metrics")?.body;
        let values = page
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .filter(|line| line.contains(labels))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Its `--data` folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// What it logged since its latest start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.logs.join(format!("{}-{}.log", self.name, self.starts))
    }
}

impl Drop for RoleProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n");
            eprintln!("--- the end of the log of {}:\n{tail}\n---", self.name);
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

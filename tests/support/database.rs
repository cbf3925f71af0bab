//! The private PostgreSQL of an installation, as its operator sees it: looked into, stopped, started.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::letterbox::STOP;
use crate::{DEADLINE, Ended, Letterbox, repository, wait_until};

impl Letterbox {
    /// Ends its PostgreSQL with `SIGKILL`, and waits until the process is gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_postgres(&self) -> Result<()> {
        self.end_postgres(Signal::SIGKILL)
    }

    /// Stops its PostgreSQL as an operator would (an immediate shutdown), and waits until it is gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop_postgres(&self) -> Result<()> {
        self.end_postgres(Signal::SIGQUIT)
    }

    /// Starts its PostgreSQL again with the options it had, as its own user.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_postgres(&self) -> Result<()> {
        let data = self.data().join("postgres/data");
        let program = self.server_program()?;
        let owner = fs::metadata(&data)?;
        let (uid, gid) = (owner.uid().to_string(), owner.gid().to_string());
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--reuid", &uid, "--regid", &gid, "--clear-groups"]);
            setpriv.arg(program.with_file_name("pg_ctl"));
            setpriv
        } else {
            Command::new(program.with_file_name("pg_ctl"))
        };
        // `restart` of a server that does not run starts it with the options it had.
        let started = command
            .args(["restart", "-w", "-s", "-t", "60", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(data.join("restart.log"))
            .current_dir(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        ensure!(started.success(), "pg_ctl restart: {started}");
        Ok(())
    }

    /// The program `postgres` that its server runs, or ran.
    fn server_program(&self) -> Result<PathBuf> {
        // The words that started it: the program, and options in double quotes.
        let words = fs::read_to_string(self.data().join("postgres/data/postmaster.opts"))?;
        let program = words.split_whitespace().next().context("no program")?;
        Ok(program.into())
    }

    fn end_postgres(&self, signal: Signal) -> Result<()> {
        let pid = self.postgres_pid().context("no PostgreSQL runs")?;
        kill(pid, signal)?;
        wait_until("PostgreSQL to end", STOP, || Ok(kill(pid, None).is_err()))
    }

    /// The process of its PostgreSQL, if it runs on this folder.
    #[must_use]
    pub fn postgres_pid(&self) -> Option<Pid> {
        let data = self.data().join("postgres/data");
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        let ours = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data);
        ours.then(|| Pid::from_raw(pid))
    }

    /// Waits until so many subscriptions are active.
    ///
    /// # Errors
    /// They are not, after a minute.
    pub fn wait_for_active(&self, number: usize) -> Result<()> {
        self.wait_for_sql(
            "SELECT count(*) FROM subscription WHERE state = 1",
            &number.to_string(),
        )
    }

    /// Waits until a statement gives this value; a database that is away counts as not yet.
    ///
    /// # Errors
    /// It does not, after a minute.
    pub fn wait_for_sql(&self, statement: &str, value: &str) -> Result<()> {
        let mut last = String::new();
        wait_until("the database to show it", DEADLINE, || {
            last = self
                .sql(statement)
                .unwrap_or_else(|error| error.to_string());
            Ok(last == value)
        })
        .with_context(|| format!("{statement}: {last}, not {value}"))
    }

    /// One value of its database, as text.
    ///
    /// # Errors
    /// The statement fails.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let words = ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement];
        let answer = self.postgres_tool("psql", &words)?.ok()?;
        Ok(answer.trim_end().to_owned())
    }

    /// Runs a program of PostgreSQL against its database.
    ///
    /// # Errors
    /// It could not be started.
    pub fn postgres_tool(&self, program: &str, words: &[&str]) -> Result<Ended> {
        let data = self.data();
        let password = fs::read_to_string(data.join("postgres/password"))?;
        // The server's own programs where they are together, else those of the search path.
        let beside = self.server_program()?.with_file_name(program);
        let program = if beside.exists() {
            beside
        } else {
            program.into()
        };
        let ended = Command::new(&program)
            .args([
                "-h",
                &data.join("run").to_string_lossy(),
                "-p",
                "5432",
                "-U",
                "postgres",
            ])
            .args(["-d", "letterbox"])
            .args(words)
            .env("PGPASSWORD", password.trim())
            .current_dir(repository())
            .stdin(Stdio::null())
            .output()
            .with_context(|| program.display().to_string())?;
        Ok(ended.into())
    }
}

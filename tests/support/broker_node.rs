//! A RabbitMQ node of the stories' own: started, stopped, killed, wiped, frozen. It has a folder, a
//! name and a name server (epmd) of its own, and only processes that it started are ended, by id.
//!
//! `LETTERBOX_TEST_RABBITMQ` names the folder of another `rabbitmq-server` and `rabbitmqctl`, of a newer
//! version say.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::broker_settings::VHOSTS;
use crate::letterbox::{STOP, free_port};
use crate::server_user::ServerUser;
use crate::{Ended, Web, wait_for, wait_until};

const START: Duration = Duration::from_mins(2);

/// The node.
#[derive(Debug)]
pub struct BrokerNode {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) name: String,
    pub(crate) user: ServerUser,
    pub(crate) programs: PathBuf,
    pub(crate) amqp: u16,
    pub(crate) dist: u16,
    pub(crate) epmd: u16,
    pub(crate) http: u16,
    processes: Mutex<Processes>,
    vhosts: AtomicU16,
}

#[derive(Debug)]
struct Processes {
    epmd: Child,
    node: Option<Child>,
    starts: u32,
}

/// A part of a node that a story has to itself.
#[derive(Debug, Clone)]
pub struct Vhost {
    node: Arc<BrokerNode>,
    name: String,
}

impl BrokerNode {
    /// The node that stories share which do not break it: it is there as long as one of them runs.
    ///
    /// # Errors
    /// It does not start.
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<BrokerNode>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = shared.upgrade() {
            return Ok(node);
        }
        let node = Self::start()?;
        *shared = Arc::downgrade(&node);
        Ok(node)
    }

    /// A new node, for a story that breaks it.
    ///
    /// # Errors
    /// RabbitMQ is missing, or it does not start.
    pub fn start() -> Result<Arc<Self>> {
        static NUMBER: AtomicU16 = AtomicU16::new(1);
        let programs = std::env::var_os("LETTERBOX_TEST_RABBITMQ")
            .map_or_else(|| "/usr/lib/rabbitmq/bin".into(), PathBuf::from);
        ensure!(
            programs.join("rabbitmq-server").exists(),
            "RabbitMQ is missing in {}: tests/run installs it",
            programs.display()
        );
        let user = ServerUser::named("rabbitmq")?;
        let folder = tempfile::Builder::new()
            .prefix("letterbox-broker-")
            .tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let epmd = free_port()?;
        let [amqp, dist, http] = [free_port()?, free_port()?, free_port()?];
        // A name server of our own, so that we know whom to end.
        let beside = programs.join("epmd");
        let epmd_program = if beside.exists() {
            beside
        } else {
            "epmd".into()
        };
        let name_server = user
            .command(&epmd_program)
            .args(["-address", "127.0.0.1", "-port", &epmd.to_string()])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("epmd")?;
        let node = Self {
            name: format!(
                "letterbox-story-{}-{}@localhost",
                std::process::id(),
                NUMBER.fetch_add(1, Ordering::Relaxed)
            ),
            folder,
            user,
            programs,
            amqp,
            dist,
            epmd,
            http,
            processes: Mutex::new(Processes {
                epmd: name_server,
                node: None,
                starts: 0,
            }),
            vhosts: AtomicU16::new(1),
        };
        node.write_settings()?;
        node.resume()?;
        Ok(Arc::new(node))
    }

    /// Starts it again, on what data it has, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn resume(&self) -> Result<()> {
        ensure!(self.pid().is_none(), "RabbitMQ runs already");
        self.lock().starts += 1;
        let starts = self.lock().starts;
        let output = File::create(self.folder.path().join(format!("start-{starts}.log")))?;
        let node = self
            .command("rabbitmq-server")
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("rabbitmq-server")?;
        self.lock().node = Some(node);
        let overview = || self.web().send("GET", "/api/overview", &AUTHORITY, b"");
        wait_for("RabbitMQ to start", START, || {
            if let Some(node) = &mut self.lock().node
                && let Some(status) = node.try_wait()?
            {
                bail!("rabbitmq-server ended with {status}");
            }
            // By what it prints: its log leaves lines out where many come at once.
            let started = self.log().contains("Starting broker... completed");
            Ok((started && overview().is_ok_and(|answer| answer.status == 200)).then_some(()))
        })
        .with_context(|| self.log())
    }

    /// The name of the log of its latest start.
    pub(crate) fn log_name(&self) -> String {
        format!("node-{}.log", self.lock().starts)
    }

    /// What the node logged since its latest start.
    #[must_use]
    pub fn log(&self) -> String {
        let starts = self.lock().starts;
        ["start", "node"]
            .iter()
            .filter_map(|name| {
                fs::read(self.folder.path().join(format!("{name}-{starts}.log"))).ok()
            })
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// Stops it as an operator would.
    ///
    /// # Errors
    /// It does not run, or does not end.
    pub fn stop(&self) -> Result<()> {
        self.end(Signal::SIGTERM)
    }

    /// Ends it with `SIGKILL`.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self) -> Result<()> {
        self.end(Signal::SIGKILL)
    }

    /// Deletes all its data while it is down: queues, messages; users and vhosts come back by its
    /// settings.
    ///
    /// # Errors
    /// It runs, or its files cannot be deleted.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.pid().is_none(), "RabbitMQ runs");
        Ok(fs::remove_dir_all(self.data())?)
    }

    /// Freezes it: its sockets stay open and it answers nothing, until it goes on.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        Ok(kill(self.pid().context("RabbitMQ does not run")?, signal)?)
    }

    fn end(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("RabbitMQ does not run")?;
        kill(pid, signal)?;
        let mut node = self.lock().node.take();
        wait_until("RabbitMQ to end", STOP, || {
            let reaped = match &mut node {
                Some(child) => child.try_wait()?.is_some(),
                None => true,
            };
            Ok(reaped && kill(pid, None).is_err())
        })
    }

    /// The process of its Erlang machine, which a wrapper may have put below another one.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        // Among its words are the program, behind a loader maybe, and its home folder.
        let home = self.folder.path().to_string_lossy();
        let is_it = |pid: &str| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            let words: Vec<&str> = line.split('\0').collect();
            words.contains(&&*home) && words.iter().any(|word| word.ends_with("/beam.smp"))
        };
        let mut processes = fs::read_dir("/proc").ok()?.flatten();
        let pid = processes.find_map(|entry| {
            let pid = entry.file_name().into_string().ok()?;
            let number = pid.parse().ok()?;
            is_it(&pid).then_some(number)
        })?;
        Some(Pid::from_raw(pid))
    }

    /// Runs `rabbitmqctl`; two seconds a call.
    ///
    /// # Errors
    /// It failed.
    pub fn rabbitmqctl(&self, words: &[&str]) -> Result<String> {
        let mut command = self.command("rabbitmqctl");
        Ended::from(command.args(words).output().context("rabbitmqctl")?).ok()
    }

    /// Its AMQP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.amqp
    }

    /// The folder of queues and messages.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of everything, logs too.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client for its management API.
    pub(crate) fn web(&self) -> Web {
        Web::new(&format!("http://127.0.0.1:{}", self.http))
    }

    fn lock(&self) -> MutexGuard<'_, Processes> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// `guest:guest`, for the management API.
pub(crate) const AUTHORITY: [(&str, &str); 2] = [
    ("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q="),
    ("content-type", "application/json"),
];

impl Vhost {
    /// A vhost of this node that nobody had before.
    ///
    /// # Errors
    /// There are no more.
    pub fn of(node: &Arc<BrokerNode>) -> Result<Self> {
        let number = node.vhosts.fetch_add(1, Ordering::Relaxed);
        ensure!(number <= VHOSTS, "all {VHOSTS} vhosts are taken");
        Ok(Self {
            node: Arc::clone(node),
            name: format!("story-{number}"),
        })
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Arc<BrokerNode> {
        &self.node
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for BrokerNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log
                .lines()
                .filter(|line| !line.contains("[info]"))
                .collect();
            let tail = lines[lines.len().saturating_sub(20)..].join("\n");
            eprintln!("--- the end of the broker's log:\n{tail}\n---");
        }
        if self.pid().is_some()
            && let Err(error) = self.kill()
        {
            eprintln!("ending RabbitMQ: {error:#}");
        }
        let mut processes = self.lock();
        let _ = processes.epmd.kill();
        let _ = processes.epmd.wait();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Message;

    #[test]
    fn a_node_keeps_what_it_confirmed_until_it_is_wiped() -> Result<()> {
        let node = BrokerNode::start()?;
        let vhost = Vhost::of(&node)?;
        vhost.declare_queue("q", &json!({ "x-queue-type": "quorum" }))?;
        let message = Message {
            body: b"hello".to_vec(),
            id: Some("1".into()),
            kind: None,
        };
        vhost.publish("q", &message)?;
        vhost.wait_for_depth("q", START, 1)?;
        node.kill()?;
        assert!(vhost.depth("q").is_err(), "a killed node answers");
        node.resume()?;
        assert_eq!(vhost.look("q", 10)?, [b"hello".to_vec()]);
        node.stop()?;
        node.wipe()?;
        node.resume()?;
        assert_eq!(vhost.queue("q")?, None);
        Ok(())
    }
}

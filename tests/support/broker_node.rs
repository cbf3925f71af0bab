//! A RabbitMQ node of the stories' own: started, stopped, killed, wiped, frozen. It has a folder, a
//! name and a name server (epmd) of its own, and only processes that it started are ended, by id.
//!
//! `LETTERBOX_TEST_RABBITMQ` names the folder of another `rabbitmq-server` and `rabbitmqctl`, of a newer
//! version say; with `LETTERBOX_TEST_RABBITMQ_AS_ROOT` they are run as root (and see to a user of
//! their own, as a wrapper around `chroot` must).

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::letterbox::{STOP, free_port};
use crate::server_user::ServerUser;
use crate::{Ended, Web, wait_for, wait_until};

const START: Duration = Duration::from_mins(2);
/// As many as the stories of one run want.
const VHOSTS: u16 = 40;

/// The node.
#[derive(Debug)]
pub struct BrokerNode {
    folder: tempfile::TempDir,
    name: String,
    user: ServerUser,
    programs: PathBuf,
    amqp: u16,
    dist: u16,
    epmd: u16,
    http: u16,
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
        let user = if std::env::var_os("LETTERBOX_TEST_RABBITMQ_AS_ROOT").is_some() {
            ServerUser::ourselves()
        } else {
            ServerUser::named("rabbitmq")?
        };
        let folder = tempfile::Builder::new()
            .prefix("letterbox-broker-")
            .tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let epmd = free_port()?;
        let [amqp, dist, http] = [free_port()?, free_port()?, free_port()?];
        // A name server of our own, so that we know whom to end.
        let name_server = ServerUser::named("rabbitmq")?
            .command(Path::new("epmd"))
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

    fn write_settings(&self) -> Result<()> {
        let home = self.folder.path();
        let definitions = home.join("definitions.json");
        let settings = [
            format!("listeners.tcp.1 = 127.0.0.1:{}", self.amqp),
            "management.tcp.ip = 127.0.0.1".into(),
            format!("management.tcp.port = {}", self.http),
            "vm_memory_high_watermark.absolute = 1GiB".into(),
            "disk_free_limit.absolute = 100MB".into(),
            "raft.wal_max_size_bytes = 64000000".into(),
            "collect_statistics_interval = 1000".into(),
            format!("load_definitions = {}", definitions.display()),
        ];
        fs::write(home.join("rabbitmq.conf"), settings.join("\n") + "\n")?;
        // Queue lengths that are at most half a second old.
        let ticks = "[{rabbit, [{quorum_tick_interval, 500}]}].\n";
        fs::write(home.join("advanced.config"), ticks)?;
        fs::write(home.join("plugins"), "[rabbitmq_management].\n")?;
        let vhosts: Vec<String> = (1..=VHOSTS)
            .map(|number| format!("story-{number}"))
            .collect();
        let named = |name: &String| json!({ "name": name });
        let allowed = |user: &str| {
            let mut list: Vec<_> = Vec::new();
            for vhost in &vhosts {
                list.push(json!({ "user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*" }));
            }
            list
        };
        let users: Vec<_> = ["guest", "intake", "unsubscribe", "deliver"]
            .iter()
            .map(|name| json!({ "name": name, "password": password_of(name), "tags": if *name == "guest" { ["administrator"].as_slice() } else { &[] } }))
            .collect();
        let permissions: Vec<_> = ["guest", "intake", "unsubscribe", "deliver"]
            .iter()
            .flat_map(|user| allowed(user))
            .collect();
        let all = json!({
            "users": users,
            "vhosts": vhosts.iter().map(named).collect::<Vec<_>>(),
            "permissions": permissions,
        });
        fs::write(&definitions, all.to_string())?;
        let cookie = home.join(".erlang.cookie");
        fs::write(&cookie, format!("COOKIE{}", std::process::id()))?;
        fs::set_permissions(&cookie, Permissions::from_mode(0o400))?;
        for entry in fs::read_dir(home)? {
            self.user.give(&entry?.path())?;
        }
        self.user.give(home)
    }

    fn command(&self, program: &str) -> Command {
        let home = self.folder.path();
        let starts = self.lock().starts;
        let mut command = self.user.command(&self.programs.join(program));
        command
            .current_dir("/")
            .env("HOME", home)
            .env("LC_ALL", "C.UTF-8")
            .env("RABBITMQ_CONF_ENV_FILE", home.join("none"))
            .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
            .env(
                "RABBITMQ_ADVANCED_CONFIG_FILE",
                home.join("advanced.config"),
            )
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_MNESIA_BASE", home)
            .env("RABBITMQ_MNESIA_DIR", self.data())
            .env("RABBITMQ_LOG_BASE", home)
            .env("RABBITMQ_LOGS", home.join(format!("node-{starts}.log")))
            .env("RABBITMQ_PID_FILE", home.join("node.pid"))
            .env("RABBITMQ_DIST_PORT", self.dist.to_string())
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .stdin(Stdio::null());
        command
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
            let started = self.log().contains("Server startup complete");
            Ok((started && overview().is_ok_and(|answer| answer.status == 200)).then_some(()))
        })
        .with_context(|| self.log())
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
        // It names its home folder among its words.
        let home = self.folder.path().to_string_lossy();
        let named = |pid: &str| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let mut words = words.split(|byte| *byte == 0);
            let program = String::from_utf8_lossy(words.next()?).into_owned();
            (program.contains("beam") && words.any(|word| word == home.as_bytes())).then_some(())
        };
        let mut processes = fs::read_dir("/proc").ok()?.flatten();
        let pid = processes.find_map(|entry| {
            let pid = entry.file_name().into_string().ok()?;
            named(&pid)?;
            pid.parse().ok()
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

/// The password of a user of the node.
pub(crate) fn password_of(user: &str) -> String {
    if user == "guest" {
        "guest".into()
    } else {
        format!("{user}-at-the-broker")
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
            eprintln!("--- the broker's log:\n{}\n---", self.log());
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

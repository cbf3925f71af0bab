//! The files and variables by which a node of the stories is told who it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use anyhow::Result;
use serde_json::{Value, json};

use crate::BrokerNode;

/// As many as the stories want that share a node.
pub(crate) const VHOSTS: u16 = 16;

/// The password of a user of the node.
pub(crate) fn password_of(user: &str) -> String {
    if user == "guest" {
        "guest".into()
    } else {
        format!("{user}-at-the-broker")
    }
}

/// Each user, and what it may configure, write and read: as `deploy/README.md` gives it to the roles.
const RIGHTS: [(&str, [&str; 3]); 4] = [
    ("guest", [".*", ".*", ".*"]),
    ("intake", ["^$", r"^letterbox\.work$", "^$"]),
    ("unsubscribe", ["^$", r"^letterbox\.work$", "^$"]),
    (
        "deliver",
        [r"^letterbox\.", r"^letterbox\.", r"^letterbox\."],
    ),
];

fn users_and_rights() -> Value {
    let vhosts: Vec<String> = (1..=VHOSTS)
        .map(|number| format!("story-{number}"))
        .collect();
    let mut users = Vec::new();
    let mut rights = Vec::new();
    for (name, [configure, write, read]) in RIGHTS {
        let tags: &[&str] = if name == "guest" {
            &["administrator"]
        } else {
            &[]
        };
        users.push(json!({ "name": name, "password": password_of(name), "tags": tags }));
        for vhost in &vhosts {
            rights.push(json!({
                "user": name, "vhost": vhost, "configure": configure, "write": write, "read": read,
            }));
        }
    }
    let vhosts: Vec<Value> = vhosts.iter().map(|name| json!({ "name": name })).collect();
    json!({ "users": users, "vhosts": vhosts, "permissions": rights })
}

impl BrokerNode {
    /// Settings, vhosts, users and rights, all of it files: `rabbitmqctl` takes two seconds a call.
    pub(crate) fn write_settings(&self) -> Result<()> {
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
        fs::write(&definitions, users_and_rights().to_string())?;
        let cookie = home.join(".erlang.cookie");
        fs::write(&cookie, format!("COOKIE{}", std::process::id()))?;
        fs::set_permissions(&cookie, Permissions::from_mode(0o400))?;
        for entry in fs::read_dir(home)? {
            self.user.give(&entry?.path())?;
        }
        self.user.give(home)
    }

    /// A program of RabbitMQ that knows all about this node, and nothing of `/etc/rabbitmq`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let home = self.folder.path();
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
            .env("RABBITMQ_LOGS", home.join(self.log_name()))
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
}

//! The yardsticks: what PostgreSQL does alone, on a schema as small as it can honestly be, driven by
//! pgbench over its socket (`yard/*.sql`).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use support::{PostgresNode, repository};

use crate::TIME;
use crate::table::{Sample, Side};

/// The clients that are tried; the best of them counts.
const CLIENTS: [usize; 4] = [1, 8, 32, 64];

const DATABASE: &str = "yard";

/// Of every server of the benches. What makes a commit durable is as PostgreSQL has it, and said again;
/// the rest is room, so that neither a small cache nor a checkpoint slows the yardstick down.
pub(crate) const SETTINGS: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
];

/// What pgbench runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Script {
    SignUp,
    Unsubscribe,
}

impl Script {
    const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up.sql",
            Self::Unsubscribe => "unsubscribe.sql",
        }
    }
}

/// A server with the schema, and the sides measured so far: one for each number of clients.
pub(crate) struct Yard {
    postgres: PostgresNode,
    script: Script,
    pub(crate) sides: Vec<Side>,
}

impl Yard {
    pub(crate) fn set_up(script: Script) -> Result<Self> {
        let postgres = PostgresNode::start_with(SETTINGS)?;
        postgres.sql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        let schema = file("schema.sql").display().to_string();
        let words = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", &schema];
        postgres.tool("psql", DATABASE, &words)?.ok()?;
        postgres.sql(DATABASE, "VACUUM ANALYZE")?;
        let side = |clients| Side::new(format!("pgbench {}, {clients} clients", script.name()));
        Ok(Self {
            postgres,
            script,
            sides: CLIENTS.map(side).into(),
        })
    }

    /// One round: every number of clients, one after the other.
    pub(crate) fn round(&mut self) -> Result<()> {
        for (at, clients) in CLIENTS.into_iter().enumerate() {
            self.postgres.sql(DATABASE, "CHECKPOINT")?;
            let sample = self.run(clients)?;
            self.sides[at].samples.push(sample);
        }
        Ok(())
    }

    /// `pgbench -n -M prepared -f SCRIPT -c CLIENTS -j 2 -T SECONDS`.
    fn run(&self, clients: usize) -> Result<Sample> {
        let output = Command::new("pgbench")
            .args(["-n", "-M", "prepared", "-j", "2", "-f"])
            .arg(file(self.script.name()))
            .args(["-c", &clients.to_string()])
            .args(["-T", &TIME.as_secs().to_string()])
            .arg("-h")
            .arg(self.postgres.socket())
            .args(["-p", &self.postgres.port().to_string()])
            .args(["-U", "postgres", DATABASE])
            .env("PGPASSWORD", self.postgres.password())
            .stdin(Stdio::null())
            .output()
            .context("pgbench")?;
        ensure!(
            output.status.success(),
            "pgbench: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stdout);
        let rate = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .and_then(|rest| rest.split(' ').next())
            .with_context(|| format!("pgbench told no rate: {said}"))?;
        Ok(Sample::rate(rate.parse()?))
    }
}

fn file(name: &str) -> PathBuf {
    repository().join("tests/bench/yard").join(name)
}

//! An installation of separate roles: a PostgreSQL with a login for each role, keys in a folder for
//! each role, and as many processes of each as a story wants, behind one address.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::front::Front;
use crate::roles_set_up::{DATABASE, database_password};
use crate::{
    DEADLINE, Ended, Mailbox, PostgresNode, RoleProcess, Site, Vhost, Web, issue_files,
    letterbox_binary, wait_until,
};

/// What to run.
#[derive(Debug, Clone)]
pub struct RolesPlan {
    /// Processes of `letterbox intake`.
    pub intakes: usize,
    /// Processes of `letterbox unsubscribe`.
    pub unsubscribes: usize,
    /// Processes of `letterbox deliver`.
    pub delivers: usize,
    /// The broker, if any.
    pub broker: Option<Vhost>,
    /// Roles that reach the broker by another port than its own, a proxy's.
    pub broker_ports: Vec<(&'static str, u16)>,
    /// The port that residents know, if it is to be a certain one.
    pub port: Option<u16>,
    /// The mail relay, if mail is not to be caught.
    pub smtp: Option<String>,
    /// More words for every worker: `--connections=10`, say.
    pub deliver_words: Vec<String>,
    /// Roles that reach the database by another port than its own, a proxy's.
    pub database_ports: Vec<(&'static str, u16)>,
    /// `--log`.
    pub log: &'static str,
    /// Settings of PostgreSQL.
    pub postgres: &'static [&'static str],
}

impl Default for RolesPlan {
    fn default() -> Self {
        Self {
            intakes: 1,
            unsubscribes: 1,
            delivers: 1,
            broker: None,
            broker_ports: Vec::new(),
            port: None,
            smtp: None,
            deliver_words: Vec::new(),
            database_ports: Vec::new(),
            log: "info",
            postgres: &["fsync=off"],
        }
    }
}

/// The installation.
#[derive(Debug)]
pub struct Roles {
    /// The processes of `letterbox intake`.
    pub intakes: Vec<RoleProcess>,
    /// The processes of `letterbox unsubscribe`.
    pub unsubscribes: Vec<RoleProcess>,
    /// The processes of `letterbox deliver`.
    pub delivers: Vec<RoleProcess>,
    /// Their database.
    pub postgres: PostgresNode,
    pub(crate) front: Front,
    pub(crate) plan: RolesPlan,
    pub(crate) folder: tempfile::TempDir,
}

impl Roles {
    /// A new installation with the example newsletter `council-news`, running.
    ///
    /// # Errors
    /// A part did not become ready.
    pub fn start(plan: RolesPlan) -> Result<Self> {
        let mut roles = Self::prepare(plan)?;
        roles.make_keys()?;
        roles.make_database()?;
        roles.set_up_newsletter()?;
        roles.start_all()?;
        Ok(roles)
    }

    /// Folders, an empty database server and an address; nothing of Letterbox yet.
    ///
    /// # Errors
    /// PostgreSQL does not start.
    pub fn prepare(plan: RolesPlan) -> Result<Self> {
        let postgres = PostgresNode::start_with(plan.postgres)?;
        Self::around(postgres, plan)
    }

    /// Folders and an address around a database server; nothing of Letterbox yet.
    pub(crate) fn around(postgres: PostgresNode, plan: RolesPlan) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("letterbox-roles-")
            .tempdir()?;
        // As root, roles become the user letterbox, who must be able to pass through.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let mut roles = Self {
            intakes: Vec::new(),
            unsubscribes: Vec::new(),
            delivers: Vec::new(),
            postgres,
            front: Front::start(plan.port)?,
            plan,
            folder,
        };
        for number in 1..=roles.plan.intakes {
            let process = roles.process("intake", number)?;
            roles.intakes.push(process);
        }
        for number in 1..=roles.plan.unsubscribes {
            let process = roles.process("unsubscribe", number)?;
            roles.unsubscribes.push(process);
        }
        for number in 1..=roles.plan.delivers {
            let process = roles.process("deliver", number)?;
            roles.delivers.push(process);
        }
        let ports = |roles: &[RoleProcess]| roles.iter().map(|role| role.ports.0).collect();
        roles
            .front
            .pass_on(ports(&roles.intakes), ports(&roles.unsubscribes));
        Ok(roles)
    }

    /// Lets the processes of a role reach the database by another port, a proxy's, from their next start.
    ///
    /// # Errors
    /// There is no port for one of them.
    pub fn reach_database_by(&mut self, role: &'static str, port: u16) -> Result<()> {
        self.plan.database_ports.push((role, port));
        let number = match role {
            "intake" => self.intakes.len(),
            "unsubscribe" => self.unsubscribes.len(),
            _ => self.delivers.len(),
        };
        let again: Vec<RoleProcess> = (1..=number)
            .map(|number| self.process(role, number))
            .collect::<Result<_>>()?;
        match role {
            "intake" => self.intakes = again,
            "unsubscribe" => self.unsubscribes = again,
            _ => self.delivers = again,
        }
        let ports = |roles: &[RoleProcess]| roles.iter().map(|role| role.ports.0).collect();
        self.front
            .pass_on(ports(&self.intakes), ports(&self.unsubscribes));
        Ok(())
    }

    /// Lets one worker, counted from 1, reach the database by another port from its next start.
    ///
    /// # Errors
    /// There is no port for it.
    pub fn reach_database_of_worker_by(&mut self, number: usize, port: u16) -> Result<()> {
        let before = self.plan.database_ports.clone();
        self.plan.database_ports.push(("deliver", port));
        self.delivers[number - 1] = self.process("deliver", number)?;
        self.plan.database_ports = before;
        Ok(())
    }

    /// Starts every role that does not run, and waits until all are ready and the newsletter is open.
    ///
    /// # Errors
    /// One does not become ready.
    pub fn start_all(&mut self) -> Result<()> {
        let mut started = Vec::new();
        for role in self.all_mut() {
            if !role.runs()? {
                role.start()?;
                started.push(role);
            }
        }
        for role in started {
            role.wait_ready()?;
        }
        let pages: Vec<Web> = self.intakes.iter().map(RoleProcess::web).collect();
        wait_until("the newsletter to open", DEADLINE, || {
            let open = |web: &Web| {
                web.get("/newsletters/council-news")
                    .map(|page| page.status == 200)
            };
            Ok(pages.iter().all(|web| open(web).unwrap_or(false)))
        })
    }

    /// The caught mail of this worker.
    pub(crate) fn caught(&self, number: usize) -> PathBuf {
        self.folder
            .path()
            .join(format!("deliver-{number}/caught-mail"))
    }

    /// Every process.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut RoleProcess> {
        self.intakes
            .iter_mut()
            .chain(&mut self.unsubscribes)
            .chain(&mut self.delivers)
    }

    /// Runs an operator command against the database, as the login user `operator`.
    ///
    /// # Errors
    /// It could not be started.
    pub fn command(&self, words: &[&str]) -> Result<Ended> {
        self.run(
            words,
            &[
                (
                    "LETTERBOX_DATABASE",
                    self.postgres.url("operator", DATABASE),
                ),
                ("LETTERBOX_DATABASE_PASSWORD", database_password("operator")),
                ("LETTERBOX_BASE_URL", self.base_url()),
            ],
        )
    }

    /// Runs the program with this environment, in the folder of the story.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run(&self, words: &[&str], environment: &[(&str, String)]) -> Result<Ended> {
        let mut command = Command::new(letterbox_binary()?);
        command
            .args(words)
            .envs(environment.iter().cloned())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        Ok(command.output()?.into())
    }

    /// Sends an issue to `council-news` and waits for its end.
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

    /// One value of the database, as the superuser.
    ///
    /// # Errors
    /// The statement fails.
    pub fn sql(&self, statement: &str) -> Result<String> {
        self.postgres.sql(DATABASE, statement)
    }

    /// Waits until a statement gives this value.
    ///
    /// # Errors
    /// It does not, after a minute.
    pub fn wait_for_sql(&self, statement: &str, value: &str) -> Result<()> {
        self.postgres.wait_for_sql(DATABASE, statement, value)
    }

    /// Waits until so many subscriptions are active.
    ///
    /// # Errors
    /// They are not, after a minute.
    pub fn wait_for_active(&self, number: usize) -> Result<()> {
        let statement = "SELECT count(*) FROM subscription WHERE state = 1";
        self.wait_for_sql(statement, &number.to_string())
    }

    /// The name of the database.
    #[must_use]
    pub const fn database(&self) -> &'static str {
        DATABASE
    }

    /// The folder that `letterbox keys new` makes.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// The folder of everything but the database's and the broker's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The part of the broker that the installation has.
    ///
    /// # Errors
    /// It has none.
    pub fn vhost(&self) -> Result<&Vhost> {
        self.plan.broker.as_ref().context("there is no broker")
    }

    /// The address of the installation.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.front.port())
    }

    /// A client for its pages.
    #[must_use]
    pub fn web(&self) -> Web {
        Web::new(&self.base_url())
    }

    /// The caught mail of all its workers.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::at_all(
            (1..=self.plan.delivers)
                .map(|number| self.caught(number))
                .collect(),
        )
    }
}

impl Site for Roles {
    fn web(&self) -> Web {
        self.web()
    }

    fn mailbox(&self) -> Mailbox {
        self.mailbox()
    }
}

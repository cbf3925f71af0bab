//! Bringing an installation of separate roles into being, as an operator does: keys, logins, tables,
//! a newsletter, and the words that each process is started with.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Result;

use crate::broker_settings::password_of;
use crate::letterbox::free_port;
use crate::{Ended, RoleProcess, Roles, repository};

/// The database of the installation.
pub(crate) const DATABASE: &str = "letterbox";
/// Who owns the tables, and runs `letterbox migrate`.
const OWNER: &str = "letterbox_owner";
/// Login users, and the group whose rights each has.
const LOGINS: [(&str, &str); 4] = [
    ("intake", "letterbox_intake"),
    ("unsubscribe", "letterbox_unsubscribe"),
    ("deliver", "letterbox_deliver"),
    ("operator", "letterbox_operator"),
];

impl Roles {
    /// One more process of a role, not started; a number of its own gives it a folder of its own.
    ///
    /// # Errors
    /// There is no port.
    pub fn process(&self, role: &str, number: usize) -> Result<RoleProcess> {
        let name = format!("{role}-{number}");
        let data = self.folder.path().join(&name);
        let ports = (free_port()?, free_port()?);
        let mut words: Vec<String> = vec![role.into()];
        let mut more = Vec::new();
        let mut say = |option: &str, value: String| words.extend([option.to_owned(), value]);
        say("--admin-listen", format!("127.0.0.1:{}", ports.1));
        say("--keys", self.keys().join(role).display().to_string());
        say("--data", data.display().to_string());
        let proxy = self
            .plan
            .database_ports
            .iter()
            .find(|(name, _)| *name == role);
        let port = proxy.map_or_else(|| self.postgres.port(), |(_, port)| *port);
        say(
            "--database",
            format!("postgres://{role}@127.0.0.1:{port}/{DATABASE}"),
        );
        say("--log", self.plan.log.into());
        if role == "deliver" {
            match &self.plan.smtp {
                Some(relay) => say("--smtp", relay.clone()),
                None => say("--caught-mail", self.caught(number).display().to_string()),
            }
            more.extend(self.plan.deliver_words.iter().cloned());
        } else {
            say("--listen", format!("127.0.0.1:{}", ports.0));
            say("--stop-notice", "0".into());
        }
        if role != "unsubscribe" {
            say("--base-url", self.base_url());
        }
        let mut environment = vec![("LETTERBOX_DATABASE_PASSWORD", database_password(role))];
        if let Some(vhost) = &self.plan.broker {
            let other = self
                .plan
                .broker_ports
                .iter()
                .find(|(name, _)| *name == role);
            let port = other.map_or_else(|| vhost.node().port(), |(_, port)| *port);
            say(
                "--broker",
                format!("amqp://{role}@127.0.0.1:{port}/{}", vhost.name()),
            );
            environment.push(("LETTERBOX_BROKER_PASSWORD", password_of(role)));
        }
        words.extend(more);
        Ok(RoleProcess {
            name,
            words,
            environment,
            ports,
            data,
            logs: self.folder.path().to_owned(),
            process: None,
            starts: 0,
            program: None,
        })
    }

    /// Makes the folders of keys, as an operator does.
    ///
    /// # Errors
    /// `letterbox keys new` fails.
    pub fn make_keys(&self) -> Result<()> {
        let keys = self.keys();
        self.run(&["keys", "new", &keys.to_string_lossy()], &[])?
            .ok()?;
        Ok(())
    }

    /// Makes group roles, login users, the database and its tables, as an operator does.
    ///
    /// # Errors
    /// A step fails.
    pub fn make_database(&self) -> Result<()> {
        self.make_logins()?;
        self.migrate()?.ok()?;
        Ok(())
    }

    /// Group roles, login users and an empty database.
    ///
    /// # Errors
    /// A step fails.
    pub fn make_logins(&self) -> Result<()> {
        let groups = repository().join("deploy/postgres/roles.sql");
        let words = [
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            &groups.to_string_lossy(),
        ];
        self.postgres.tool("psql", "postgres", &words)?.ok()?;
        let login = |user: &str, more: &str| {
            let password = database_password(user);
            let statement = format!("CREATE ROLE {user} LOGIN PASSWORD '{password}' {more}");
            self.postgres.sql("postgres", &statement)
        };
        login(OWNER, "")?;
        for (user, group) in LOGINS {
            login(user, &format!("IN ROLE {group}"))?;
        }
        let statement = format!("CREATE DATABASE {DATABASE} OWNER {OWNER}");
        self.postgres.sql("postgres", &statement)?;
        Ok(())
    }

    /// The address of the database for the owner of its tables, and a file with that user's password.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn owner(&self) -> Result<(String, PathBuf)> {
        let file = self.folder.path().join("owner.password");
        fs::write(&file, database_password(OWNER))?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        Ok((self.postgres.url(OWNER, DATABASE), file))
    }

    /// Runs `letterbox migrate` as the owner of the tables.
    ///
    /// # Errors
    /// It could not be started.
    pub fn migrate(&self) -> Result<Ended> {
        let keys = self.keys().join("deliver");
        let url = self.postgres.url(OWNER, DATABASE);
        self.run(
            &[
                "migrate",
                "--keys",
                &keys.to_string_lossy(),
                "--database",
                &url,
            ],
            &[("LETTERBOX_DATABASE_PASSWORD", database_password(OWNER))],
        )
    }

    /// The example body and newsletter.
    ///
    /// # Errors
    /// A command fails.
    pub fn set_up_newsletter(&self) -> Result<()> {
        let examples = repository().join("crates/letterbox/src/examples");
        for (command, action, file) in [
            ("body", "set", "body.toml"),
            ("newsletter", "add", "newsletter.toml"),
        ] {
            let path = examples.join(file).display().to_string();
            self.command(&[command, action, &path])?.ok()?;
        }
        Ok(())
    }
}

/// The password of a login user of the database.
pub(crate) fn database_password(user: &str) -> String {
    format!("{user}-at-the-database")
}

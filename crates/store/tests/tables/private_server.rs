//! A PostgreSQL server of a test's own, for what the shared one cannot show: TLS, a failover, a cluster
//! without our roles.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The server, stopped when dropped.
pub(crate) struct PrivateServer {
    folder: TempDir,
    pub(crate) port: u16,
}

/// Root cannot run PostgreSQL: the user that does instead.
fn server_user() -> Option<(u32, u32)> {
    let number = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    (number(&["-u"])? == 0).then(|| {
        let user = number(&["-u", "postgres"]).expect("PostgreSQL came with a user of its name");
        (user, number(&["-g", "postgres"]).unwrap())
    })
}

fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("deploy/dev/services up installs PostgreSQL")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().unwrap()
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl PrivateServer {
    /// A folder that the server's user owns, with nothing in it yet.
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        if let Some((user, group)) = server_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        Self {
            folder,
            port: free_port(),
        }
    }

    /// Makes a cluster and starts it.
    pub(crate) fn start() -> Self {
        let server = Self::empty();
        let data = server.data();
        server.run(
            "initdb",
            &["-U", "postgres", "-A", "trust", "-N", "-D", &data],
        );
        server.up();
        server
    }

    /// Makes a copy of a running one, which follows it.
    pub(crate) fn start_standby_of(other: &Self) -> Self {
        let server = Self::empty();
        let (data, port) = (server.data(), other.port.to_string());
        server.run(
            "pg_basebackup",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-R",
                "-c",
                "fast",
                "-D",
                &data,
            ],
        );
        server.up();
        server
    }

    pub(crate) fn up(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c shared_buffers=16MB -c max_connections=20",
            self.port
        );
        let (data, log) = (self.data(), self.path("log"));
        self.run(
            "pg_ctl",
            &["-D", &data, "-l", &log, "-w", "-o", &options, "start"],
        );
    }

    pub(crate) fn kill(&self) {
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-m", "immediate", "-w", "stop"],
        );
    }

    /// Makes a standby take writes.
    pub(crate) fn promote(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-w", "promote"]);
    }

    /// Runs a program as the server's user.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) {
        let folder = programs().join(program);
        let program = if folder.exists() {
            folder
        } else {
            program.into()
        };
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        // pg_ctl's child keeps a pipe open: files instead
        let said = tempfile::NamedTempFile::new().unwrap();
        command
            .stdout(said.reopen().unwrap())
            .stderr(said.reopen().unwrap());
        let status = command.status().unwrap();
        let said = std::fs::read_to_string(said.path()).unwrap();
        assert!(status.success(), "{}: {said}", program.display());
    }

    /// Runs psql as the superuser in a database of it.
    pub(crate) fn psql(&self, database: &str, arguments: &[&str]) {
        let port = self.port.to_string();
        let mut all = vec!["-X", "-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        all.extend(["-v", "ON_ERROR_STOP=1", "-d", database]);
        all.extend(arguments);
        self.run("psql", &all);
    }

    pub(crate) fn data(&self) -> String {
        self.path("data")
    }

    /// A file of the server's folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Adds lines to one of the server's own files.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = Path::new(&self.data()).join(name);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        // the later of two settings counts in one file, the first of two rules in the other
        let text = if name == "pg_hba.conf" {
            text.to_owned()
        } else {
            before + text
        };
        std::fs::write(&path, text).unwrap();
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // It may be stopped already. The folder goes afterwards.
        let mut command = Command::new(programs().join("pg_ctl"));
        command
            .args(["-D", &self.data(), "-m", "immediate", "-w", "stop"])
            .current_dir("/");
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        let _: std::io::Result<Output> = command.output();
    }
}

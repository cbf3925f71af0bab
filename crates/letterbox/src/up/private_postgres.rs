//! The private PostgreSQL of `letterbox up`: found, set up, started over a unix socket, stopped.
//!
//! Facts that this file works around (`postgresql_embedded` 0.22): it starts the server with `-F`,
//! which turns fsync *off*; it panics where it has neither binaries nor a network; it would leave
//! its password file readable by everybody; it hands the socket's folder to a shell unquoted; it stops
//! the server when any clone of its handle is dropped.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use domain::Entropy;
use postgresql_embedded::{LATEST, PostgreSQL, Settings};
use service_runtime::Shutdown;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::postgres_programs::{OLDEST_MAJOR, find_installation, installation_of};
use crate::failure::SettingsError;

/// The longest path of a unix socket that Linux takes, without the final zero byte.
const LONGEST_SOCKET_PATH: usize = 107;
/// Where the library finds PostgreSQL's programs if none are installed.
const RELEASES: &str = "https://github.com/theseus-rs/postgresql-binaries";
/// With the private folder as the only way in, the port is only the last part of the socket's name.
const PORT: u16 = 5432;
/// How often to see whether it still runs.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long it may be down before it is started again.
const LEFT_ALONE: Duration = Duration::from_secs(30);
const DATABASE: &str = "letterbox";
const USER: &str = "postgres";

/// A running server.
pub(crate) struct PrivatePostgres {
    /// Shared, never cloned: the library stops the server when any clone is dropped.
    server: Arc<Mutex<PostgreSQL>>,
    data: PathBuf,
    socket_folder: PathBuf,
    password: Zeroizing<String>,
    description: String,
}

impl PrivatePostgres {
    /// Sets the server up on first use, stops one that a killed run left behind, and starts it.
    pub(crate) async fn start(
        folder: &Path,
        run: &Path,
        binaries: Option<&Path>,
        entropy: &dyn Entropy,
    ) -> anyhow::Result<Self> {
        let data = folder.join("data");
        let password_file = folder.join("password");
        let password = password(&password_file, entropy)?;
        let socket_folder = socket_folder(run, folder)?;
        let found = match binaries {
            Some(chosen) => Some(installation_of(chosen)?),
            None => find_installation(),
        };
        let description = found.as_ref().map_or_else(
            || "downloaded".to_owned(),
            |installation| installation.join("bin").display().to_string(),
        );
        let settings = settings(&Place {
            data: &data,
            password_file: &password_file,
            password: &password,
            socket_folder: &socket_folder,
            installation: found.as_deref(),
            downloads: &folder.join("installation"),
        });
        let mut server = PostgreSQL::new(settings);
        if found.is_some() {
            stop_leftover(&server, &data).await?;
            server
                .setup()
                .await
                .context("PostgreSQL could not be set up")?;
        } else {
            server = download_and_set_up(server).await?;
            stop_leftover(&server, &data).await?;
        }
        server.start().await.with_context(|| {
            format!(
                "PostgreSQL did not start: read {}",
                data.join("start.log").display()
            )
        })?;
        Ok(Self {
            server: Arc::new(Mutex::new(server)),
            data,
            socket_folder,
            password,
            description,
        })
    }

    /// Where its binaries are, for people.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// How to reach it.
    pub(crate) fn connection(&self) -> Connection {
        Connection {
            socket_folder: self.socket_folder.clone(),
            port: PORT,
            user: USER.to_owned(),
            password: self.password.clone(),
            database: DATABASE.to_owned(),
        }
    }

    /// Makes our database on first use.
    pub(crate) async fn create_database(&self) -> anyhow::Result<()> {
        if !self
            .server
            .lock()
            .await
            .database_exists(DATABASE)
            .await
            .context("PostgreSQL does not answer")?
        {
            self.server
                .lock()
                .await
                .create_database(DATABASE)
                .await
                .context("the database was not created")?;
        }
        Ok(())
    }

    /// Starts it again when it has died: requests are kept meanwhile, but nobody gets mail. Somebody
    /// who stops and starts it by hand has [`LEFT_ALONE`] to do so.
    pub(crate) async fn keep_running(
        server: Arc<Mutex<PostgreSQL>>,
        data: PathBuf,
        shutdown: Shutdown,
    ) {
        let mut missed = Duration::ZERO;
        while !shutdown.is_stopping() {
            tokio::select! {
                () = shutdown.token().cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if running_process(&data).is_some() {
                missed = Duration::ZERO;
                continue;
            }
            missed += LOOK_EVERY;
            if missed < LEFT_ALONE {
                continue;
            }
            tracing::error!("PostgreSQL has died: starting it again");
            if let Err(error) = server.lock().await.start().await {
                tracing::error!(%error, "PostgreSQL does not start: read start.log in its folder");
            }
            missed = Duration::ZERO;
        }
    }

    /// What [`Self::keep_running`] needs.
    pub(crate) fn watched(&self) -> (Arc<Mutex<PostgreSQL>>, PathBuf) {
        (Arc::clone(&self.server), self.data.clone())
    }

    /// Stops it, letting nothing committed go. One that somebody stopped already is stopped.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        if running_process(&self.data).is_none() {
            tracing::warn!("PostgreSQL was not running any more");
            return Ok(());
        }
        self.server
            .lock()
            .await
            .stop()
            .await
            .context("PostgreSQL did not stop in time")
    }
}

/// How to reach a database.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) socket_folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Zeroizing<String>,
    pub(crate) database: String,
}

struct Place<'a> {
    data: &'a Path,
    password_file: &'a Path,
    password: &'a str,
    socket_folder: &'a Path,
    installation: Option<&'a Path>,
    downloads: &'a Path,
}

fn settings(place: &Place<'_>) -> Settings {
    let configuration = [
        ("listen_addresses", ""), // the socket only: nobody else on the machine or network
        ("fsync", "on"),          // takes back the library's -F: what we answered 2xx must last
        ("unix_socket_permissions", "0700"),
        ("max_connections", "40"),
        ("shared_buffers", "64MB"),
        ("log_min_error_statement", "panic"), // a failed statement's values stay out of the log
        ("log_error_verbosity", "terse"),     // and so does the DETAIL line, which may quote a row
        ("jit", "off"),
    ];
    Settings {
        installation_dir: place.installation.unwrap_or(place.downloads).to_path_buf(),
        trust_installation_dir: place.installation.is_some(),
        password_file: place.password_file.to_path_buf(),
        data_dir: place.data.to_path_buf(),
        host: "localhost".to_owned(),
        port: PORT,
        username: USER.to_owned(),
        password: place.password.to_owned(),
        temporary: false,
        timeout: Some(Duration::from_mins(2)),
        socket_dir: Some(place.socket_folder.to_path_buf()),
        configuration: configuration
            .into_iter()
            .map(|(name, value)| {
                let value = if value.is_empty() { "''" } else { value };
                (name.to_owned(), value.to_owned())
            })
            .collect::<HashMap<_, _>>(),
        // Every field is named: the library's default makes two folders in /tmp and leaves them.
        releases_url: RELEASES.to_owned(),
        version: LATEST.clone(),
    }
}

/// The superuser's password: made once, kept 0600. Written before the library would write it 0644.
fn password(path: &Path, entropy: &dyn Entropy) -> anyhow::Result<Zeroizing<String>> {
    if !path.exists() {
        let made = Zeroizing::new(HEXLOWER.encode(&entropy.sixteen()));
        let mut file = File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all(made.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let bytes = service_runtime::secret_file::read(path)
        .map_err(|error| SettingsError::new(error.to_string()))?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The folder of the socket: `DIR/run`, or, where that makes too long a path for a socket or one that
/// a shell would split, a private folder of the same name for every start under `/tmp`.
fn socket_folder(run: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
    };
    let socket = run.join(format!(".s.PGSQL.{PORT}"));
    if let Some(text) = socket.to_str()
        && text.len() <= LONGEST_SOCKET_PATH
        && plain(text)
    {
        return Ok(run.to_path_buf());
    }
    let metadata =
        fs::metadata(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let short = PathBuf::from(format!(
        "/tmp/letterbox-{:x}-{:x}",
        metadata.dev(),
        metadata.ino()
    ));
    match DirBuilder::new().mode(0o700).create(&short) {
        Ok(()) => Ok(short),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(&short)
                .with_context(|| format!("cannot read {}", short.display()))?;
            if found.is_dir() && found.uid() == metadata.uid() && found.mode() & 0o777 == 0o700 {
                Ok(short)
            } else {
                Err(SettingsError::new(format!(
                    "{} exists and is not a private folder of this user: remove it, or give --data a shorter path",
                    short.display()
                ))
                .into())
            }
        }
        Err(error) => Err(error).with_context(|| format!("cannot create {}", short.display())),
    }
}

/// The process that serves this data; after a crash of the machine its number may belong to somebody
/// else's process by now, which is told by the folder that it works in.
fn running_process(data: &Path) -> Option<i32> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let real = fs::canonicalize(data).ok()?;
    let works_here = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == real);
    works_here.then_some(pid)
}

/// Stops a server that a killed run left on this data; without one this does nothing.
async fn stop_leftover(server: &PostgreSQL, data: &Path) -> anyhow::Result<()> {
    let Some(pid) = running_process(data) else {
        return Ok(());
    };
    tracing::warn!("stopping the PostgreSQL that an earlier run left behind");
    server.stop().await.with_context(|| {
        format!(
            "the PostgreSQL of an earlier run (process {pid}) does not stop: end it and start again"
        )
    })
}

/// Lets the library fetch PostgreSQL. It panics without a network, so it runs in a task of its own.
async fn download_and_set_up(mut server: PostgreSQL) -> anyhow::Result<PostgreSQL> {
    eprintln!("No PostgreSQL {OLDEST_MAJOR} or newer is installed here: downloading one …");
    let mut task = tokio::task::JoinSet::new();
    task.spawn(async move {
        let outcome = server.setup().await;
        (server, outcome)
    });
    match task.join_next().await {
        Some(Ok((server, Ok(())))) => Ok(server),
        _ => bail!(
            "PostgreSQL is not installed and could not be downloaded: run `apt-get install postgresql` (or deploy/up, which does it), or name its programs with --postgres-bin"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_odd_path_falls_back_to_a_short_private_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        assert_eq!(socket_folder(&run, folder.path()).unwrap(), run);
        let long = folder.path().join("d".repeat(100));
        let odd = folder.path().join("a b");
        let short = socket_folder(&long, folder.path()).unwrap();
        assert!(short.to_str().unwrap().len() < 60);
        assert_eq!(socket_folder(&odd, folder.path()).unwrap(), short);
        assert_eq!(fs::metadata(&short).unwrap().mode() & 0o777, 0o700);
        fs::remove_dir(short).unwrap();
    }

    #[test]
    fn the_password_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let first = password(&path, &domain::CountingEntropy::default()).unwrap();
        let second = password(&path, &domain::CountingEntropy::default()).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}

//! The running installation that a command acts on: that of a data folder, or separate roles.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::Catalogue;
use serde::{Deserialize, Serialize};
use store::{ConnectSettings, Database, Host, StoreError, Tls};
use zeroize::Zeroizing;

use crate::cli::Target;
use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::settings::{base_url, database};
use crate::unprivileged;
use crate::up::Connection;

/// For how long a database that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// A command asks one thing after the other.
const CONNECTIONS: u32 = 2;

/// What a running `up` leaves in `DIR/run/connection.json`, 0600.
#[derive(Serialize, Deserialize)]
struct Announcement {
    socket_folder: PathBuf,
    port: u16,
    user: String,
    database: String,
    base_url: String,
}

/// A running installation, opened by somebody who may.
pub(crate) struct Installation {
    pub(crate) database: Database,
    /// How residents reach it, as far as that is known here.
    base_url: Option<String>,
    /// The folder with its example files, if it has one.
    examples: Option<PathBuf>,
}

impl Installation {
    /// The body, its newsletters and notices.
    pub(crate) async fn catalogue(&self) -> anyhow::Result<Catalogue> {
        self.database
            .catalogue()
            .read()
            .await
            .context("the catalogue cannot be read")
    }

    /// How residents reach it, for what cannot be done without.
    pub(crate) fn base_url(&self) -> Result<&str, SettingsError> {
        self.base_url.as_deref().ok_or_else(|| {
            SettingsError::new(
                "say with --base-url how residents reach the installation, the same as for `letterbox deliver`",
            )
        })
    }

    /// Where to find an example file, in words.
    pub(crate) fn example(&self, name: &str) -> String {
        match &self.examples {
            Some(folder) => folder.join(name).display().to_string(),
            None => format!("the {name} that `letterbox examples DIR` writes"),
        }
    }

    /// A line about a page, where it is known where the pages are.
    pub(crate) fn print_page(&self, what: &str, path: &str) {
        if let Some(base) = &self.base_url {
            crate::up::print_line(&format!("{what} {base}{path}"));
        }
    }
}

/// Writes down how to reach the database; the password stays where it is.
pub(crate) fn announce(
    data: &DataFolder,
    connection: &Connection,
    base_url: &str,
) -> anyhow::Result<()> {
    let path = data.connection_file();
    let announcement = Announcement {
        socket_folder: connection.socket_folder.clone(),
        port: connection.port,
        user: connection.user.clone(),
        database: connection.database.clone(),
        base_url: base_url.to_owned(),
    };
    let temporary = path.with_extension("new");
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(|| format!("cannot create {}", temporary.display()))?;
    let text = serde_json::to_vec_pretty(&announcement).context("the announcement is no JSON")?;
    file.write_all(&text)
        .and_then(|()| std::fs::rename(&temporary, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Where a command finds its installation.
pub(crate) enum Place {
    /// An embedded one, by its folder; we are its owner.
    Folder(DataFolder),
    /// Separate roles, by their database.
    Database {
        /// How to reach it.
        settings: Box<ConnectSettings>,
        /// How residents reach the pages.
        base_url: Option<String>,
    },
}

/// Reads which installation is meant. For a folder it becomes the folder's owner, so input files are
/// read before.
pub(crate) fn place_of(target: &Target) -> anyhow::Result<Place> {
    if !database::is_given(&target.database) {
        let data = DataFolder::at(&target.data.folder())?;
        unprivileged::become_owner(&data)?;
        return Ok(Place::Folder(data));
    }
    if target.data.is_given() {
        return Err(SettingsError::new(
            "--data is for `letterbox up` and --database for separate roles (each may come from the environment): give one of them",
        )
        .into());
    }
    let base_url = target
        .base_url
        .as_deref()
        .map(base_url::check)
        .transpose()?;
    Ok(Place::Database {
        settings: Box::new(database::check(&target.database, CONNECTIONS)?),
        base_url,
    })
}

/// Opens the installation; call it inside [`super::block_on`].
pub(crate) async fn open(place: Place) -> anyhow::Result<Installation> {
    match place {
        Place::Folder(data) => open_folder(&data).await,
        Place::Database { settings, base_url } => Ok(Installation {
            database: connect(&settings).await?,
            base_url,
            examples: None,
        }),
    }
}

/// The database of `--database`, for a command that cannot do without.
pub(crate) async fn connect(settings: &ConnectSettings) -> anyhow::Result<Database> {
    connect_patiently(settings).await.map_err(|error| {
        let what = match &error {
            StoreError::NotAdmitted(_) => "--database",
            _ => "the database does not answer: is --database right, and the server running?",
        };
        anyhow::Error::new(error).context(what)
    })
}

/// A busy machine or a failover takes a moment, and whoever runs a command would only run it again.
async fn connect_patiently(settings: &ConnectSettings) -> Result<Database, StoreError> {
    let until = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        match Database::connect(settings).await {
            Err(error) if error.is_temporary() && Instant::now() < until => {
                if !told {
                    let seconds = PATIENCE.as_secs();
                    eprintln!(
                        "letterbox: the database does not answer yet: waiting for up to {seconds} seconds"
                    );
                }
                told = true;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            other => return other,
        }
    }
}

async fn open_folder(data: &DataFolder) -> anyhow::Result<Installation> {
    let folder = data.root().display().to_string();
    let not_running = || {
        SettingsError::new(format!(
            "nothing is running on {folder}: start it with `letterbox up --data {folder}` in another terminal, then run this again"
        ))
    };
    if !data
        .is_in_use()
        .with_context(|| format!("cannot look into {folder}"))?
    {
        return Err(not_running().into());
    }
    let text = std::fs::read(data.connection_file()).map_err(|_| not_running())?;
    let announcement: Announcement = serde_json::from_slice(&text).map_err(|_| {
        SettingsError::new(format!(
            "{} is damaged: restart `letterbox up`, which writes it anew",
            data.connection_file().display()
        ))
    })?;
    let password = service_runtime::secret_file::read(&data.postgres().join("password"))
        .map_err(|error| SettingsError::new(error.to_string()))?;
    let settings = ConnectSettings {
        hosts: vec![(Host::Socket(announcement.socket_folder), announcement.port)],
        user: announcement.user,
        password: Some(Zeroizing::new(
            String::from_utf8_lossy(&password).into_owned(),
        )),
        database: announcement.database,
        max_connections: CONNECTIONS,
        tls: Tls::Off,
    };
    let database = connect_patiently(&settings).await.with_context(|| {
        format!("`letterbox up` runs on {folder}, but its database does not answer: wait until it says Ready")
    })?;
    Ok(Installation {
        database,
        base_url: Some(announcement.base_url),
        examples: Some(data.examples()),
    })
}

//! The running installation behind a data folder.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use domain::Catalogue;
use serde::{Deserialize, Serialize};
use store::{ConnectSettings, Database, Host};

use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::unprivileged;
use crate::up::Connection;

/// What a running `up` leaves in `DIR/run/connection.json`, 0600.
#[derive(Serialize, Deserialize)]
struct Announcement {
    socket_folder: PathBuf,
    port: u16,
    user: String,
    database: String,
    base_url: String,
}

/// A running installation, opened by its owner.
pub(crate) struct Installation {
    pub(crate) database: Database,
    pub(crate) data: DataFolder,
    /// How residents reach it.
    pub(crate) base_url: String,
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

/// Opens the installation of a folder; call it inside [`super::block_on`], after
/// [`unprivileged::become_owner`].
pub(crate) async fn open(data: DataFolder) -> anyhow::Result<Installation> {
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
        host: Host::Socket(announcement.socket_folder),
        port: announcement.port,
        user: announcement.user,
        password: Some(String::from_utf8_lossy(&password).into_owned()),
        database: announcement.database,
        max_connections: 2,
    };
    let database = Database::connect(&settings).await.with_context(|| {
        format!("`letterbox up` runs on {folder}, but its database does not answer: wait until it says Ready")
    })?;
    Ok(Installation {
        database,
        data,
        base_url: announcement.base_url,
    })
}

/// Becomes the folder's owner and opens its installation, for a command without input files.
pub(crate) fn folder_of(data: &crate::cli::DataOption) -> anyhow::Result<DataFolder> {
    let data = DataFolder::at(&data.folder())?;
    unprivileged::become_owner(&data)?;
    Ok(data)
}

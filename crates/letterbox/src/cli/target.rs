//! Which installation an operator command acts on.

use std::path::PathBuf;

use clap::Args;

use super::options::DatabaseOptions;

/// The folder of an embedded installation.
#[derive(Args, Clone)]
pub(crate) struct DataOption {
    /// Folder of the installation [default: ./letterbox-data, as root /var/lib/letterbox]
    #[arg(long = "data", value_name = "DIR", env = "LETTERBOX_DATA")]
    folder: Option<PathBuf>,
}

impl DataOption {
    /// The folder given, or the default for this user.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| {
            if nix::unistd::geteuid().is_root() {
                PathBuf::from("/var/lib/letterbox")
            } else {
                PathBuf::from("letterbox-data")
            }
        })
    }

    /// Whether a folder was named.
    pub(crate) const fn is_given(&self) -> bool {
        self.folder.is_some()
    }
}

/// A running `letterbox up`, or the database of separate roles.
#[derive(Args, Clone)]
pub(crate) struct Target {
    #[command(flatten)]
    pub(crate) data: DataOption,
    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    #[arg(
        long,
        value_name = "URL",
        env = "LETTERBOX_BASE_URL",
        help = "With --database: how residents reach the installation, the same as for `letterbox deliver`"
    )]
    pub(crate) base_url: Option<String>,
}

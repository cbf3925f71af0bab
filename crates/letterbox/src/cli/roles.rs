//! The command lines of the separate roles. None has an option for what its role may not hold.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::limits::LimitOptions;
use super::options::{
    AdminOption, BrokerOptions, DatabaseOptions, LogOption, RelayOptions, StopOption,
};

/// Options of `letterbox intake`.
#[derive(Args)]
pub(crate) struct IntakeOptions {
    /// Address and port of the pages and the sign-up API
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8081",
        env = "LETTERBOX_LISTEN"
    )]
    pub(crate) listen: SocketAddr,

    #[command(flatten)]
    pub(crate) admin: AdminOption,

    #[arg(
        long,
        value_name = "URL",
        env = "LETTERBOX_BASE_URL",
        help = "How residents reach the installation, https://news.example.gov.uk say: forms for other sites post to it"
    )]
    pub(crate) base_url: String,

    /// Folder with the role's keys, as `letterbox keys new` or `keys split` makes it
    #[arg(long, value_name = "DIR", env = "LETTERBOX_KEYS")]
    pub(crate) keys: PathBuf,

    /// Folder of the role's own: accepted requests wait here, so it must survive restarts
    #[arg(long, value_name = "DIR", env = "LETTERBOX_DATA")]
    pub(crate) data: PathBuf,

    /// Bytes of disk that accepted requests may take while database and broker are away
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = spool::REQUEST_LIMIT_BYTES,
        env = "LETTERBOX_SPOOL_LIMIT"
    )]
    pub(crate) spool_limit: u64,

    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    #[command(flatten)]
    pub(crate) broker: BrokerOptions,
    #[command(flatten)]
    pub(crate) stop: StopOption,
    #[command(flatten)]
    pub(crate) log: LogOption,
}

/// Options of `letterbox unsubscribe`.
#[derive(Args)]
pub(crate) struct UnsubscribeOptions {
    /// Address and port of the pages behind unsubscribe links
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8082",
        env = "LETTERBOX_LISTEN"
    )]
    pub(crate) listen: SocketAddr,

    #[command(flatten)]
    pub(crate) admin: AdminOption,

    /// Folder with the role's keys, as `letterbox keys new` or `keys split` makes it
    #[arg(long, value_name = "DIR", env = "LETTERBOX_KEYS")]
    pub(crate) keys: PathBuf,

    /// Folder of the role's own: accepted unsubscribes wait here, so it must survive restarts
    #[arg(long, value_name = "DIR", env = "LETTERBOX_DATA")]
    pub(crate) data: PathBuf,

    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    #[command(flatten)]
    pub(crate) broker: BrokerOptions,
    #[command(flatten)]
    pub(crate) stop: StopOption,
    #[command(flatten)]
    pub(crate) log: LogOption,
}

/// Options of `letterbox deliver`.
#[derive(Args)]
pub(crate) struct DeliverOptions {
    #[command(flatten)]
    pub(crate) admin: AdminOption,

    #[arg(
        long,
        value_name = "URL",
        env = "LETTERBOX_BASE_URL",
        help = "How residents reach the installation, https://news.example.gov.uk say: links in mails start with it"
    )]
    pub(crate) base_url: String,

    /// Folder with the role's keys, as `letterbox keys new` or `keys split` makes it
    #[arg(long, value_name = "DIR", env = "LETTERBOX_KEYS")]
    pub(crate) keys: PathBuf,

    /// Folder of this worker's own: its id and its journal, so it must survive restarts
    #[arg(long, value_name = "DIR", env = "LETTERBOX_DATA")]
    pub(crate) data: PathBuf,

    #[command(flatten)]
    pub(crate) relay: RelayOptions,

    /// To try it out, in place of --smtp: each mail becomes a file in DIR and none leaves the machine
    #[arg(long, value_name = "DIR", conflicts_with = "smtp")]
    pub(crate) caught_mail: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) limits: LimitOptions,

    /// How long a stop waits for what is on the wire, at most. A relay may take ten minutes over its
    /// last reply; what is cut short is in doubt. The supervisor must be more patient: `TimeoutStopSec` of
    /// systemd, `terminationGracePeriodSeconds` of Kubernetes
    #[arg(
        long,
        value_name = "SECONDS",
        env = "LETTERBOX_GRACE",
        default_value_t = 120,
        value_parser = clap::value_parser!(u16).range(1..=660)
    )]
    pub(crate) grace: u16,

    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    #[command(flatten)]
    pub(crate) broker: BrokerOptions,
    #[command(flatten)]
    pub(crate) log: LogOption,
}

/// Options of `letterbox migrate`.
#[derive(Args)]
pub(crate) struct MigrateOptions {
    /// Folder with any role's keys: only the body id in it is read
    #[arg(long, value_name = "DIR", env = "LETTERBOX_KEYS")]
    pub(crate) keys: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
}

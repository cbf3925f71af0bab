//! The command line of `letterbox up`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::limits::LimitOptions;
use super::options::{LogOption, RelayOptions};
use super::target::DataOption;

/// Options of `letterbox up`.
#[derive(Args)]
pub(crate) struct UpOptions {
    #[command(flatten)]
    pub(crate) data: DataOption,

    /// Address and port for pages and links; not loopback only together with --smtp and --base-url
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        env = "LETTERBOX_LISTEN"
    )]
    pub(crate) listen: SocketAddr,

    #[arg(
        long,
        value_name = "URL",
        env = "LETTERBOX_BASE_URL",
        help = "How residents reach this installation: links in mails start with it [default: http://LISTEN]"
    )]
    pub(crate) base_url: Option<String>,

    #[command(flatten)]
    pub(crate) relay: RelayOptions,

    /// Do not set up the example body and newsletter on the first start without --smtp
    #[arg(long)]
    pub(crate) no_example: bool,

    #[arg(
        long,
        value_name = "DIR",
        env = "LETTERBOX_POSTGRES_BIN",
        help = "Folder with initdb, pg_ctl and postgres (15 or newer) [default: looked for, else downloaded]"
    )]
    pub(crate) postgres_bin: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) log: LogOption,

    /// Bytes of disk that accepted requests may take while the database is away
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, hide = true, env = "LETTERBOX_SPOOL_LIMIT")]
    pub(crate) spool_limit: u64,

    #[command(flatten)]
    pub(crate) limits: LimitOptions,
}

//! Options that several commands share: one spelling, one environment variable, one meaning.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// What to log.
#[derive(Args, Clone)]
pub(crate) struct LogOption {
    /// What to log to standard error: error, warn, info, debug, trace, or rules like info,store=debug
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "LETTERBOX_LOG"
    )]
    pub(crate) log: String,
}

/// Where PostgreSQL is. The values of hidden options come from the environment only.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Database")]
pub(crate) struct DatabaseOptions {
    #[arg(
        long,
        value_name = "URL",
        env = "LETTERBOX_DATABASE",
        hide_env_values = true,
        help = "PostgreSQL: postgres://USER@HOST[:PORT][,HOST…]/NAME[?sslmode=verify-full|disable&sslrootcert=FILE], or postgres://USER@/NAME?host=/SOCKET/FOLDER",
        long_help = "PostgreSQL: postgres://USER@HOST[:PORT][,HOST…]/NAME, or postgres://USER@/NAME?host=/SOCKET/FOLDER for a unix socket. Of several hosts the one that takes writes is used, also after a failover. Behind ? stand sslmode=verify-full (the default but for sockets and loopback) or sslmode=disable, and sslrootcert=FILE for an authority of your own"
    )]
    pub(crate) database: Option<String>,

    /// File with that URL, readable by its owner only
    #[arg(
        long,
        value_name = "FILE",
        env = "LETTERBOX_DATABASE_FILE",
        conflicts_with = "database"
    )]
    pub(crate) database_file: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        env = "LETTERBOX_DATABASE_PASSWORD_FILE",
        help = "File with the database password, readable by its owner only; or set LETTERBOX_DATABASE_PASSWORD"
    )]
    pub(crate) database_password_file: Option<PathBuf>,

    /// Only from the environment: refused on the command line, where every user could read it
    #[arg(
        long,
        env = "LETTERBOX_DATABASE_PASSWORD",
        hide = true,
        hide_env_values = true
    )]
    pub(crate) database_password: Option<String>,
}

/// Where RabbitMQ is; without it, requests go by the database.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Broker")]
pub(crate) struct BrokerOptions {
    #[arg(
        long,
        value_name = "URL",
        env = "LETTERBOX_BROKER",
        hide_env_values = true,
        value_delimiter = ',',
        help = "RabbitMQ: amqps://USER@HOST[:PORT][/VHOST]; several with a comma between, the first that answers is used [default: none, requests go by the database]"
    )]
    pub(crate) broker: Vec<String>,

    /// File with that URL, readable by its owner only
    #[arg(
        long,
        value_name = "FILE",
        env = "LETTERBOX_BROKER_FILE",
        conflicts_with = "broker"
    )]
    pub(crate) broker_file: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        env = "LETTERBOX_BROKER_PASSWORD_FILE",
        help = "File with the broker password, readable by its owner only; or set LETTERBOX_BROKER_PASSWORD"
    )]
    pub(crate) broker_password_file: Option<PathBuf>,

    /// Only from the environment: refused on the command line, where every user could read it
    #[arg(
        long,
        env = "LETTERBOX_BROKER_PASSWORD",
        hide = true,
        hide_env_values = true
    )]
    pub(crate) broker_password: Option<String>,

    /// File with certificates (PEM) that the broker's may be signed by, besides the system's
    #[arg(long, value_name = "FILE", env = "LETTERBOX_BROKER_CA_FILE")]
    pub(crate) broker_ca_file: Option<PathBuf>,

    /// Allow amqp:// without TLS to another machine, on a network that you trust
    #[arg(long, env = "LETTERBOX_BROKER_PLAIN_TEXT")]
    pub(crate) broker_plain_text: bool,
}

/// The mail relay.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Mail relay")]
pub(crate) struct RelayOptions {
    #[arg(
        long,
        value_name = "URL",
        env = "LETTERBOX_SMTP",
        help = "The mail relay: smtps://host[:465], or smtp://host[:587] with STARTTLS (plain text to loopback only)"
    )]
    pub(crate) smtp: Option<String>,

    /// User name at the relay
    #[arg(
        long,
        value_name = "NAME",
        env = "LETTERBOX_SMTP_USER",
        conflicts_with = "smtp_user_file"
    )]
    pub(crate) smtp_user: Option<String>,

    /// File with the user name at the relay
    #[arg(long, value_name = "FILE", env = "LETTERBOX_SMTP_USER_FILE")]
    pub(crate) smtp_user_file: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        env = "LETTERBOX_SMTP_PASSWORD_FILE",
        help = "File with the password at the relay, readable by its owner only; or set LETTERBOX_SMTP_PASSWORD"
    )]
    pub(crate) smtp_password_file: Option<PathBuf>,

    /// Only from the environment: refused on the command line, where every user could read it
    #[arg(
        long,
        env = "LETTERBOX_SMTP_PASSWORD",
        hide = true,
        hide_env_values = true
    )]
    pub(crate) smtp_password: Option<String>,

    /// File with certificates (PEM) that the relay's may be signed by, besides the system's
    #[arg(long, value_name = "FILE", env = "LETTERBOX_SMTP_CA_FILE")]
    pub(crate) smtp_ca_file: Option<PathBuf>,

    #[arg(
        long,
        value_name = "DOMAIN",
        env = "LETTERBOX_RETURN_PATH_DOMAIN",
        help = "Domain where bounces arrive, bounces.news.example.gov.uk say: each mail gets a return path of its own there [default: the newsletter's sender address]",
        long_help = "Domain where bounces arrive, bounces.news.example.gov.uk say: each mail gets a return path of its own there, b- and 56 letters and digits, signed and good for 30 days. All mail to the domain must reach whoever looks at bounces, and its SPF record must allow the relay. Without it, bounces go to the newsletter's sender address"
    )]
    pub(crate) return_path_domain: Option<String>,

    /// Connections to the relay at the same time, 1 to 50
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=50), env = "LETTERBOX_CONNECTIONS")]
    pub(crate) connections: u16,
}

/// The operator's door of a role.
#[derive(Args, Clone)]
pub(crate) struct AdminOption {
    /// Address and port for /metrics, /livez and /readyz; keep it away from the public
    #[arg(long, value_name = "ADDRESS:PORT", env = "LETTERBOX_ADMIN_LISTEN")]
    pub(crate) admin_listen: Option<SocketAddr>,
}

/// How a web role stops.
#[derive(Args, Clone)]
pub(crate) struct StopOption {
    /// Seconds from SIGTERM until the listener closes; /readyz says 503 meanwhile, for a load balancer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(0..=300),
        env = "LETTERBOX_STOP_NOTICE"
    )]
    stop_notice: u16,
}

impl StopOption {
    /// As a duration.
    pub(crate) fn notice(&self) -> Duration {
        Duration::from_secs(u64::from(self.stop_notice))
    }
}

//! The command line. What `--help` prints is the manual.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Email newsletters that a public body can trust with a resident's address.
///
/// Start with `letterbox up`: it runs everything in one process and prints what to try next. The
/// other commands act on that running installation; give them the same --data folder.
#[derive(Parser)]
#[command(
    name = "letterbox",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which installation a command acts on.
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
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, with a private PostgreSQL: for trying it and for small bodies
    ///
    /// One process holds every key here. That is weaker than separate roles, where the part that
    /// takes sign-ups cannot read a single address. Use it to try Letterbox, or where you accept that.
    ///
    /// Without --smtp no mail leaves the machine: each message is a file in DIR/caught-mail, and
    /// /caught-mail shows them. Started as root, it creates and becomes the system user `letterbox`.
    /// Ctrl-C stops everything; the next start goes on with the same data.
    Up(Box<UpOptions>),
    /// Say who sends: name, data protection officer, regulator, colour, reply-to
    #[command(subcommand)]
    Body(BodyCommand),
    /// Add, change and list newsletters
    #[command(subcommand)]
    Newsletter(NewsletterCommand),
    /// Send an issue, and see how far it is
    #[command(subcommand)]
    Issue(IssueCommand),
    /// Look at the keys of an installation
    #[command(subcommand)]
    Keys(KeysCommand),
}

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

    /// Connections to the relay at the same time, 1 to 50
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=50), env = "LETTERBOX_CONNECTIONS")]
    pub(crate) connections: u16,

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

    /// What to log to standard error: error, warn, info, debug, trace, or rules like info,store=debug
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "LETTERBOX_LOG"
    )]
    pub(crate) log: String,

    /// Bytes of disk that accepted requests may take while the database is away
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, hide = true, env = "LETTERBOX_SPOOL_LIMIT")]
    pub(crate) spool_limit: u64,
}

#[derive(Subcommand)]
pub(crate) enum BodyCommand {
    /// Take the body's particulars from a file; every notice is written anew from them
    ///
    /// DIR/examples/body.toml is a commented file to start from. Without these particulars no
    /// newsletter opens.
    Set {
        /// The file (TOML)
        file: PathBuf,
        #[command(flatten)]
        data: DataOption,
    },
    /// Print the body's particulars
    Show {
        #[command(flatten)]
        data: DataOption,
    },
}

#[derive(Subcommand)]
pub(crate) enum NewsletterCommand {
    /// Add a newsletter from a file, or change the one with the same slug
    ///
    /// DIR/examples/newsletter.toml is a commented file to start from.
    Add {
        /// The file (TOML)
        file: PathBuf,
        #[command(flatten)]
        data: DataOption,
    },
    /// List the newsletters
    List {
        #[command(flatten)]
        data: DataOption,
    },
}

#[derive(Subcommand)]
pub(crate) enum IssueCommand {
    /// Send an issue to everybody who gets the newsletter, and watch it go
    ///
    /// The file is Markdown. Between two lines of --- at its top stand `subject:` and `preheader:`.
    /// What the lint finds is refused before anything is sent. Ctrl-C ends the watching, not the sending.
    Send {
        /// The issue in the newsletter's first language
        file: PathBuf,
        /// The newsletter's slug
        #[arg(long, value_name = "SLUG")]
        newsletter: String,
        /// The same issue in Welsh, for a newsletter in both languages
        #[arg(long, value_name = "FILE")]
        welsh: Option<PathBuf>,
        /// Hand it over and do not wait
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        data: DataOption,
    },
    /// Show how far an issue is, or all of them
    Status {
        /// The issue's number
        number: Option<u32>,
        #[command(flatten)]
        data: DataOption,
    },
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Print the body id and the key generations; never a key
    Show {
        #[command(flatten)]
        data: DataOption,
    },
}

//! Where the database is, who we are to it, and how it shows that it is the right one.
//!
//! ```text
//! postgres://USER@HOST1[:PORT],HOST2[:PORT]/NAME[?sslmode=disable|verify-full][&sslrootcert=FILE]
//! postgres://USER@/NAME?host=/folder/of/the/socket[&port=PORT]
//! ```
//! Without `sslmode` this machine is reached in plain text and any other over TLS, its name checked.
//! `require` and the like do not exist here: they encrypt without asking who answers.

use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use zeroize::Zeroizing;

const DEFAULT_PORT: u16 = 5432;

/// Where PostgreSQL listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The folder of its unix socket.
    Socket(PathBuf),
    /// A name or an IP address.
    Name(String),
}

impl Host {
    /// Where a PostgreSQL listens that nobody moved.
    pub(crate) fn standard() -> (Self, u16) {
        (Self::Name("localhost".to_owned()), DEFAULT_PORT)
    }

    /// Whether what is said to it stays on this machine.
    fn is_here(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Name(name) => {
                name == "localhost"
                    || name
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

/// Whether the way there is encrypted. A unix socket never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain text: only for this machine or a network that nobody else is on.
    Off,
    /// TLS, and the server's certificate must be valid for the name that we call it by.
    VerifyFull {
        /// A PEM file of certificate authorities that are trusted beside the public ones.
        authorities: Option<PathBuf>,
    },
}

/// How to reach the database. Its `Debug` form hides the password.
#[derive(Clone)]
pub struct ConnectSettings {
    /// Where it listens, with the port, which is also part of a unix socket's name. Of several
    /// servers the one that takes writes is found and kept to.
    pub hosts: Vec<(Host, u16)>,
    /// The database role.
    pub user: String,
    /// The role's password, if it needs one.
    pub password: Option<Zeroizing<String>>,
    /// The database's name.
    pub database: String,
    /// At most this many connections at once.
    pub max_connections: u32,
    /// Whether the way is encrypted.
    pub tls: Tls,
}

impl std::fmt::Debug for ConnectSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectSettings")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("max_connections", &self.max_connections)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a database address, and what to write instead. Never holds the address itself:
/// it may have a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectProblem {
    /// Not of the form.
    #[error(
        "the database address is not of the form postgres://USER@HOST[:PORT]/NAME: it begins with postgres:// and holds no spaces"
    )]
    Form,
    /// There is no user in it.
    #[error("the database address names no user: write postgres://USER@HOST/NAME")]
    NoUser,
    /// There is no database in it.
    #[error("the database address names no database: write postgres://USER@HOST/NAME")]
    NoDatabase,
    /// There is no host in it.
    #[error(
        "the database address names no host: write postgres://USER@HOST/NAME, or ?host=/folder for a unix socket"
    )]
    NoHost,
    /// A port that is none.
    #[error("a port in the database address is not a number from 1 to 65535")]
    Port,
    /// A part with a percent sign that does not decode.
    #[error("the database address is not percent-encoded UTF-8: write % itself as %25")]
    Encoding,
    /// `host=` that is no folder, or beside other hosts.
    #[error(
        "host= in the database address is for the folder of a unix socket, written from / on, with no host before /NAME"
    )]
    SocketFolder,
    /// A password both in the address and beside it.
    #[error(
        "the database password is given twice, in the address and beside it: take it out of the address"
    )]
    TwoPasswords,
    /// An option that is not known.
    #[error(
        "the database address has an option that is not known: {0} (known: host, port, sslmode, sslrootcert)"
    )]
    UnknownOption(String),
    /// An `sslmode` that checks too little.
    #[error(
        "sslmode in the database address must be disable or verify-full: the others do not check who answers"
    )]
    SslMode,
    /// `sslrootcert` without TLS.
    #[error(
        "sslrootcert in the database address needs sslmode=verify-full, and a host that is no unix socket"
    )]
    AuthoritiesUnused,
    /// The file of authorities cannot be used.
    #[error("no certificate can be read from {}, which sslrootcert in the database address names", .0.display())]
    Authorities(PathBuf),
}

impl ConnectSettings {
    /// Reads an address, whose form is at the top of this file. The password may stand in it where
    /// nobody else sees it, in a file or the environment; elsewhere it comes beside it.
    ///
    /// # Errors
    /// [`ConnectProblem`]: what to write instead.
    pub fn parse(
        address: &str,
        password: Option<Zeroizing<String>>,
        max_connections: u32,
    ) -> Result<Self, ConnectProblem> {
        let rest = address
            .strip_prefix("postgres://")
            .or_else(|| address.strip_prefix("postgresql://"))
            .filter(|rest| !rest.contains(|c: char| c.is_whitespace() || c.is_control()))
            .ok_or(ConnectProblem::Form)?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, database) = rest.split_once('/').ok_or(ConnectProblem::NoDatabase)?;
        let (login, hosts) = server.rsplit_once('@').ok_or(ConnectProblem::NoUser)?;
        let (user, written) = match login.split_once(':') {
            Some((user, password)) => (user, Some(Zeroizing::new(decoded(password)?))),
            None => (login, None),
        };
        let (user, database) = (decoded(user)?, decoded(database)?);
        if user.is_empty() {
            return Err(ConnectProblem::NoUser);
        }
        if database.is_empty() {
            return Err(ConnectProblem::NoDatabase);
        }
        let options = Options::read(options)?;
        let hosts = options.hosts(hosts)?;
        Ok(Self {
            tls: options.tls(&hosts)?,
            hosts,
            user,
            password: match (password, written) {
                (Some(_), Some(_)) => return Err(ConnectProblem::TwoPasswords),
                (given, written) => given.or(written),
            },
            database,
            max_connections,
        })
    }

    /// What sqlx needs to know for one of the hosts.
    pub(crate) fn options(&self, (host, port): &(Host, u16)) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(*port)
            .username(&self.user)
            .database(&self.database)
            .application_name("letterbox")
            // the whole set is given: nothing comes from the environment's PGSSLMODE
            .ssl_mode(PgSslMode::Disable)
            .options([
                ("statement_timeout", "30s"),
                // a lock held for longer is a stuck transaction: give way and try again
                ("lock_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "60s"),
                // ends transactions whose client vanished without a word
                ("tcp_user_timeout", "30s"),
                // A plan is made while a table is empty and kept while it fills: 500 requests a batch
                // looked up by scanning were 1.7 s instead of 5 ms at 60,000 rows. All tables have
                // the indexes that our statements need.
                ("enable_seqscan", "off"),
                // the penalty above would have short statements compiled
                ("jit", "off"),
            ]);
        options = match host {
            Host::Socket(folder) => options.socket(folder),
            Host::Name(name) => match &self.tls {
                Tls::Off => options.host(name),
                Tls::VerifyFull { authorities } => {
                    let options = options.host(name).ssl_mode(PgSslMode::VerifyFull);
                    match authorities {
                        Some(file) => options.ssl_root_cert(file),
                        None => options,
                    }
                }
            },
        };
        match &self.password {
            Some(password) => options.password(password),
            None => options,
        }
    }
}

/// What stands behind the question mark.
#[derive(Debug, Default)]
struct Options {
    folder: Option<PathBuf>,
    port: Option<u16>,
    /// Whether TLS was asked for or ruled out.
    tls: Option<bool>,
    authorities: Option<PathBuf>,
}

impl Options {
    fn read(text: &str) -> Result<Self, ConnectProblem> {
        let mut options = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match name {
                "host" if value.starts_with('/') => options.folder = Some(value.into()),
                "host" => return Err(ConnectProblem::SocketFolder),
                "port" => options.port = Some(port(&value)?),
                "sslmode" => {
                    options.tls = Some(match value.as_str() {
                        "disable" => false,
                        "verify-full" => true,
                        _ => return Err(ConnectProblem::SslMode),
                    });
                }
                "sslrootcert" => options.authorities = Some(value.into()),
                other => {
                    let shown = other.chars().filter(char::is_ascii_alphanumeric).take(30);
                    return Err(ConnectProblem::UnknownOption(shown.collect()));
                }
            }
        }
        Ok(options)
    }

    fn hosts(&self, list: &str) -> Result<Vec<(Host, u16)>, ConnectProblem> {
        let default = self.port.unwrap_or(DEFAULT_PORT);
        match &self.folder {
            Some(folder) if list.is_empty() => Ok(vec![(Host::Socket(folder.clone()), default)]),
            Some(_) => Err(ConnectProblem::SocketFolder),
            None => list.split(',').map(|one| host(one, default)).collect(),
        }
    }

    fn tls(&self, hosts: &[(Host, u16)]) -> Result<Tls, ConnectProblem> {
        let over_network = hosts.iter().any(|(host, _)| matches!(host, Host::Name(_)));
        let elsewhere = hosts.iter().any(|(host, _)| !host.is_here());
        if over_network && self.tls.unwrap_or(elsewhere) {
            if let Some(file) = &self.authorities {
                check_authorities(file)?;
            }
            Ok(Tls::VerifyFull {
                authorities: self.authorities.clone(),
            })
        } else if self.authorities.is_some() {
            Err(ConnectProblem::AuthoritiesUnused)
        } else {
            Ok(Tls::Off)
        }
    }
}

fn host(text: &str, default_port: u16) -> Result<(Host, u16), ConnectProblem> {
    // an IPv6 address stands in brackets, since it has colons of its own
    let (name, rest) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or(ConnectProblem::Form)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if name.is_empty() {
        return Err(ConnectProblem::NoHost);
    }
    let port = match rest.strip_prefix(':') {
        Some(number) => port(number)?,
        None if rest.is_empty() => default_port,
        None => return Err(ConnectProblem::Form),
    };
    Ok((Host::Name(decoded(name)?), port))
}

fn port(text: &str) -> Result<u16, ConnectProblem> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(ConnectProblem::Port),
    }
}

/// Read at the start, so that a wrong file is told then and not at the first connection.
fn check_authorities(file: &Path) -> Result<(), ConnectProblem> {
    match std::fs::read_to_string(file) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => Ok(()),
        _ => Err(ConnectProblem::Authorities(file.to_owned())),
    }
}

fn decoded(text: &str) -> Result<String, ConnectProblem> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ConnectProblem::Encoding)
}

//! Broker addresses as an operator writes them: parsed by ourselves, because lapin takes a host that
//! is an IPv6 address for `localhost`, a forgotten password for `guest`, and repeats what it cannot read.

use std::net::IpAddr;
use std::path::PathBuf;

use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use zeroize::Zeroizing;

use crate::tls;

/// Seconds between heartbeats. A peer that fell silent is noticed after two of them, where RabbitMQ's
/// own default would take two minutes.
const HEARTBEAT: u16 = 10;

/// The largest frame. lapin keeps 32 of them for each direction, which at RabbitMQ's 128 KiB would be
/// eight megabytes a connection. RabbitMQ 4.1 refuses less than 8 KiB.
const FRAME_MAX: u32 = 32 << 10;

/// AMQP has one byte for the length of its name, and lapin panics at a longer one.
const MAX_VIRTUAL_HOST: usize = 255;

/// Where the broker is and how to log in.
#[derive(Clone)]
pub struct BrokerSettings {
    addresses: Vec<Address>,
    tls: Option<RustlsConnector>,
}

/// One node of the broker.
#[derive(Clone)]
pub(crate) struct Address {
    encrypted: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    user: String,
    password: Zeroizing<String>,
    virtual_host: String,
}

/// What is wrong with the settings, in words that name the remedy and never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsProblem {
    /// No address was given.
    #[error("no broker address was given: write one, such as amqps://letterbox@broker.example")]
    NoAddress,
    /// It does not look like an address. The number counts from 1.
    #[error("broker address {0} cannot be read: write amqps://USER@HOST[:PORT][/VIRTUAL-HOST]")]
    NotAnAddress(usize),
    /// It has settings after a question mark.
    #[error("broker address {0} has settings after `?`: leave them out, Letterbox sets its own")]
    WithQuery(usize),
    /// It names no user.
    #[error("broker address {0} names no user: write amqps://USER@{1}")]
    NoUser(usize, String),
    /// There is no password for it.
    #[error(
        "there is no password for the broker at {0}: name a file of it with --broker-password-file"
    )]
    NoPassword(String),
    /// A password stands in the address and another beside it.
    #[error("the broker at {0} has two passwords: take the one in its address out")]
    TwoPasswords(String),
    /// It would send the password and everything else over a network in plain text.
    #[error(
        "the broker at {0} would be spoken to in plain text: write amqps://, or allow it with --broker-plain-text"
    )]
    PlainText(String),
    /// The file of certificate authorities gives none.
    #[error("{} holds no certificate that can be read: name a PEM file of certificate authorities with --broker-ca-file", .0.display())]
    NoAuthoritiesInFile(PathBuf),
    /// The system has no certificate authorities.
    #[error(
        "this system has no certificate authorities: install ca-certificates, or name a PEM file with --broker-ca-file"
    )]
    NoAuthorities,
    /// Certificate authorities were given, but nothing is encrypted.
    #[error("--broker-ca-file is given, but no broker address begins with amqps://")]
    AuthoritiesUnused,
}

impl BrokerSettings {
    /// Reads `amqps://USER@HOST[:PORT][/VIRTUAL-HOST]` addresses, each also a comma-separated list of
    /// them, in the order in which they are tried. The password is for those that carry none;
    /// `authorities` is a PEM file of certificates to check brokers against, instead of the system's.
    /// `amqp://` is taken for this machine, and for others only with `allow_plain_text`.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the password that was read is wiped here, when it was copied to each address"
    )]
    pub fn parse(
        addresses: &[String],
        password: Option<Zeroizing<String>>,
        authorities: Option<PathBuf>,
        allow_plain_text: bool,
    ) -> Result<Self, SettingsProblem> {
        let addresses = addresses
            .iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .enumerate()
            .map(|(place, text)| Address::parse(place + 1, text, password.as_deref()))
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err(SettingsProblem::NoAddress);
        }
        if let Some(plain) = addresses
            .iter()
            .find(|address| !address.encrypted && !address.is_this_machine())
            && !allow_plain_text
        {
            return Err(SettingsProblem::PlainText(plain.described()));
        }
        let encrypted = addresses.iter().any(|address| address.encrypted);
        let tls = match (encrypted, authorities) {
            (true, authorities) => Some(tls::connector(authorities)?),
            (false, Some(_)) => return Err(SettingsProblem::AuthoritiesUnused),
            (false, None) => None,
        };
        Ok(Self { addresses, tls })
    }

    /// The hosts and ports, for a log line.
    #[must_use]
    pub fn described(&self) -> String {
        let nodes: Vec<String> = self.addresses.iter().map(Address::described).collect();
        nodes.join(", ")
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    pub(crate) fn tls(&self) -> Option<&RustlsConnector> {
        self.tls.as_ref()
    }
}

impl std::fmt::Debug for BrokerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BrokerSettings({})", self.described())
    }
}

impl Address {
    fn parse(place: usize, text: &str, password: Option<&String>) -> Result<Self, SettingsProblem> {
        let unreadable = || SettingsProblem::NotAnAddress(place);
        let (scheme, rest) = text.split_once("://").ok_or_else(unreadable)?;
        let encrypted = match scheme {
            "amqps" => true,
            "amqp" => false,
            _ => return Err(unreadable()),
        };
        if rest.contains('?') {
            return Err(SettingsProblem::WithQuery(place));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, node) = match authority.rsplit_once('@') {
            Some((login, node)) => (Some(login), node),
            None => (None, authority),
        };
        let (host, port) = host_and_port(node).ok_or_else(unreadable)?;
        let port = port.unwrap_or(if encrypted { 5671 } else { 5672 });
        let described = format!("{host}:{port}");
        let (user, own_password) = match login {
            Some(login) => match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            },
            None => ("", None),
        };
        if user.is_empty() {
            return Err(SettingsProblem::NoUser(place, node.to_owned()));
        }
        let password = match (own_password, password) {
            (Some(own), None) => Zeroizing::new(decoded(own).ok_or_else(unreadable)?),
            (None, Some(given)) => Zeroizing::new(given.clone()),
            (None, None) => return Err(SettingsProblem::NoPassword(described)),
            (Some(_), Some(_)) => return Err(SettingsProblem::TwoPasswords(described)),
        };
        // By the letter `amqp://host/` is the virtual host with no name; nobody means that one.
        let virtual_host = match decoded(path).ok_or_else(unreadable)? {
            nameless if nameless.is_empty() => "/".to_owned(),
            named => named,
        };
        if virtual_host.len() > MAX_VIRTUAL_HOST {
            return Err(unreadable());
        }
        Ok(Self {
            encrypted,
            host,
            port,
            user: decoded(user).ok_or_else(unreadable)?,
            password,
            virtual_host,
        })
    }

    pub(crate) const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    pub(crate) fn described(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn is_this_machine(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }

    /// The same for lapin, which keeps the password as a plain string for as long as it is connected.
    pub(crate) fn to_uri(&self) -> AMQPUri {
        AMQPUri {
            scheme: if self.encrypted {
                AMQPScheme::AMQPS
            } else {
                AMQPScheme::AMQP
            },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.user.clone(),
                    password: self.password.to_string(),
                },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.virtual_host.clone(),
            query: AMQPQueryString {
                heartbeat: Some(HEARTBEAT),
                frame_max: Some(FRAME_MAX),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// `host`, `host:port`, `[::1]` and `[::1]:port`; the brackets are taken off.
fn host_and_port(node: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match node.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match after {
                "" => (host, None),
                after => (host, Some(after.strip_prefix(':')?)),
            }
        }
        None => match node.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (node, None),
        },
    };
    let may_stand = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if host.is_empty() || !host.chars().all(may_stand) {
        return None;
    }
    let port = match port {
        Some(text) => Some(text.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    Some((host.to_owned(), port))
}

fn decoded(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.ok().map(std::borrow::Cow::into_owned)
}

//! How to reach a relay.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all: only to a relay on this machine.
    Plain,
    /// By `STARTTLS`, which the relay must offer (`privacy.md` EML-51).
    StartTls,
    /// By TLS from the first byte (`smtps://`).
    Implicit,
}

/// A user name and password for the relay.
#[derive(Clone)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A relay, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// How the connection is protected.
    pub security: Security,
    /// The relay's name or IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who we are to it.
    pub credentials: Option<Credentials>,
    /// The name we greet with, as in `news.example.gov.uk`.
    pub hello_name: String,
    /// Certificates (PEM) to trust instead of the system's.
    pub authorities: Option<PathBuf>,
    /// How long each stage may take.
    pub patience: Patience,
}

/// How long each stage may take (`reliability.md` 6.3, relay column).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// TCP.
    pub connect: Duration,
    /// Until the banner.
    pub banner: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// Each command before the text.
    pub command: Duration,
    /// Each write of the text.
    pub write: Duration,
    /// The reply after the dot: a shorter wait would only make doubt.
    pub after_dot: Duration,
    /// `RSET` and `QUIT`.
    pub goodbye: Duration,
}

/// Settings that cannot be right; each message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not `smtp://` or `smtps://`.
    #[error("a relay is written smtp://host:port or smtps://host:port")]
    NotARelay,
}

impl SmtpSettings {
    /// Reads `smtp://host[:port]` or `smtps://host[:port]`.
    ///
    /// # Errors
    /// [`SettingsError`], with what to write instead.
    pub fn parse(_url: &str, _credentials: Option<Credentials>) -> Result<Self, SettingsError> {
        Err(SettingsError::NotARelay)
    }
}

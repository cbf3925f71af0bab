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
    /// How many messages one connection carries: many relays stop at a hundred.
    pub messages: u32,
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
    /// `RSET`.
    pub reset: Duration,
    /// `QUIT`.
    pub quit: Duration,
    /// How long an open connection may be idle and still be used: less than any relay waits.
    pub idle: Duration,
}

const MESSAGES: u32 = 100;

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            banner: Duration::from_secs(30),
            tls: Duration::from_secs(15),
            command: Duration::from_mins(1),
            write: Duration::from_mins(1),
            after_dot: Duration::from_mins(10),
            reset: Duration::from_secs(5),
            quit: Duration::from_secs(2),
            idle: Duration::from_secs(20),
        }
    }
}

/// Settings that cannot be right; each message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not `smtp://` or `smtps://`.
    #[error("a mail relay is written smtp://host:port (STARTTLS) or smtps://host:port (TLS)")]
    NotARelay,
    /// No host, or none that can be one.
    #[error("the mail relay has no host name; write for example smtps://mail.example.gov.uk:465")]
    NoHost,
    /// A port that is none.
    #[error(
        "the mail relay's port is a number from 1 to 65535, as in smtp://mail.example.gov.uk:587"
    )]
    Port,
    /// More than host and port.
    #[error("a mail relay has no path; write only smtp://host:port or smtps://host:port")]
    Path,
    /// A user name or password in the address.
    #[error(
        "a password in the relay's address could be seen by everybody on this machine; write smtp://host:port only, put the user name into LETTERBOX_SMTP_USER and the password into a file named by LETTERBOX_SMTP_PASSWORD_FILE"
    )]
    CredentialsInAddress,
    /// A user name or password that no relay could take.
    #[error("the relay's user name and password may not be empty or contain a NUL")]
    Credentials,
    /// No message at all on a connection.
    #[error("a connection to the relay carries at least 1 message")]
    Messages,
    /// No protection, to another machine.
    #[error("mail to another machine must be protected: only a relay on this machine may be plain")]
    PlainToElsewhere,
    /// A name to greet with that is none.
    #[error("the name to greet the relay with is a host name, as in news.example.gov.uk")]
    HelloName,
    /// No certificate authority on this system.
    #[error(
        "this system trusts no certificate authority; install the package ca-certificates, or name a file of certificates"
    )]
    NoAuthorities,
    /// A file of certificates that cannot be read.
    #[error("{} holds no certificates in PEM form that can be read", .0.display())]
    UnreadableAuthorities(PathBuf),
}

impl SmtpSettings {
    /// Reads `smtp://host[:port]` (STARTTLS; port 587) or `smtps://host[:port]` (TLS; port 465).
    /// `smtp://` to this machine (127.0.0.0/8, `[::1]`, `localhost`) is plain. It greets with
    /// `localhost` until [`Self::hello_name`] is set.
    ///
    /// # Errors
    /// [`SettingsError`], with what to write instead.
    pub fn parse(url: &str, credentials: Option<Credentials>) -> Result<Self, SettingsError> {
        let (scheme, rest) = url
            .trim()
            .split_once("://")
            .ok_or(SettingsError::NotARelay)?;
        let is_implicit = match scheme.to_ascii_lowercase().as_str() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(SettingsError::NotARelay),
        };
        if rest.contains('@') {
            return Err(SettingsError::CredentialsInAddress);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(SettingsError::Path);
        }
        let (host, port) = host_and_port(rest)?;
        let (security, standard) = if is_implicit {
            (Security::Implicit, 465)
        } else if is_this_machine(host) {
            (Security::Plain, 25)
        } else {
            (Security::StartTls, 587)
        };
        let settings = Self {
            security,
            host: host.to_owned(),
            port: port.unwrap_or(standard),
            credentials,
            hello_name: "localhost".into(),
            authorities: None,
            patience: Patience::default(),
            messages: MESSAGES,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Looks at what may have been changed since.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let is_name = |text: &str, extra: &str| {
            !text.is_empty()
                && text.len() <= 253
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c) || extra.contains(c))
        };
        if !is_name(&self.host, ":") {
            return Err(SettingsError::NoHost);
        }
        if !is_name(&self.hello_name, "[]:") {
            return Err(SettingsError::HelloName);
        }
        if self.messages == 0 {
            return Err(SettingsError::Messages);
        }
        if self.security == Security::Plain && !is_this_machine(&self.host) {
            return Err(SettingsError::PlainToElsewhere);
        }
        if let Some(Credentials { user, password }) = &self.credentials
            && [user.as_str(), password.as_str()]
                .iter()
                .any(|text| text.is_empty() || text.contains('\0'))
        {
            return Err(SettingsError::Credentials);
        }
        Ok(())
    }
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), SettingsError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(SettingsError::NoHost)?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| SettingsError::NoHost)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(SettingsError::Port),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let number = |port: &str| match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(SettingsError::Port),
    };
    if host.is_empty() {
        return Err(SettingsError::NoHost);
    }
    Ok((host, port.map(number).transpose()?))
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials {
            user: user.into(),
            password: Zeroizing::new(password.into()),
        }
    }

    #[test]
    fn addresses_are_read() {
        use Security::{Implicit, Plain, StartTls};
        for (url, security, host, port) in [
            (
                "smtps://mail.example.gov.uk",
                Implicit,
                "mail.example.gov.uk",
                465,
            ),
            (
                "smtps://mail.example.gov.uk:2465/",
                Implicit,
                "mail.example.gov.uk",
                2465,
            ),
            (
                "smtp://mail.example.gov.uk",
                StartTls,
                "mail.example.gov.uk",
                587,
            ),
            ("SMTP://192.0.2.1:25", StartTls, "192.0.2.1", 25),
            ("smtp://127.0.0.1:2525", Plain, "127.0.0.1", 2525),
            ("smtp://127.1.2.3", Plain, "127.1.2.3", 25),
            ("smtp://[::1]:2525", Plain, "::1", 2525),
            ("smtp://localhost", Plain, "localhost", 25),
            ("smtps://localhost", Implicit, "localhost", 465),
            (
                "smtp://localhost.example.gov.uk",
                StartTls,
                "localhost.example.gov.uk",
                587,
            ),
        ] {
            let settings = SmtpSettings::parse(url, None).unwrap();
            assert_eq!(
                (settings.security, settings.host.as_str(), settings.port),
                (security, host, port),
                "{url}"
            );
        }
    }

    #[test]
    fn mistakes_are_told_with_the_remedy() {
        for (url, error) in [
            ("", SettingsError::NotARelay),
            ("mail.example.gov.uk:25", SettingsError::NotARelay),
            ("http://mail.example.gov.uk", SettingsError::NotARelay),
            ("smtp://", SettingsError::NoHost),
            ("smtp://:25", SettingsError::NoHost),
            ("smtp://a b", SettingsError::NoHost),
            ("smtp://[::1", SettingsError::NoHost),
            ("smtp://[x]", SettingsError::NoHost),
            ("smtp://mail\r\nRSET", SettingsError::NoHost),
            ("smtp://mail:0", SettingsError::Port),
            ("smtp://mail:99999", SettingsError::Port),
            ("smtp://mail:", SettingsError::Port),
            ("smtp://mail/inbox", SettingsError::Path),
            (
                "smtp://user:secret@mail",
                SettingsError::CredentialsInAddress,
            ),
        ] {
            assert_eq!(SmtpSettings::parse(url, None).unwrap_err(), error, "{url}");
        }
        let message = SettingsError::CredentialsInAddress.to_string();
        assert!(message.contains("LETTERBOX_SMTP_PASSWORD_FILE"));
        for wrong in [
            credentials("", "a"),
            credentials("a", ""),
            credentials("a", "b\0"),
        ] {
            let error = SmtpSettings::parse("smtp://mail", Some(wrong)).unwrap_err();
            assert_eq!(error, SettingsError::Credentials);
        }
    }

    #[test]
    fn plain_is_for_this_machine_only() {
        let mut settings = SmtpSettings::parse("smtp://localhost", None).unwrap();
        settings.host = "mail.example.gov.uk".into();
        assert_eq!(settings.check(), Err(SettingsError::PlainToElsewhere));
    }

    #[test]
    fn a_connection_carries_at_least_a_message() {
        let mut settings = SmtpSettings::parse("smtp://localhost", None).unwrap();
        settings.messages = 0;
        assert_eq!(settings.check(), Err(SettingsError::Messages));
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings =
            SmtpSettings::parse("smtp://mail", Some(credentials("me", "secret"))).unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
    }
}

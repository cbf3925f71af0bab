//! The settings of `letterbox up`, all checked before anything is created or bound.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use mail::{Credentials, SmtpSettings, Transport};
use zeroize::Zeroizing;

use super::postgres_programs;
use crate::cli::UpOptions;
use crate::failure::SettingsError;

/// Checked settings.
pub(crate) struct UpSettings {
    pub(crate) listen: SocketAddr,
    /// Without a slash at the end.
    pub(crate) base_url: String,
    pub(crate) relay: Option<Relay>,
    pub(crate) connections: u16,
    pub(crate) example: bool,
    pub(crate) postgres_bin: Option<PathBuf>,
    pub(crate) log: String,
    pub(crate) spool_limit: u64,
}

/// The mail relay, with its certificates read.
pub(crate) struct Relay {
    pub(crate) transport: Transport,
    /// Host and port, for people.
    pub(crate) described: String,
}

/// Reads secrets and checks every setting against the others.
///
/// Runs with the rights of whoever started the process, so that secret files need not be readable by
/// the user that it becomes.
pub(crate) fn check(options: UpOptions) -> Result<UpSettings, SettingsError> {
    let credentials = credentials(&options)?;
    let base_url = match &options.base_url {
        Some(url) => checked_base_url(url)?,
        None if options.listen.ip().is_loopback() => format!("http://{}", options.listen),
        None => {
            return Err(SettingsError::new(format!(
                "--listen {} is open to others: say with --base-url how residents reach it, https://news.example.gov.uk say",
                options.listen
            )));
        }
    };
    let relay = relay(&options, credentials, &base_url)?;
    if relay.is_none() && !options.listen.ip().is_loopback() {
        return Err(SettingsError::new(format!(
            "--listen {} is open to others and there is no --smtp: name a mail relay, or listen on 127.0.0.1 to try it with caught mail",
            options.listen
        )));
    }
    if options.listen.port() == 0 {
        return Err(SettingsError::new(
            "--listen needs a port other than 0, since links in mails name it: 127.0.0.1:8080 say",
        ));
    }
    if let Some(binaries) = &options.postgres_bin {
        postgres_programs::installation_of(binaries)?;
    }
    Ok(UpSettings {
        listen: options.listen,
        base_url,
        example: relay.is_none() && !options.no_example,
        relay,
        connections: options.connections,
        postgres_bin: options.postgres_bin,
        log: options.log,
        spool_limit: options.spool_limit,
    })
}

/// Refuses a password on the command line, where `ps` shows it to every user.
pub(crate) fn refuse_password_argument(source: Option<ValueSource>) -> Result<(), SettingsError> {
    if source == Some(ValueSource::CommandLine) {
        return Err(SettingsError::new(
            "--smtp-password is not taken from the command line, where every user could read it: use --smtp-password-file or set LETTERBOX_SMTP_PASSWORD",
        ));
    }
    Ok(())
}

fn credentials(options: &UpOptions) -> Result<Option<Credentials>, SettingsError> {
    let user = match (&options.smtp_user, &options.smtp_user_file) {
        (Some(user), _) => Some(user.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                SettingsError::new(format!("--smtp-user-file {}: {error}", path.display()))
            })?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => None,
    };
    let password = match (&options.smtp_password, &options.smtp_password_file) {
        (Some(_), Some(_)) => {
            return Err(SettingsError::new(
                "LETTERBOX_SMTP_PASSWORD and --smtp-password-file are both given: keep one",
            ));
        }
        (Some(password), None) => Some(Zeroizing::new(password.clone())),
        (None, Some(path)) => Some(secret_text(path)?),
        (None, None) => None,
    };
    match (user, password) {
        (Some(user), Some(password)) => {
            if options.smtp.is_none() {
                return Err(SettingsError::new(
                    "there is a user name for the relay and no relay: name it with --smtp",
                ));
            }
            Ok(Some(Credentials { user, password }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(SettingsError::new(
            "the relay's user name came without its password: use --smtp-password-file or set LETTERBOX_SMTP_PASSWORD",
        )),
        (None, Some(_)) => Err(SettingsError::new(
            "the relay's password came without its user name: use --smtp-user or --smtp-user-file",
        )),
    }
}

fn secret_text(path: &Path) -> Result<Zeroizing<String>, SettingsError> {
    let bytes = service_runtime::secret_file::read(path)
        .map_err(|error| SettingsError::new(format!("--smtp-password-file: {error}")))?;
    String::from_utf8(bytes.to_vec())
        .map(Zeroizing::new)
        .map_err(|_| {
            SettingsError::new(format!(
                "--smtp-password-file {} is not UTF-8 text",
                path.display()
            ))
        })
}

fn relay(
    options: &UpOptions,
    credentials: Option<Credentials>,
    base_url: &str,
) -> Result<Option<Relay>, SettingsError> {
    let Some(url) = &options.smtp else {
        return Ok(None);
    };
    let mut settings = SmtpSettings::parse(url, credentials)
        .map_err(|error| SettingsError::new(format!("--smtp {error}")))?;
    settings.authorities.clone_from(&options.smtp_ca_file);
    // A relay may look the name up; residents reach us by it, so it exists.
    if let Some(host) = base_url
        .parse::<axum::http::Uri>()
        .ok()
        .as_ref()
        .and_then(axum::http::Uri::host)
        && host.contains('.')
        && !host.starts_with(|first: char| first.is_ascii_digit() || first == '[')
    {
        host.clone_into(&mut settings.hello_name);
    }
    let described = format!("{} port {}", settings.host, settings.port);
    let transport = Transport::smtp(settings).map_err(|error| {
        let remedy = match &options.smtp_ca_file {
            Some(path) => format!(
                "; --smtp-ca-file {} should hold certificates (PEM)",
                path.display()
            ),
            None => String::new(),
        };
        SettingsError::new(format!("--smtp {url}: {error}{remedy}"))
    })?;
    Ok(Some(Relay {
        transport,
        described,
    }))
}

/// `https://host[:port][/path]`, or `http` for a loopback host: RFC 8058 allows https only.
fn checked_base_url(url: &str) -> Result<String, SettingsError> {
    let refuse = |why: &str| {
        SettingsError::new(format!(
            "--base-url {url} {why}: write it like https://news.example.gov.uk"
        ))
    };
    let parsed: axum::http::Uri = url.parse().map_err(|_| refuse("is no web address"))?;
    let host = parsed.host().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match parsed.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback => {}
        Some("http") => {
            return Err(refuse(
                "must start with https, since one-click unsubscribe works over nothing else",
            ));
        }
        _ => return Err(refuse("must start with https://")),
    }
    if host.is_empty() || url.contains(['?', '#', '@', ' ']) {
        return Err(refuse("should be a host and, if need be, a path"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn checked(words: &[&str]) -> Result<UpSettings, String> {
        let line = ["letterbox", "up"].iter().chain(words);
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let Command::Up(options) = cli.command else {
            panic!("not up")
        };
        check(*options).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_safe() {
        let settings = checked(&[]).unwrap();
        assert_eq!(settings.base_url, "http://127.0.0.1:8080");
        assert!(settings.listen.ip().is_loopback());
        assert!(settings.relay.is_none());
    }

    #[test]
    fn each_wrong_setting_is_named_with_its_remedy() {
        let cases: &[(&[&str], &str)] = &[
            (&["--listen", "0.0.0.0:80"], "--base-url"),
            (
                &["--listen", "0.0.0.0:80", "--base-url", "https://n.example"],
                "--smtp",
            ),
            (&["--listen", "127.0.0.1:0"], "port other than 0"),
            (&["--listen", "nonsense"], "--listen"),
            (&["--base-url", "http://news.example"], "https"),
            (&["--base-url", "news.example"], "https://"),
            (&["--base-url", "https://news.example/?a=b"], "host"),
            (&["--smtp", "ftp://relay.example"], "--smtp"),
            (&["--smtp-user", "x"], "password"),
            (
                &["--smtp", "smtps://relay.example", "--smtp-user", "x"],
                "password",
            ),
            (&["--connections", "0"], "--connections"),
            (&["--smtp-password-file", "/nowhere"], "/nowhere"),
            (
                &[
                    "--smtp",
                    "smtps://relay.example",
                    "--smtp-ca-file",
                    "/nowhere",
                ],
                "/nowhere",
            ),
        ];
        for (words, part) in cases {
            let refusal = checked(words)
                .err()
                .unwrap_or_else(|| panic!("{words:?} was taken"));
            assert!(refusal.contains(part), "{words:?}: {refusal}");
        }
    }

    #[test]
    fn a_base_url_loses_its_last_slash() {
        let settings = checked(&["--base-url", "https://news.example.gov.uk/"]).unwrap();
        assert_eq!(settings.base_url, "https://news.example.gov.uk");
    }
}

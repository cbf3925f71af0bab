//! The settings of `letterbox up`, all checked before anything is created or bound.

use std::net::SocketAddr;
use std::path::PathBuf;

use delivery::RouteLimits;

use super::postgres_programs;
use crate::cli::UpOptions;
use crate::failure::SettingsError;
use crate::settings::relay::{self, Relay};
use crate::settings::{base_url, limits, return_path};

/// Checked settings.
pub(crate) struct UpSettings {
    pub(crate) listen: SocketAddr,
    /// Without a slash at the end.
    pub(crate) base_url: String,
    pub(crate) relay: Option<Relay>,
    pub(crate) connections: u16,
    pub(crate) limits: RouteLimits,
    pub(crate) return_path_domain: Option<String>,
    pub(crate) example: bool,
    pub(crate) postgres_bin: Option<PathBuf>,
    pub(crate) log: String,
    pub(crate) spool_limit: u64,
}

/// Reads secrets and checks every setting against the others.
///
/// Runs with the rights of whoever started the process, so that secret files need not be readable by
/// the user that it becomes.
pub(crate) fn check(options: UpOptions) -> Result<UpSettings, SettingsError> {
    let base_url = match &options.base_url {
        Some(url) => base_url::check(url)?,
        None if options.listen.ip().is_loopback() => format!("http://{}", options.listen),
        None => {
            return Err(SettingsError::new(format!(
                "--listen {} is open to others: say with --base-url how residents reach it, https://news.example.gov.uk say",
                options.listen
            )));
        }
    };
    let relay = relay::check(&options.relay, &base_url)?;
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
        connections: options.relay.connections,
        limits: limits::of(&options.limits),
        return_path_domain: return_path::check(&options.relay)?,
        postgres_bin: options.postgres_bin,
        log: options.log.log,
        spool_limit: options.spool_limit,
    })
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
            (&["--return-path-domain", "a b"], "--return-path-domain"),
            (&["--rate", "0"], "--rate"),
            (&["--daily-cap", "1"], "--daily-cap"),
            (&["--warm-up", "tomorrow"], "2026-11-24"),
            (&["--warm-up", "2026-02-30"], "2026-11-24"),
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
}

//! The mail relay.

use mail::{Credentials, SmtpSettings, Transport};

use super::secret;
use crate::cli::RelayOptions;
use crate::failure::SettingsError;

/// The mail relay, with its certificates read.
pub(crate) struct Relay {
    pub(crate) transport: Transport,
    /// Host and port, for people.
    pub(crate) described: String,
}

/// Reads the relay's secrets and checks its settings against each other.
///
/// # Errors
/// The setting to change, and how.
pub(crate) fn check(
    options: &RelayOptions,
    base_url: &str,
) -> Result<Option<Relay>, SettingsError> {
    let credentials = credentials(options)?;
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

fn credentials(options: &RelayOptions) -> Result<Option<Credentials>, SettingsError> {
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
    let password = secret::read(
        options.smtp_password.as_ref(),
        options.smtp_password_file.as_ref(),
        "--smtp-password-file",
        "LETTERBOX_SMTP_PASSWORD",
    )?;
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

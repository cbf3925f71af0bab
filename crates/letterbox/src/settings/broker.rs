//! Where RabbitMQ is, if anywhere.

use queue::BrokerSettings;

use super::secret;
use crate::cli::BrokerOptions;
use crate::failure::SettingsError;

/// The broker of these options; none where no address is given.
///
/// # Errors
/// The setting to change, and how; never a secret.
pub(crate) fn check(options: &BrokerOptions) -> Result<Option<BrokerSettings>, SettingsError> {
    let (addresses, option) = match &options.broker_file {
        Some(file) => {
            let text = secret::file_text(file, "--broker-file")?;
            (split(&text), "--broker-file")
        }
        None => (
            options.broker.iter().flat_map(|text| split(text)).collect(),
            "--broker",
        ),
    };
    let password = secret::read(
        options.broker_password.as_ref(),
        options.broker_password_file.as_ref(),
        "--broker-password-file",
        "LETTERBOX_BROKER_PASSWORD",
    )?;
    if addresses.is_empty() {
        return if password.is_some() {
            Err(SettingsError::new(
                "there is a password for the broker and no broker: name it with --broker",
            ))
        } else {
            Ok(None)
        };
    }
    BrokerSettings::parse(
        &addresses,
        password,
        options.broker_ca_file.clone(),
        options.broker_plain_text,
    )
    .map(Some)
    .map_err(|problem| SettingsError::new(format!("{option}: {problem}")))
}

fn split(text: &str) -> Vec<String> {
    text.split([',', '\n'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

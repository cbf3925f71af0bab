//! Where PostgreSQL is.

use store::ConnectSettings;
use zeroize::Zeroizing;

use super::secret;
use crate::cli::DatabaseOptions;
use crate::failure::SettingsError;

/// Whether the options name a database.
pub(crate) const fn is_given(options: &DatabaseOptions) -> bool {
    options.database.is_some() || options.database_file.is_some()
}

/// The database of these options.
///
/// # Errors
/// The setting to change, and how; never a secret.
pub(crate) fn check(
    options: &DatabaseOptions,
    max_connections: u32,
) -> Result<ConnectSettings, SettingsError> {
    let (url, option) = match (&options.database, &options.database_file) {
        (Some(url), _) => (Zeroizing::new(url.clone()), "--database"),
        (None, Some(file)) => (
            secret::file_text(file, "--database-file")?,
            "--database-file",
        ),
        (None, None) => {
            return Err(SettingsError::new(
                "there is no database: name it with --database, postgres://letterbox@db.example.gov.uk/letterbox say",
            ));
        }
    };
    let password = secret::read(
        options.database_password.as_ref(),
        options.database_password_file.as_ref(),
        "--database-password-file",
        "LETTERBOX_DATABASE_PASSWORD",
    )?;
    ConnectSettings::parse(url.trim(), password, max_connections)
        .map_err(|problem| SettingsError::new(format!("{option}: {problem}")))
}

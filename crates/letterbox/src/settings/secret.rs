//! Secrets come from files and the environment. On the command line every user of the machine could
//! read them, so there they are refused.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use zeroize::Zeroizing;

use crate::failure::SettingsError;

/// Hidden options that exist for their environment variable only, and what to use in their place.
const SECRETS: [(&str, &str); 3] = [
    ("smtp_password", "SMTP_PASSWORD"),
    ("database_password", "DATABASE_PASSWORD"),
    ("broker_password", "BROKER_PASSWORD"),
];

/// Options whose addresses may hold a password, and the option that takes it in their place.
const ADDRESSES: [(&str, &str); 2] = [
    ("database", "--database-password-file"),
    ("broker", "--broker-password-file"),
];

/// Refuses a command line with a secret on it.
///
/// # Errors
/// The option, and what to use in its place.
pub(crate) fn refuse_on_command_line(matches: &ArgMatches) -> Result<(), SettingsError> {
    let mut leaf = matches;
    while let Some((_, inner)) = leaf.subcommand() {
        leaf = inner;
    }
    let is_typed = |id: &str| {
        leaf.ids().any(|known| known == id)
            && leaf.value_source(id) == Some(ValueSource::CommandLine)
    };
    for (id, name) in SECRETS {
        if is_typed(id) {
            let option = id.replace('_', "-");
            return Err(SettingsError::new(format!(
                "--{option} is not taken from the command line, where every user could read it: use --{option}-file or set LETTERBOX_{name}"
            )));
        }
    }
    for (id, instead) in ADDRESSES {
        let typed = is_typed(id)
            && leaf
                .get_raw(id)
                .into_iter()
                .flatten()
                .any(|value| has_password(&value.to_string_lossy()));
        if typed {
            return Err(SettingsError::new(format!(
                "--{id} has a password in it, and on the command line every user could read it: leave it out and use {instead}"
            )));
        }
    }
    Ok(())
}

/// Whether a URL has a password before its host.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
        || rest.contains("password=")
}

/// A secret from the environment or a file; `option` and `variable` name the two.
///
/// # Errors
/// Both are given, or the file cannot be read.
pub(crate) fn read(
    from_environment: Option<&String>,
    file: Option<&PathBuf>,
    option: &str,
    variable: &str,
) -> Result<Option<Zeroizing<String>>, SettingsError> {
    match (from_environment, file) {
        (Some(_), Some(_)) => Err(SettingsError::new(format!(
            "{variable} and {option} are both given: keep one"
        ))),
        (Some(secret), None) => Ok(Some(Zeroizing::new(secret.clone()))),
        (None, Some(path)) => file_text(path, option).map(Some),
        (None, None) => Ok(None),
    }
}

/// The text of a secret file.
///
/// # Errors
/// It cannot be read, is open to others, or is no text.
pub(crate) fn file_text(path: &Path, option: &str) -> Result<Zeroizing<String>, SettingsError> {
    let bytes = service_runtime::secret_file::read(path)
        .map_err(|error| SettingsError::new(format!("{option}: {}", with_cause(&error))))?;
    String::from_utf8(bytes.to_vec())
        .map(Zeroizing::new)
        .map_err(|_| SettingsError::new(format!("{option} {} is not UTF-8 text", path.display())))
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn refused(line: &str) -> Option<String> {
        let matches = Cli::command()
            .try_get_matches_from(line.split_whitespace())
            .unwrap();
        refuse_on_command_line(&matches)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn no_secret_is_taken_from_the_command_line() {
        let deliver = "letterbox deliver --base-url https://n.example --keys k --data d";
        assert_eq!(refused(deliver), None);
        for (words, remedy) in [
            ("--smtp-password x", "--smtp-password-file"),
            ("--database-password x", "LETTERBOX_DATABASE_PASSWORD"),
            ("--broker-password x", "--broker-password-file"),
            (
                "--database postgres://u:secret@h/d",
                "--database-password-file",
            ),
            (
                "--broker amqps://h,amqps://u:secret@h",
                "--broker-password-file",
            ),
        ] {
            let refusal = refused(&format!("{deliver} {words}")).unwrap();
            assert!(refusal.contains(remedy), "{words}: {refusal}");
            assert!(!refusal.contains("secret@"), "{refusal}");
        }
        let harmless = "--database postgres://u@h:5432/d?sslmode=disable --broker amqps://u@h:5671";
        assert_eq!(refused(&format!("{deliver} {harmless}")), None);
        let nested = "letterbox issue status --database postgres://u:secret@h/d";
        assert!(refused(nested).is_some());
    }
}

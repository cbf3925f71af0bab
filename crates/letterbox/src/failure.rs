//! How a command ends: a line on standard error that names the remedy, and an exit code.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use store::StoreError;

/// Something that the caller's settings, files or words must change: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SettingsError(String);

impl SettingsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Prints the failure and gives its exit code: 2 for settings, 1 for everything else.
///
/// A failure is one line; only the list of what a file needs has a line for each problem.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("letterbox: {}", in_one_line(error));
    if is_of_settings(error) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// The failure and its causes. Some causes end with the text of their own cause.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// Whether somebody has to change what is written down here or in the database, rather than to wait.
fn is_of_settings(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<SettingsError>()
            || matches!(
                cause.downcast_ref(),
                Some(
                    StoreError::NotAdmitted(_)
                        | StoreError::Forbidden(_)
                        | StoreError::NotMigrated(_)
                        | StoreError::RolesMissing
                        | StoreError::OtherBody { .. }
                )
            )
    }) || error.downcast_ref::<SettingsError>().is_some()
}

/// The same failure with the file's name in front.
pub(crate) fn in_file(path: &Path, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<SettingsError>() {
        Ok(SettingsError(message)) if message.starts_with(&path.display().to_string()) => {
            SettingsError(message).into()
        }
        Ok(SettingsError(message)) => {
            SettingsError(format!("{}: {message}", path.display())).into()
        }
        Err(error) => error,
    }
}

/// A file that is no TOML, or has the wrong keys: where and what, in one line.
pub(crate) fn toml_problem(error: &toml::de::Error) -> SettingsError {
    let text = error.to_string();
    let mut words = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.contains('|'));
    let place = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.filter(|line| !line.is_empty()).collect();
    let quoted = text.lines().find_map(|line| {
        line.split_once('|')
            .map(|(_, code)| code.trim())
            .filter(|code| !code.is_empty() && !code.starts_with('^'))
    });
    SettingsError::new(match quoted {
        Some(code) => format!("{place}: {} (in `{code}`)", rest.join(", ")),
        None => format!(
            "{place}{}{}",
            if rest.is_empty() { "" } else { ": " },
            rest.join(", ")
        ),
    })
}

/// Refuses a file for all its problems at once, a line each; none is no refusal.
pub(crate) fn refuse_problems(title: &str, problems: &[impl Display]) -> Result<(), SettingsError> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect();
    Err(SettingsError::new(format!("{title}:{}", lines.concat())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_refuses_is_a_matter_of_settings() {
        let refused = anyhow::Error::new(StoreError::RolesMissing).context("no tables");
        assert!(is_of_settings(&refused));
        assert!(is_of_settings(&SettingsError::new("no").into()));
        let settings = anyhow::Error::new(SettingsError::new("no")).context("it does not start");
        assert!(is_of_settings(&settings));
        let damaged = anyhow::Error::new(StoreError::Inconsistent("spool")).context("no tables");
        assert!(!is_of_settings(&damaged));
    }

    #[test]
    fn what_a_cause_says_is_not_said_again() {
        let error = anyhow::anyhow!("no entry")
            .context("the system said: no entry")
            .context("it cannot be read");
        let line = "it cannot be read: the system said: no entry";
        assert_eq!(in_one_line(&error), line);
    }

    #[test]
    fn problems_come_all_at_once_under_the_files_name() {
        let refused = refuse_problems("needs these changes", &["a: b", "c: d"]).unwrap_err();
        let error = in_file(Path::new("body.toml"), refused.into());
        assert_eq!(
            error.to_string(),
            "body.toml: needs these changes:\n  a: b\n  c: d"
        );
        assert!(error.downcast_ref::<SettingsError>().is_some());
        assert!(refuse_problems("fine", &[] as &[&str]).is_ok());
    }
}

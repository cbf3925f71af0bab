//! How a command ends: a line on standard error that names the remedy, and an exit code.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

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
    eprintln!("letterbox: {error:#}");
    if error.downcast_ref::<SettingsError>().is_some() {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
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

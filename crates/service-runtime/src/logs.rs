//! Where log lines go, and which: standard error, filtered by target and level.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::panics;

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people: coloured on a terminal.
    #[default]
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

/// What to log, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A level (`info`), or targets with levels (`info,spool=debug`).
    pub filter: String,
    /// The shape of a line.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("the log filter {filter:?} is not a level or a list like info,spool=debug")]
    BadFilter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Logging was set up before in this process.
    #[error("logging is already set up")]
    AlreadySetUp,
}

/// Sets up logging for the whole process, to standard error; of panics too, without their text.
///
/// # Errors
/// [`LogError`]; never a panic, so that a typing error in a settings file ends with one clear line.
pub fn init(settings: &LogSettings) -> Result<(), LogError> {
    let filter = filter(&settings.filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LogError::AlreadySetUp)?;
    panics::log_places_only();
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|source| LogError::BadFilter {
            filter: text.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_an_error_that_names_it() {
        for bad in ["info,,spool=loud", "spool=verbose", "[", "a=b=c"] {
            let settings = LogSettings {
                filter: bad.to_owned(),
                ..Default::default()
            };
            let problem = init(&settings).unwrap_err();
            assert!(matches!(problem, LogError::BadFilter { .. }), "{bad}");
            assert!(problem.to_string().contains(bad), "{problem}");
        }
    }

    #[test]
    fn levels_and_targets_are_filters() {
        for good in ["info", "trace", "off", "info,spool=debug,sqlx=warn"] {
            assert!(filter(good).is_ok(), "{good}");
        }
    }
}

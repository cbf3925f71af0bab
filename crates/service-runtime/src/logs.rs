//! Where log lines go, and which: standard error, filtered by target and level.

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt, FilterFn, ParseError};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

pub use crate::log_lines::GatheredLines;
use crate::log_lines::{LogLines, ToLines};
use crate::panics;

/// The lines of this process, once there is a log.
static LINES: OnceLock<Arc<LogLines>> = OnceLock::new();

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
    let log_lines = LogLines::to(std::io::stderr());
    let layer = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(ToLines(Arc::clone(&log_lines)));
    match settings.format {
        LogFormat::Text => Registry::default().with(lines(filter, layer)).try_init(),
        LogFormat::Json => Registry::default()
            .with(lines(filter, layer.json().flatten_event(true)))
            .try_init(),
    }
    .map_err(|_| LogError::AlreadySetUp)?;
    let _ = LINES.set(log_lines);
    panics::log_places_only();
    Ok(())
}

/// Gathers lines of level info and below for a few milliseconds and writes them together, for as long
/// as the guard lives. A thread does that, so a process drops root's rights first. Nothing without
/// [`init`].
///
/// # Errors
/// If there is no thread to be had.
pub fn gather() -> std::io::Result<Option<GatheredLines>> {
    LINES
        .get()
        .map(|lines| Arc::clone(lines).gather())
        .transpose()
}

fn lines(
    filter: EnvFilter,
    layer: impl Layer<Registry> + Send + Sync + 'static,
) -> impl Layer<Registry> + Send + Sync {
    let ours = FilterFn::new(|metadata: &Metadata<'_>| is_ours_to_log(metadata.target()));
    layer.with_filter(filter.and(ours))
}

fn filter(text: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|source| LogError::BadFilter {
            filter: text.to_owned(),
            source,
        })
}

/// The broker's library writes frames with the password in them into its traces. It stays silent
/// whatever the filter says, and we say ourselves when a connection is lost.
fn is_ours_to_log(target: &str) -> bool {
    !["lapin", "amq_protocol"]
        .iter()
        .any(|library| target.starts_with(library))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

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
    fn the_brokers_library_is_silent_whatever_is_asked_for() {
        let said: Arc<Mutex<Vec<u8>>> = Arc::default();
        let written = Arc::clone(&said);
        let writer = move || Shared(Arc::clone(&written));
        let filter = filter("trace,lapin::frames=trace").unwrap();
        let lines = lines(filter, fmt::layer().with_writer(writer));
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            tracing::trace!(target: "lapin::frames", "a password");
            tracing::trace!(target: "amq_protocol_tcp", "a password");
            tracing::trace!(target: "queue::dial", "connected");
        });
        let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
        assert!(said.contains("connected"), "{said}");
        assert!(!said.contains("password"), "{said}");
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn levels_and_targets_are_filters() {
        for good in ["info", "trace", "off", "info,spool=debug,sqlx=warn"] {
            assert!(filter(good).is_ok(), "{good}");
        }
    }
}

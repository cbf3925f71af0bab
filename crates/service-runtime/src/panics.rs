//! What is said of a panic: where it happened, never its text. The standard library puts the text that
//! it failed to cut into the message, and that text may be an address (`DESIGN.md` P1).

use std::backtrace::Backtrace;
use std::panic;

/// From now on a panic anywhere in the process is an error with its place and the way there, instead of
/// the standard report.
pub(crate) fn log_places_only() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        // Names of functions and files; the place alone is often one within the standard library.
        let way = Backtrace::force_capture();
        tracing::error!(place, %way, "a panic; its text is not logged, for it may name a person");
    }));
}

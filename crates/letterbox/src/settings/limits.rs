//! What the mail relay may be sent.

use delivery::RouteLimits;

use crate::cli::LimitOptions;

/// The options as the worker takes them: clap has checked each, and none depends on another.
pub(crate) const fn of(options: &LimitOptions) -> RouteLimits {
    RouteLimits {
        per_second: options.rate,
        per_day: options.daily_cap,
        warm_up: options.warm_up,
    }
}

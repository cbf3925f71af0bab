//! Waiting for a condition, with a deadline. Nothing in the stories sleeps for a fixed time.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};

/// Long enough for two busy cores, short enough to notice.
pub const DEADLINE: Duration = Duration::from_mins(1);

const PAUSE: Duration = Duration::from_millis(20);

/// The moment it is, by the clock that PostgreSQL and the relay have too.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "what was written down when is compared with what others wrote"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Asks until there is an answer.
///
/// # Errors
/// The question's own error, or one that says what was waited for, after `deadline`.
pub fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > deadline {
            bail!("waited {} s in vain: {what}", deadline.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Asks until it is so.
///
/// # Errors
/// As [`wait_for`].
pub fn wait_until(
    what: &str,
    deadline: Duration,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<()> {
    wait_for(what, deadline, || Ok(is_so()?.then_some(())))
}

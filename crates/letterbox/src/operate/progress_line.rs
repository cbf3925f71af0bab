//! The line that says how far something is: an issue, by its equation, or other work, by a bar; with the
//! rate and the time left.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use domain::IssueCounts;

/// Without a terminal a line comes this often.
const QUIET_INTERVAL: Duration = Duration::from_secs(10);
/// The rate is that of this long.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Prints progress: in place on a terminal, a line every 10 seconds elsewhere.
pub(crate) struct ProgressLine {
    /// Where what the command makes goes to standard output.
    to_errors: bool,
    is_terminal: bool,
    width: usize,
    printed: Option<Instant>,
    samples: Vec<(Instant, u64)>,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self::on(false, io::stdout().is_terminal())
    }

    /// On standard error.
    pub(crate) fn on_errors() -> Self {
        Self::on(true, io::stderr().is_terminal())
    }

    const fn on(to_errors: bool, is_terminal: bool) -> Self {
        Self {
            to_errors,
            is_terminal,
            width: 0,
            printed: None,
            samples: Vec::new(),
        }
    }

    /// Shows a bar: so many of `total` are done by `now`.
    pub(crate) fn show_bar(&mut self, what: &str, done: u64, total: u64, now: Instant) {
        self.take(done, now, |rate| bar(what, done, total, rate));
    }

    /// Shows a sample taken at `now`.
    pub(crate) fn show(&mut self, state: &str, counts: &IssueCounts, now: Instant) {
        let done = counts.audience.saturating_sub(counts.waiting);
        self.take(done, now, |rate| describe(state, counts, rate));
    }

    fn take(&mut self, done: u64, now: Instant, text: impl FnOnce(Option<f64>) -> String) {
        self.samples
            .retain(|(at, _)| now.duration_since(*at) <= RATE_WINDOW);
        self.samples.push((now, done));
        let due = self
            .printed
            .is_none_or(|at| now.duration_since(at) >= QUIET_INTERVAL);
        if !self.is_terminal && !due {
            return;
        }
        self.printed = Some(now);
        let text = text(rate(&self.samples));
        let mut out: Box<dyn Write> = if self.to_errors {
            Box::new(io::stderr().lock())
        } else {
            Box::new(io::stdout().lock())
        };
        if self.is_terminal {
            let padding = self.width.saturating_sub(text.chars().count());
            let _ = write!(out, "\r{text}{:padding$}", "");
            self.width = text.chars().count();
        } else {
            let _ = writeln!(out, "{text}");
        }
        let _ = out.flush();
    }

    /// Ends a line that was written in place.
    pub(crate) fn end(&mut self) {
        if self.is_terminal && self.width > 0 {
            if self.to_errors {
                let _ = writeln!(io::stderr().lock());
            } else {
                let _ = writeln!(io::stdout().lock());
            }
            self.width = 0;
        }
        self.samples.clear();
    }
}

/// How many a second over the samples kept; none while there is nothing to compare.
fn rate(samples: &[(Instant, u64)]) -> Option<f64> {
    let ((first, before), (last, after)) = (samples.first()?, samples.last()?);
    let seconds = last.duration_since(*first).as_secs_f64();
    let done = after.saturating_sub(*before);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    (seconds > 0.5).then(|| done as f64 / seconds)
}

/// The equation in words, as `issue send` and `issue status` show it.
pub(crate) fn describe(state: &str, counts: &IssueCounts, rate: Option<f64>) -> String {
    let mut text = format!("{state}: {}", equation(counts));
    if counts.waiting > 0
        && let Some(rate) = rate.filter(|rate| *rate > 0.0)
    {
        text.push_str(&rate_and_left(counts.waiting, rate));
    }
    text
}

/// A bar, the share, the rate and the time left.
fn bar(what: &str, done: u64, total: u64, rate: Option<f64>) -> String {
    const WIDTH: u64 = 20;
    let total = total.max(done);
    let part = |of: u64| (done * of).checked_div(total).unwrap_or(of);
    let filled = usize::try_from(part(WIDTH)).unwrap_or_default();
    let mut text = format!(
        "{what} [{:<20}] {} %, {done} of {total}",
        "#".repeat(filled),
        part(100)
    );
    if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
        text.push_str(&rate_and_left(total - done, rate));
    }
    text
}

fn rate_and_left(waiting: u64, rate: f64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate for people to read"
    )]
    let left = (waiting as f64 / rate).ceil().min(1e9) as u64;
    format!(", {rate:.0} a second, {} left", duration(left))
}

/// audience = accepted + suppressed + failed + uncertain + waiting.
pub(crate) fn equation(counts: &IssueCounts) -> String {
    format!(
        "audience {} = accepted {} + suppressed {} + failed {} + uncertain {} + waiting {}",
        counts.audience,
        counts.accepted,
        counts.suppressed,
        counts.failed,
        counts.uncertain,
        counts.waiting
    )
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_equation_the_rate_and_the_time_left() {
        let counts = IssueCounts {
            audience: 100,
            accepted: 38,
            suppressed: 1,
            failed: 1,
            uncertain: 0,
            waiting: 60,
        };
        assert_eq!(
            describe("sending", &counts, Some(0.5)),
            "sending: audience 100 = accepted 38 + suppressed 1 + failed 1 + uncertain 0 + waiting 60, 0 a second, 2 min 00 s left"
        );
        assert!(!describe("finished", &IssueCounts::default(), Some(5.0)).contains("left"));
    }

    #[test]
    fn a_bar_fills_up() {
        assert_eq!(
            bar("ledger", 250_000, 1_000_000, Some(50_000.0)),
            "ledger [#####               ] 25 %, 250000 of 1000000, 50000 a second, 15 s left"
        );
        assert_eq!(
            bar("ledger", 0, 0, None),
            "ledger [####################] 100 %, 0 of 0"
        );
    }

    #[test]
    fn a_rate_needs_two_moments() {
        let start = Instant::now();
        assert_eq!(rate(&[]), None);
        assert_eq!(rate(&[(start, 5)]), None);
        let later = start + Duration::from_secs(2);
        assert_eq!(rate(&[(start, 5), (later, 25)]), Some(10.0));
    }
}

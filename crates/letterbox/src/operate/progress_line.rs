//! The line that says how far an issue is: the issue equation, the rate and the time left.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use domain::IssueCounts;

/// Without a terminal a line comes this often.
const QUIET_INTERVAL: Duration = Duration::from_secs(10);
/// The rate is that of this long.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Prints progress to standard output: in place on a terminal, a line every 10 seconds elsewhere.
pub(crate) struct ProgressLine {
    is_terminal: bool,
    width: usize,
    printed: Option<Instant>,
    samples: Vec<(Instant, u64)>,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: io::stdout().is_terminal(),
            width: 0,
            printed: None,
            samples: Vec::new(),
        }
    }

    /// Shows a sample taken at `now`.
    pub(crate) fn show(&mut self, state: &str, counts: &IssueCounts, now: Instant) {
        let done = counts.audience - counts.waiting;
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
        let text = describe(state, counts, rate(&self.samples));
        let mut out = io::stdout().lock();
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
            println_quietly("");
            self.width = 0;
        }
    }
}

fn println_quietly(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Recipients a second over the samples kept; none while there is nothing to compare.
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
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate for people to read"
        )]
        let left = (counts.waiting as f64 / rate).ceil().min(1e9) as u64;
        let _ = write!(text, ", {rate:.0} a second, {} left", duration(left));
    }
    text
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
    fn a_rate_needs_two_moments() {
        let start = Instant::now();
        assert_eq!(rate(&[]), None);
        assert_eq!(rate(&[(start, 5)]), None);
        let later = start + Duration::from_secs(2);
        assert_eq!(rate(&[(start, 5), (later, 25)]), Some(10.0));
    }
}

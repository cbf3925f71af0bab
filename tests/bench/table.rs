//! What a bench prints: a line for each side, medians of its rounds, and ratios.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// One run of one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Operations in a second.
    pub(crate) rate: f64,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

impl Sample {
    /// A side that has no latencies to tell.
    pub(crate) const fn rate(rate: f64) -> Self {
        Self {
            rate,
            p50: None,
            p99: None,
        }
    }

    /// From the microseconds of all operations in this time.
    pub(crate) fn of_latencies(micros: &mut [u32], time: Duration) -> Result<Self> {
        micros.sort_unstable();
        let at = |share: usize| {
            let micros = micros.get(micros.len() * share / 100).copied();
            micros.map(|micros| Duration::from_micros(micros.into()))
        };
        let count = u32::try_from(micros.len()).context("too many answers")?;
        Ok(Self {
            rate: f64::from(count) / time.as_secs_f64(),
            p50: Some(at(50).context("no answer counted")?),
            p99: at(99),
        })
    }
}

/// One side of a comparison: what ran, and its rounds.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
}

impl Side {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            samples: Vec::new(),
        }
    }

    /// The median of its rates.
    pub(crate) fn median(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.rate).collect())
    }

    fn line(&self) -> String {
        let mut line = format!("  {:<44}", self.name);
        for sample in &self.samples {
            let _ = write!(line, "{:>9.0}", sample.rate);
        }
        let _ = write!(line, "{:>10.0}/s", self.median());
        for (name, of) in [
            ("p50", (|sample| sample.p50) as fn(&Sample) -> _),
            ("p99", |sample: &Sample| sample.p99),
        ] {
            let all: Vec<f64> = self.samples.iter().filter_map(of).map(millis).collect();
            if !all.is_empty() {
                let _ = write!(line, "  {name} {:.1} ms", median(all));
            }
        }
        line
    }
}

/// The yardstick of a table: the best median of its sides.
fn best(sides: &[Side]) -> f64 {
    sides.iter().map(Side::median).fold(0.0, f64::max)
}

/// Prints the yardstick's sides and ours, and for each of ours the ratio to the best yardstick beside
/// its target; a side without a target is only reported.
pub(crate) fn print(title: &str, yardstick: &[Side], ours: &[(Side, Option<f64>)]) {
    say(&format!("\n{title}"));
    let best = best(yardstick);
    for side in yardstick {
        let mark = if side.median() >= best {
            "  <- yardstick"
        } else {
            ""
        };
        say(&format!("{}{mark}", side.line()));
    }
    for (side, target) in ours {
        let ratio = side.median() / best;
        let judged = match target {
            Some(target) if ratio >= *target => format!("target {target}: reached"),
            Some(target) => format!("target {target}: MISSED"),
            None => "reported only".to_owned(),
        };
        say(&format!("{}  = {ratio:.2} x ({judged})", side.line()));
    }
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "a bench prints its result")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

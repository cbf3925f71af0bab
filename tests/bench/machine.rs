//! Which machine this is, and how busy it is with other work: figures of a busy machine say little.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::table;

const LOOK: Duration = Duration::from_secs(2);

/// Prints it.
pub(crate) fn describe() -> Result<()> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |name| {
            name.trim_start_matches(['\t', ' ', ':'])
        });
    let cores = std::thread::available_parallelism()?;
    let before = Ticks::now()?;
    std::thread::sleep(LOOK);
    let after = Ticks::now()?;
    let busy = (after.busy - before.busy) / (after.all - before.all).max(1.0) * 100.0;
    table::say(&format!(
        "{cores} x {model}, {busy:.0} % busy with other work before the run"
    ));
    Ok(())
}

struct Ticks {
    busy: f64,
    all: f64,
}

impl Ticks {
    fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let first = text.lines().next().context("an empty /proc/stat")?;
        let ticks: Vec<f64> = first
            .split_whitespace()
            .skip(1)
            .take(8)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let all: f64 = ticks.iter().sum();
        // Idle, and waiting for the disk.
        let idle = ticks.get(3).unwrap_or(&0.0) + ticks.get(4).unwrap_or(&0.0);
        Ok(Self {
            busy: all - idle,
            all,
        })
    }
}

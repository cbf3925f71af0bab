//! What processes used of the machine: time of its cores, bytes they read.

use std::fs;
use std::ops::Sub;

use anyhow::{Context as _, Result};

/// Ticks of `/proc` in a second, on every Linux that we run on.
const TICKS: f64 = 100.0;

/// What a process and those it started used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds of one core.
    pub(crate) seconds: f64,
    /// Bytes read, from files and sockets.
    pub(crate) read: f64,
}

impl Usage {
    /// Of this process, its children, and those of them that have ended.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut used = Self::of_one(pid)?;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(child) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // one that ended between the look and the question is in its parent's account
            if parent(child) == Some(pid)
                && let Ok(more) = Self::of_one(child)
            {
                used.seconds += more.seconds;
                used.read += more.read;
            }
        }
        Ok(used)
    }

    fn of_one(pid: u32) -> Result<Self> {
        let fields = fields(pid).with_context(|| format!("no process {pid}"))?;
        // utime, stime, cutime, cstime
        let ticks: f64 = fields
            .get(11..15)
            .context("a short /proc/PID/stat")?
            .iter()
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        let read = fs::read_to_string(format!("/proc/{pid}/io"))
            .ok()
            .and_then(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("rchar: "))?;
                line.trim().parse().ok()
            });
        Ok(Self {
            seconds: ticks / TICKS,
            read: read.unwrap_or_default(),
        })
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            seconds: self.seconds - before.seconds,
            read: self.read - before.read,
        }
    }
}

fn parent(pid: u32) -> Option<u32> {
    fields(pid)?.get(1)?.parse().ok()
}

/// The fields of `/proc/PID/stat` behind the name, which may hold anything.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The most that was ever resident of a process, in MiB.
pub(crate) fn peak_memory(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_whitespace().next())
        .context("no VmHWM")?;
    Ok(kibibytes.parse::<f64>()? / 1024.0)
}

//! What `letterbox intake` takes: memory under the load of 256 connections, and time from the start of
//! its process to its first 200.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use support::{RoleProcess, Roles, RolesPlan};

use crate::sign_up::post;
use crate::usage::peak_memory;
use crate::{ROUNDS, table, yard};

const CONNECTIONS: usize = 256;
/// Of resident memory, at most.
const TARGET_MIB: f64 = 40.0;

pub(crate) fn run() -> Result<()> {
    let mut roles = Roles::start(RolesPlan {
        unsubscribes: 0,
        delivers: 0,
        postgres: yard::SETTINGS,
        ..RolesPlan::default()
    })?;
    let intake = &mut roles.intakes[0];
    let (mut starts, mut peaks) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        intake.stop()?;
        starts.push(start(intake)?);
        intake.wait_ready()?;
        post(intake, CONNECTIONS, round)?;
        peaks.push(peak_memory(intake.pid()?)?);
    }
    let (peak, start) = (table::median(peaks.clone()), table::median(starts.clone()));
    let judged = if peak <= TARGET_MIB {
        "reached"
    } else {
        "MISSED"
    };
    table::say("\nWhat letterbox intake takes");
    table::say(&format!(
        "  resident memory at {CONNECTIONS} connections, its peak {peak:>8.1} MiB  {peaks:.1?} (target {TARGET_MIB}: {judged})"
    ));
    table::say(&format!(
        "  start to first 200 {start:>30.0} ms   {starts:.0?} (reported only)"
    ));
    Ok(())
}

/// Starts it and gives the milliseconds until a page is there.
fn start(intake: &mut RoleProcess) -> Result<f64> {
    let web = intake.web();
    let began = Instant::now();
    intake.start()?;
    while !web
        .get("/newsletters")
        .is_ok_and(|answer| answer.status == 200)
    {
        sleep(Duration::from_millis(1));
    }
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

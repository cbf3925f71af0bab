//! Faults that take too long for every change, by the numbers of `reliability.md` 8.2: `tests/faults`
//! plays them, besides those of `stories/faults`, and prints a table.
//!
//! | file | the faults |
//! | --- | --- |
//! | `workers` | F04 state folders lost, F05 a worker frozen, F08 all kinds of workers killed for long |
//! | `hints` | F16 the broker's patience, F18 a chunk that kills, F20 its limit of deliveries |
//! | `database` | F24 commits whose answer is lost, F27 its disk full, F47 a million recipients killed |
//! | `million` | F48 what a million recipients cost in memory |
//! | `state_folder` | F28 the disk of a state folder full |
//! | `relay` | F37 a late 250, F38 a slow line, F39 451 for all, F40 a burst of refusals, F41 a shared cap |
//! | `soak` | F53 a fault every 30 seconds for 20 minutes |
//!
//! A bench target by name only, so that `cargo test` does not play it.
#![cfg(test)] // all of it is test code, and linted as such

mod database;
mod hints;
mod million;
mod relay;
mod soak;
mod state_folder;
mod workers;

use std::time::Duration;

/// For an issue to be through.
const PATIENCE: Duration = Duration::from_mins(15);

/// Random numbers that a failing test can repeat.
fn seed() -> support::Seed {
    let chosen = std::env::var_os("LETTERBOX_SEED");
    let seed = chosen
        .and_then(|text| text.to_str()?.parse().ok())
        .unwrap_or(20_261_124);
    eprintln!("LETTERBOX_SEED={seed}");
    support::Seed::new(seed)
}

/// Waits for a certain time: of a fault that must last.
fn let_pass(time: Duration) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    support::wait_until("the time to pass", 2 * time, || Ok(began.elapsed() >= time))
}

//! Faults, by the numbers of `reliability.md` 8.2, in small counts; `tests/faults` plays them in full.
//! Each ends with the ledger check of 8.1: what the database says against what the relay took.
//!
//! | file | the fault |
//! | --- | --- |
//! | `f01_workers_killed` | `kill -9` of workers while mails are on the wire |
//! | `f03_death_at_each_point` | the process dies at each point at which it makes a difference |
//! | `f11_broker_wiped` | the broker loses its disk with chunks queued |
//! | `f21_queue_full` | the broker takes no more hints |
//! | `f22_database_crashes` | PostgreSQL crashes and recovers, again and again |
//! | `f23_database_half_open` | the line to PostgreSQL swallows every byte |
//! | `f25_database_fails_over` | a standby of PostgreSQL takes over, with and without all that was written |
//! | `f31_leaving_meanwhile` | everybody leaves while the mail to them is on its way; F32: and one worker is cut off |
//! | `f34_relay_breaks_off` | the relay is gone, at every moment of a transaction |
//! | `f35_relay_closes_down` | 421, at every moment of a transaction |
//! | `f36_relay_out_of_step` | replies late, in bytes, in lumps and of many lines |
//! | `f42_confirmations_overtake` | somebody signs up while an issue goes out |
//! | `f43_clocks_that_jump` | the time of day jumps, of workers and of the database |
//! | `f44_rolling_restart` | every process is restarted under load |
//! | `f45_versions_mixed` | workers of two versions, and tables of the next |
//! | `f46_paused_and_cancelled` | an operator pauses, resumes and cancels |
//! | `led03_ledger_under_fire` | all leave over three roles while every process is killed (`privacy.md` 4.6) |
//! | `led07_left_while_paused` | people leave while an issue is paused (`privacy.md` 4.6) |

mod f01_workers_killed;
mod f03_death_at_each_point;
mod f11_broker_wiped;
mod f21_queue_full;
mod f22_database_crashes;
mod f23_database_half_open;
mod f25_database_fails_over;
mod f31_leaving_meanwhile;
mod f34_relay_breaks_off;
mod f35_relay_closes_down;
mod f36_relay_out_of_step;
mod f42_confirmations_overtake;
mod f43_clocks_that_jump;
mod f44_rolling_restart;
mod f45_versions_mixed;
mod f46_paused_and_cancelled;
mod led03_ledger_under_fire;
mod led07_left_while_paused;

use std::time::Duration;

use anyhow::Result;
use support::{Field, Seed, count};

/// For an issue to be through.
fn patience() -> Duration {
    Duration::from_secs(if count(0, 1) == 1 { 900 } else { 150 })
}

/// The residents of most stories.
fn residents() -> usize {
    count(2_000, 20_000)
}

/// The links of everybody who got a first issue.
fn links_of_a_first_issue(field: &Field) -> Result<Vec<String>> {
    let first = field.hand_over("First")?;
    field.wait_through(first, patience())?;
    Ok(field.tokens(first))
}

/// Random numbers that a failing test can repeat.
fn seed() -> Seed {
    let seed = crate::killed_at_random::seed();
    eprintln!("LETTERBOX_SEED={seed}");
    Seed::new(seed)
}

//! The benches of whole roles, beside what they are compared with: `tests/bench/run`, explained in
//! `tests/bench/README.md`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `sign_up`, `unsubscribe` | the web roles over HTTP |
//! | `registrar` | from the requests queue to committed rows |
//! | `fan_out` | an issue's audience of a million, written down |
//! | `relay` | hints from the outbox to RabbitMQ |
//! | `delivery`, `audience` | an issue from the queue to a relay; who it goes to |
//! | `postfix` | the relay, and the client that we are compared with |
//! | `usage` | core time and memory of processes |
//! | `footprint` | memory at 256 connections, start to first 200 |
//! | `yard`, `yard/*.sql` | the yardsticks: PostgreSQL alone, by pgbench |
//! | `load` | the load generator |
//! | `requests` | what it sends: sign-ups and unsubscribes |
//! | `chart` | ratios as an SVG |
//! | `table` | medians, ratios, print |
//! | `machine` | which machine, and how busy it is with other work |
//!
//! A walk: `sign_up` sets up a [`yard::Yard`] and, by [`support::Roles`], a `letterbox intake`, and in
//! each of three rounds lets pgbench and the [`load::Load`] run one after the other. `table` prints
//! every round, the medians and the ratio beside its target.

mod audience;
mod chart;
mod delivery;
mod fan_out;
mod footprint;
mod load;
mod machine;
mod postfix;
mod registrar;
mod relay;
mod requests;
mod sign_up;
mod table;
mod unsubscribe;
mod usage;
mod yard;

use std::time::Duration;

use anyhow::{Result, bail};

/// How often each side runs; the median counts.
const ROUNDS: usize = 3;

/// How long each run is counted.
const TIME: Duration = Duration::from_secs(5);

type Bench = fn() -> Result<()>;

const BENCHES: [(&str, Bench); 8] = [
    ("sign_up", sign_up::run),
    ("unsubscribe", unsubscribe::run),
    ("registrar", registrar::run),
    ("fan_out", fan_out::run),
    ("relay", relay::run),
    ("delivery", delivery::run),
    ("memory", delivery::memory),
    ("footprint", footprint::run),
];

fn main() -> Result<()> {
    // Cargo adds options of its own.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let unknown = wanted
        .iter()
        .find(|name| BENCHES.iter().all(|(known, _)| known != name));
    if let Some(name) = unknown {
        bail!("no bench is called {name}");
    }
    machine::describe()?;
    for (name, run) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|wish| wish == name) {
            run()?;
        }
    }
    Ok(())
}

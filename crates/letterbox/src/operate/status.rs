//! `letterbox status`: whether mail goes out, and if not, what it waits for and what to do about that.

use anyhow::Context;
use domain::{Clock, Timestamp};
use service_runtime::SystemClock;
use store::{Obstacle, SpoolStanding};

use super::installation::Installation;
use super::spool::{ago, described, moment};
use super::{block_on, installation};
use crate::cli::Target;
use crate::up::print_line;

/// A spool of stops that is silent for so long, or a stop that waits for so long, closes the barrier.
const SILENT_MS: u64 = 10_000;
const WAITING_MS: u64 = 5_000;

/// Runs the command.
pub(crate) fn run(target: &Target) -> anyhow::Result<()> {
    let place = installation::place_of(target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let now = SystemClock.now();
        for line in lines(&open, now)
            .await
            .context("the status cannot be read")?
        {
            print_line(&line);
        }
        Ok(())
    })
}

async fn lines(open: &Installation, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let database = &open.database;
    let obstacles = database.restores().obstacles(now).await?;
    let is_open = database.restores().is_open().await?;
    let overridden = database.barrier_acts().overridden_until(now).await?;
    let dead_stops = database.dead_letters().list().await?;
    let dead_stops = dead_stops.iter().filter(|dead| dead.stop).count();
    let spools = database.spools().list().await?;
    let mut lines = Vec::new();
    if is_open {
        lines.push(
            "No mail goes out: the database went back in time, and waits to be made up for:".into(),
        );
        if obstacles.is_empty() {
            lines.push("  nothing is missing any more; sending goes on within seconds".into());
        }
        lines.extend(obstacles.iter().map(missing));
    } else {
        let mut reasons = Vec::new();
        reasons.extend(spools.iter().filter_map(|spool| waiting_for(spool, now)));
        if dead_stops > 0 {
            reasons.push(format!(
                "  {dead_stops} dead letters may be unsubscribes: letterbox dead-letters list"
            ));
        }
        match (reasons.is_empty(), overridden) {
            (true, _) => lines.push("Mail goes out.".into()),
            (false, None) => {
                lines.push("Confirmations go out; bulk mail waits:".into());
            }
            (false, Some(until)) => lines.push(format!(
                "Bulk mail goes out by an operator's override until {}; it would wait:",
                moment(until)
            )),
        }
        lines.extend(reasons);
    }
    if !spools.is_empty() {
        lines.push("Spools:".into());
        lines.extend(spools.iter().map(|spool| described(spool, now)));
    }
    Ok(lines)
}

fn missing(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::NotRecorded => {
            "  the ledger says so within seconds: a worker must be running".into()
        }
        Obstacle::Erasures(number) => format!("  {number} erasures are applied again"),
        Obstacle::Journals(number) => {
            format!("  {number} workers say again what they sent")
        }
        Obstacle::Spool {
            spool_id,
            role,
            applied_upto,
            seen_upto,
            reported,
        } => {
            let role = if role.is_empty() { "unsubscribe" } else { role };
            let what = if *reported {
                "its role ships it again"
            } else {
                "its role has not reported since: start it; where its machine is gone: letterbox replay DIR, \
                 then letterbox spool retire"
            };
            format!(
                "  spool {spool_id} of {role}: applied up to {applied_upto} of {seen_upto}; {what}"
            )
        }
    }
}

fn waiting_for(spool: &SpoolStanding, now: Timestamp) -> Option<String> {
    if !spool.holds_stops || spool.retired_at.is_some() {
        return None;
    }
    let distance = now.as_millis().abs_diff(spool.reported_at.as_millis());
    if distance > SILENT_MS {
        return Some(format!(
            "  spool {} of {} has not reported for {} and may hold unsubscribes: start its role; where its \
             machine is gone: letterbox replay DIR, then letterbox spool retire {}",
            spool.spool_id,
            spool.role,
            ago(spool.reported_at, now),
            spool.spool_id
        ));
    }
    let oldest = spool.oldest_waiting?;
    (now.since(oldest).as_millis() > u128::from(WAITING_MS)).then(|| {
        format!(
            "  an unsubscribe of spool {} waits for {}: is a worker running?",
            spool.spool_id,
            ago(oldest, now)
        )
    })
}

//! F23: the line between a worker and PostgreSQL swallows every byte while both ends believe that they
//! are connected. A worker that cannot commit a heartbeat for 30 seconds begins no mail; when the line
//! is whole again it goes on by itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use support::{DEADLINE, FaultProxy, Field, FieldPlan, Line, count, now, wait_until};

use super::patience;

/// A fence trips after 30 s; and what passed before that may take a moment to be read.
const LAST_DATA: Duration = Duration::from_secs(31);

#[test]
fn f23_a_worker_that_hears_nothing_of_the_database_stops_by_itself() -> Result<()> {
    // The port of the database is known only once it runs, and the proxy's before the worker starts.
    let mut field = Field::prepare(
        FieldPlan {
            residents: 2_000,
            connections: 2,
            slowness: Duration::from_millis(100),
            ..FieldPlan::default()
        },
        |_| {},
    )?;
    let proxy = FaultProxy::before(field.roles.postgres.port())?;
    field.roles.reach_database_by("deliver", proxy.port())?;
    field.roles.start_all()?;
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 50, patience())?;

    proxy.set(Line::Swallow);
    let cut = now();
    let fence = Duration::from_secs(count(36, 60) as u64);
    wait_until("the time of the cut to be over", 2 * fence, || {
        Ok(cut.elapsed().unwrap_or_default() >= fence)
    })?;
    let last = field
        .sink
        .entries()
        .iter()
        .filter_map(|entry| entry.at_data)
        .max();
    let last = last
        .and_then(|at| at.duration_since(cut).ok())
        .unwrap_or_default();
    eprintln!("figures: the last DATA came {last:?} after the cut");
    ensure!(last <= LAST_DATA, "DATA {last:?} after the cut");
    let before = field.sink.taken_of(issue);
    proxy.set(Line::Pass);
    let healed = now();
    wait_until("sending to go on", DEADLINE, || {
        Ok(field.sink.taken_of(issue) > before)
    })?;
    eprintln!(
        "figures: sending again {:?} after the line was whole",
        healed.elapsed()?
    );
    field.sink.set_slowness(Duration::from_millis(5));
    field.wait_through(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(tally.uncertain == 0, "{tally:?}");
    Ok(())
}

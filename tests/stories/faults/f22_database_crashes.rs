//! F22: PostgreSQL crashes and recovers again and again while an issue goes out. What was answered waits
//! in the worker until it can be written down: nobody is in doubt, nobody is mailed twice.

use std::time::Duration;

use anyhow::{Result, ensure};
use support::{DEADLINE, Field, FieldPlan, count, wait_until};

use super::{patience, residents, seed};

#[test]
fn f22_a_database_that_crashes_costs_time_and_nothing_else() -> Result<()> {
    let mut seed = seed();
    let field = Field::start(FieldPlan {
        residents: residents(),
        workers: 2,
        connections: 5,
        slowness: Duration::from_millis(40),
        // Commits are what this is about.
        postgres: &["fsync=off", "synchronous_commit=on"],
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    let mut crashes = 0;
    for _ in 0..count(3, 20) {
        let before = field.sink.taken_of(issue);
        if before + 100 > field.residents() {
            break;
        }
        let more = before + 30 + usize::try_from(seed.below(60))?;
        field.sink.wait_for_taken(issue, more, patience())?;
        field.roles.postgres.crash()?;
        crashes += 1;
        field.roles.postgres.resume()?;
        let then = field.sink.taken_of(issue);
        wait_until("sending to go on", DEADLINE, || {
            Ok(field.sink.taken_of(issue) > then + 20)
        })?;
    }
    ensure!(crashes >= count(2, 10), "only {crashes} crashes");
    field.wait_through(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(tally.uncertain == 0, "{tally:?}");
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    Ok(())
}

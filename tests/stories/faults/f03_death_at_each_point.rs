//! F03: the process dies at each of the points P0 to P13 of `reliability.md` 1.6, with one connection: a
//! mail is in doubt exactly where its dot was written down and its reply was not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{BrokerNode, Field, FieldPlan, Vhost, count};

use super::{patience, seed};

const RESIDENTS: usize = 30;
const DEATH: Duration = Duration::from_mins(1);

#[test]
fn f03_a_death_at_any_point_loses_nobody_and_mails_nobody_twice() -> Result<()> {
    let mut seed = seed();
    let mut field = Field::start(FieldPlan {
        residents: RESIDENTS,
        connections: 1,
        broker: Some(Vhost::of(&BrokerNode::shared()?)?),
        ..FieldPlan::default()
    })?;
    for time in 0..count(1, 20) {
        for point in 0..=13 {
            field.roles.delivers[0].stop()?;
            let issue = field.hand_over(&format!("P{point}, time {time}"))?;
            // Those that one mail comes by once can die at any mail.
            let before = if (7..=10).contains(&point) {
                seed.below(RESIDENTS as u64 / 2)
            } else {
                0
            };
            let point_name = format!("P{point}");
            let points = format!("{point_name}={before}*off->return");
            die_at(&mut field, &points).with_context(|| format!("at {points}"))?;
            field.roles.delivers[0].resume()?;
            field
                .wait_through(issue, patience())
                .with_context(|| format!("after a death at {points}"))?;
            let tally = field.check(issue).with_context(|| points.clone())?;
            // A hint that is published is looked at, and acknowledged then: at these points a mail may
            // be under way beside them.
            let doubtful = match point {
                8..=10 => 1..=1,
                2 | 3 | 13 => 0..=1,
                _ => 0..=0,
            };
            ensure!(
                doubtful.contains(&tally.uncertain),
                "a death at {points} left {tally:?}"
            );
            let accepted = RESIDENTS - tally.uncertain;
            ensure!(tally.accepted == accepted, "{points}: {tally:?}");
        }
    }
    Ok(())
}

/// Runs the worker until it dies there.
fn die_at(field: &mut Field, points: &str) -> Result<()> {
    let worker = &mut field.roles.delivers[0];
    worker.set_environment("FAILPOINTS", Some(points));
    worker.start()?;
    let code = worker.wait_ended(DEATH).with_context(|| worker.log())?;
    ensure!(code.is_none(), "it ended with {code:?}: {}", worker.log());
    worker.set_environment("FAILPOINTS", None);
    Ok(())
}

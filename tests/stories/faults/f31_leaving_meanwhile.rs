//! F31: everybody leaves, in any order, while an issue is on its way to them. Whoever left two seconds
//! before gets no mail, and each of them is either accepted or suppressed.

use std::time::Duration;

use anyhow::{Result, ensure};
use support::{Fault, Field, FieldPlan, Moment, count, stops, wait_until};

use super::{patience, seed};

#[test]
fn f31_nobody_who_has_left_is_mailed() -> Result<()> {
    let mut seed = seed();
    let residents = count(2_000, 10_000);
    let field = Field::start(FieldPlan {
        residents,
        workers: 2,
        connections: 4,
        ..FieldPlan::default()
    })?;
    let first = field.hand_over("First")?;
    field.wait_through(first, patience())?;
    let mut tokens = field.tokens(first);
    ensure!(tokens.len() == residents, "{} tokens", tokens.len());
    seed.shuffle(&mut tokens);

    // About as slow as they leave.
    field.sink.set_slowness(Duration::from_millis(60));
    let second = field.hand_over("Second")?;
    field.sink.wait_for_taken(second, 20, patience())?;
    field.all_leave(&tokens)?;
    field.roles.wait_for_sql(
        "SELECT count(*) FROM subscription WHERE state = 2",
        &residents.to_string(),
    )?;
    field.sink.set_slowness(Duration::ZERO);
    field.wait_through(second, patience())?;
    // The check itself holds every DATA against the commit of the unsubscribe.
    let tally = field.check(second)?;
    ensure!(tally.accepted + tally.suppressed == residents, "{tally:?}");
    ensure!(
        tally.accepted > 0 && tally.suppressed > 0,
        "no race: {tally:?}"
    );
    let latest = lateness(&field, second)?;
    eprintln!(
        "figures: DATA after the unsubscribe: {} mails, p99 {:?}",
        latest.len(),
        percentile_99(&latest)
    );
    Ok(())
}

/// How long after each unsubscribe a `DATA` still went out, where one did.
fn lateness(field: &Field, issue: u32) -> Result<Vec<Duration>> {
    let left = stops(&field.roles)?;
    let mut late: Vec<Duration> = field
        .sink
        .entries()
        .iter()
        .filter_map(|entry| {
            let stopped = left.get(entry.subscription(issue)?)?;
            entry.at_data?.duration_since(*stopped).ok()
        })
        .collect();
    late.sort();
    Ok(late)
}

fn percentile_99(sorted: &[Duration]) -> Duration {
    let at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

#[test]
fn f31_nobody_who_leaves_while_the_relay_thinks_is_mailed() -> Result<()> {
    let mut field = Field::start(FieldPlan {
        residents: 200,
        ..FieldPlan::default()
    })?;
    let first = field.hand_over("First")?;
    field.wait_through(first, patience())?;
    let tokens = field.tokens(first);
    // The relay takes commands one by one, and long over each recipient: between `RCPT TO` and `DATA`
    // there is time to leave.
    field.sink.lock_step();
    field.roles.delivers[0].stop()?;
    field.roles.delivers[0].resume()?;
    field.sink.plan(
        Moment::Rcpt,
        &Fault::Late(Duration::from_secs(6)),
        tokens.len(),
    );
    let begun = field.sink.recipients();
    let second = field.hand_over("Second")?;
    wait_until("recipients to be thought about", patience(), || {
        Ok(field.sink.recipients() >= begun + 4)
    })?;
    field.all_leave(&tokens)?;
    field.wait_through(second, patience())?;
    let tally = field.check(second)?;
    ensure!(tally.suppressed == tokens.len(), "{tally:?}");
    Ok(())
}

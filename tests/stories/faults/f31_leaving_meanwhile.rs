//! F31: everybody leaves, in any order, while an issue is on its way to them. Whoever left two seconds
//! before gets no mail, and each of them is either accepted or suppressed. F32: the same while the line of
//! one of two workers to the database swallows every byte: it must not go by what it knew.

use std::time::Duration;

use anyhow::{Result, ensure};
use support::{
    Effect, Fault, FaultProxy, Field, FieldPlan, Line, Moment, count, stops, wait_until,
};

use super::{links_of_a_first_issue, patience, seed};

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
    let mut tokens = links_of_a_first_issue(&field)?;
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
    looked_at(&field, residents * 2)?;
    Ok(())
}

/// Prints what the workers measured, once they have looked at everything that they sent.
fn looked_at(field: &Field, effects: usize) -> Result<()> {
    let asked = support::now();
    wait_until("what was sent to be looked at", patience(), || {
        Ok(asked.elapsed().unwrap_or_default() > Duration::from_secs(5))
    })?;
    let effect = Effect::of(&field.roles)?;
    eprintln!("figures: {effect}");
    let said = field.roles.command(&["ledger", "audit"])?.ok()?;
    ensure!(said.contains("was applied: 0."), "{said}");
    ensure!(
        effect.seen >= f64::from(u32::try_from(effects)?),
        "{effect}"
    );
    Ok(())
}

#[test]
fn f31_leaving_takes_effect_during_a_send_at_full_rate() -> Result<()> {
    let mut seed = seed();
    let residents = count(2_000, 20_000);
    let field = Field::start(FieldPlan {
        residents,
        workers: 2,
        connections: 10,
        ..FieldPlan::default()
    })?;
    let mut tokens = links_of_a_first_issue(&field)?;
    seed.shuffle(&mut tokens);
    tokens.truncate(residents / 4);
    let second = field.hand_over("Second")?;
    field.sink.wait_for_taken(second, 1, patience())?;
    field.all_leave(&tokens)?;
    let meanwhile = field.sink.taken_of(second);
    field.wait_through(second, patience())?;
    let tally = field.check(second)?;
    ensure!(tally.accepted + tally.suppressed == residents, "{tally:?}");
    eprintln!(
        "figures: {} left while {meanwhile} of {residents} mails went out; {} were suppressed",
        tokens.len(),
        tally.suppressed
    );
    field.roles.wait_for_sql(
        "SELECT count(*) FROM subscription WHERE state = 2",
        &tokens.len().to_string(),
    )?;
    looked_at(&field, tokens.len() * 2)
}

#[test]
fn f32_a_worker_that_hears_of_no_stop_mails_nobody() -> Result<()> {
    let residents = count(2_000, 10_000);
    let mut field = Field::prepare(
        FieldPlan {
            residents,
            workers: 2,
            connections: 4,
            ..FieldPlan::default()
        },
        |_| {},
    )?;
    field.roles.start_all()?;
    let tokens = links_of_a_first_issue(&field)?;
    field.roles.delivers[1].stop()?;
    let proxy = FaultProxy::before(field.roles.postgres.port())?;
    field.roles.reach_database_of_worker_by(2, proxy.port())?;
    field.roles.start_all()?;

    field.sink.set_slowness(Duration::from_millis(60));
    let second = field.hand_over("Second")?;
    field.sink.wait_for_taken(second, 40, patience())?;
    // One of two knows nothing from here on, and has recipients in hand.
    proxy.set(Line::Swallow);
    field.all_leave(&tokens)?;
    field.roles.wait_for_sql(
        "SELECT count(*) FROM subscription WHERE state = 2",
        &residents.to_string(),
    )?;
    field.sink.set_slowness(Duration::ZERO);
    let all_left = support::now();
    wait_until("a while without a word", patience(), || {
        Ok(all_left.elapsed().unwrap_or_default() > Duration::from_secs(8))
    })?;
    proxy.set(Line::Pass);
    field.wait_through(second, patience())?;
    let tally = field.check(second)?;
    ensure!(tally.accepted + tally.suppressed == residents, "{tally:?}");
    ensure!(
        tally.accepted > 0 && tally.suppressed > 0,
        "no race: {tally:?}"
    );
    let latest = lateness(&field, second)?;
    eprintln!(
        "figures: DATA after the unsubscribe: {} mails, p99 {:?}, the latest {:?}",
        latest.len(),
        percentile_99(&latest),
        latest.last()
    );
    looked_at(&field, residents)
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
    let tokens = links_of_a_first_issue(&field)?;
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

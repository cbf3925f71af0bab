//! LED-07: an issue is paused with most of it unsent, and people leave meanwhile, some of whom the relay
//! has put off. When it goes on, none of them gets it.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use support::{Effect, Fault, Field, FieldPlan, Moment, count};

use super::{links_of_a_first_issue, patience, seed};

#[test]
fn led07_whoever_leaves_while_an_issue_is_paused_never_gets_it() -> Result<()> {
    let mut seed = seed();
    let residents = count(2_000, 50_000);
    let field = Field::start(FieldPlan {
        residents,
        workers: 2,
        connections: 4,
        ..FieldPlan::default()
    })?;
    let mut tokens = links_of_a_first_issue(&field)?;
    seed.shuffle(&mut tokens);

    field
        .sink
        .set_slowness(std::time::Duration::from_millis(20));
    // The first 200 are put off: they wait for their second attempt.
    field
        .sink
        .plan(Moment::Rcpt, &Fault::Say("451 4.3.0 later".to_owned()), 200);
    let second = field.hand_over("Second")?;
    field.sink.wait_for_taken(second, 50, patience())?;
    let number = second.to_string();
    field.roles.command(&["issue", "pause", &number])?.ok()?;
    let deferred: BTreeSet<String> = field.in_states(second, "3")?.into_iter().collect();
    let waiting: BTreeSet<String> = field.in_states(second, "0")?.into_iter().collect();
    ensure!(
        !deferred.is_empty() && !waiting.is_empty(),
        "nothing is left to be sent"
    );

    // 500 leave, those whom the relay put off first of all.
    let subject = |token: &String| subscription_of(token);
    let (mut leaving, others): (Vec<String>, Vec<String>) = tokens
        .into_iter()
        .partition(|token| deferred.contains(&subject(token)));
    ensure!(leaving.len() > 10, "{} were put off", leaving.len());
    let more = others
        .into_iter()
        .filter(|token| waiting.contains(&subject(token)));
    leaving.extend(more.take(500_usize.saturating_sub(leaving.len())));
    let left: BTreeSet<String> = leaving.iter().map(subject).collect();
    field.all_leave(&leaving)?;
    field.roles.wait_for_sql(
        "SELECT count(*) FROM subscription WHERE state = 2",
        &left.len().to_string(),
    )?;
    field.sink.set_slowness(std::time::Duration::ZERO);
    field.sink.forget_plans();
    field.roles.command(&["issue", "resume", &number])?.ok()?;
    field.wait_through_retries(second, patience())?;
    let tally = field.check(second)?;
    let mailed = field
        .sink
        .entries()
        .iter()
        .filter(|entry| entry.is_taken())
        .filter_map(|entry| entry.subscription(second).map(str::to_owned))
        .filter(|subscription| left.contains(subscription))
        .count();
    ensure!(mailed == 0, "{mailed} of {} got it", left.len());
    ensure!(tally.suppressed == left.len(), "{tally:?}");
    eprintln!(
        "figures: {} left while {} waited, {} of them put off; {mailed} got it; {}",
        left.len(),
        waiting.len() + deferred.len(),
        deferred.len(),
        Effect::of(&field.roles)?
    );
    Ok(())
}

/// The subscription that a link is about: bytes 4 to 19 of its token.
fn subscription_of(token: &str) -> String {
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(token.as_bytes())
        .unwrap_or_default();
    bytes
        .get(4..20)
        .map(|subject| data_encoding::HEXLOWER.encode(subject))
        .unwrap_or_default()
}

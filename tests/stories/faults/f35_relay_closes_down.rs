//! F35: 421 at every moment. Before `MAIL FROM` it is no attempt; later only the one whose mail it was
//! waits; after the dot it is a refusal like any other, and nobody is in doubt.

use anyhow::{Result, ensure};
use support::{Fault, Field, FieldPlan, Moment, count};

use super::patience;

const CLOSING: &str = "421 4.3.2 shutting down";

#[test]
fn f35_a_relay_that_closes_down_delays_one_mail_and_no_other() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: 200,
        connections: 2,
        ..FieldPlan::default()
    })?;
    let times = count(1, 8);
    let closing = Fault::Say(CLOSING.into());
    // Before `MAIL FROM`: nobody's attempt.
    field.sink.plan(Moment::Banner, &closing, 1);
    field.sink.plan(Moment::Idle, &closing, times);
    let first = field.hand_over("First")?;
    field.wait_through_retries(first, patience())?;
    ensure!(field.sink.planned() == 0);
    let attempts =
        format!("SELECT max(attempt - uncounted) FROM delivery WHERE issue_id = {first}");
    ensure!(
        field.roles.sql(&attempts)? == "1",
        "421 before MAIL counts as an attempt"
    );
    let tally = field.check(first)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");

    let moments = [Moment::Mail, Moment::Rcpt, Moment::Data, Moment::Dot];
    for moment in moments {
        field.sink.plan(moment, &closing, times);
    }
    let second = field.hand_over("Second")?;
    field.sink.wait_for_taken(
        second,
        field.residents() - moments.len() * times,
        patience(),
    )?;
    let deferred = format!(
        "SELECT count(*) FROM delivery WHERE issue_id = {second} AND state = 3 AND code = 421"
    );
    let expected = (moments.len() * times).to_string();
    field.roles.wait_for_sql(&deferred, &expected)?;
    field.wait_through_retries(second, patience())?;
    let tally = field.check(second)?;
    ensure!(tally.uncertain == 0, "{tally:?}");
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    Ok(())
}

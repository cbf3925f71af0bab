//! Faults of the relay that last.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use support::{Fault, Field, FieldPlan, Moment, wait_until};

use crate::{PATIENCE, let_pass, seed};

#[test]
fn f37_a_250_that_is_nine_minutes_late_is_an_acceptance() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: 200,
        connections: 4,
        ..FieldPlan::default()
    })?;
    let late = Fault::Late(Duration::from_mins(9));
    field.sink.plan(Moment::Dot, &late, 1);
    let issue = field.hand_over("Bins")?;
    field
        .sink
        .wait_for_taken(issue, field.residents(), Duration::from_mins(1))?;
    field.wait_through(issue, PATIENCE)?;
    let tally = field.check(issue)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    Ok(())
}

#[test]
fn f38_a_line_that_drips_holds_up_nobody_on_another() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: 2_000,
        connections: 4,
        ..FieldPlan::default()
    })?;
    // The route is the relay: there is one. Two of its four lines drip.
    field
        .sink
        .plan(Moment::Rcpt, &Fault::Late(Duration::from_secs(50)), 2);
    let issue = field.hand_over("Bins")?;
    let others = field.residents() - 20;
    field
        .sink
        .wait_for_taken(issue, others, Duration::from_secs(45))?;
    field.wait_through_retries(issue, PATIENCE)?;
    let tally = field.check(issue)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    Ok(())
}

#[test]
fn f39_a_relay_that_says_later_to_all_is_left_in_peace() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: 2_000,
        connections: 10,
        ..FieldPlan::default()
    })?;
    let later = Fault::Say("451 4.3.0 later".into());
    field.sink.plan(Moment::Rcpt, &later, 1_000_000);
    let issue = field.hand_over("Bins")?;
    let deferred = format!("SELECT count(*) FROM delivery WHERE issue_id = {issue} AND state = 3");
    field.roles.wait_for_sql(&deferred, "2000")?;
    let (ticks, begun) = (
        cpu_ticks(field.roles.delivers[0].pid()?)?,
        field.sink.entries().len(),
    );
    let_pass(Duration::from_mins(5))?;
    let spent = cpu_ticks(field.roles.delivers[0].pid()?)? - ticks;
    let again = field.sink.entries().len() - begun;
    // The first second try is due seven and a half minutes after the first, at the earliest.
    eprintln!("figures: {again} tries in five minutes, {spent} ticks of CPU");
    ensure!(again == 0, "{again} tries before their time");
    ensure!(spent < 5 * 60 * 25, "{spent} ticks of 100 a second");
    let attempts = format!(
        "SELECT min(attempt - uncounted), max(attempt - uncounted) FROM delivery WHERE issue_id = {issue}"
    );
    ensure!(field.roles.sql(&attempts)? == "1|1");
    field.sink.forget_plans();
    field.wait_through_retries(issue, PATIENCE)?;
    let tally = field.check(issue)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    Ok(())
}

/// User and system time of a process, in ticks of a hundredth of a second.
fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

#[test]
fn f40_a_burst_of_refusals_holds_the_issue() -> Result<()> {
    let mut seed = seed();
    let field = Field::start(FieldPlan {
        residents: 2_000,
        connections: 4,
        ..FieldPlan::default()
    })?;
    for _ in 0..field.residents() {
        let said = match seed.below(100) {
            0..5 => "550 5.1.1 no such user",
            5..25 => "550 5.7.1 policy",
            _ => "250 2.1.5 fine",
        };
        field.sink.plan(Moment::Rcpt, &Fault::Say(said.into()), 1);
    }
    let issue = field.hand_over("Bins")?;
    let state = format!("SELECT state FROM issue WHERE id = {issue}");
    wait_until("the issue to be held", PATIENCE, || {
        Ok(field.roles.sql(&state)? == "7")
    })?;
    let_pass(Duration::from_secs(5))?;
    let messages = field.sink.entries().len();
    let status = field
        .roles
        .command(&["issue", "status", &issue.to_string()])?
        .ok()?;
    eprintln!("figures: held after {messages} messages: {status}");
    ensure!(status.contains("held"), "{status}");
    let policy = "SELECT count(*) FROM suppression";
    let users =
        format!("SELECT count(*) FROM delivery WHERE issue_id = {issue} AND enhanced = '5.1.1'");
    eprintln!(
        "figures: {} suppressions, {} of 5.1.1",
        field.roles.sql(policy)?,
        field.roles.sql(&users)?
    );
    ensure!(messages <= 1_500, "{messages} messages");
    Ok(())
}

#[test]
fn f41_three_workers_keep_one_cap_though_one_is_killed() -> Result<()> {
    const CAP: usize = 50;
    let mut field = Field::start(FieldPlan {
        residents: 20_000,
        workers: 3,
        connections: 5,
        words: vec!["--rate=50"],
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 20 * CAP, PATIENCE)?;
    field.roles.delivers[1].kill()?;
    let_pass(Duration::from_mins(1))?;
    field.roles.delivers[1].resume()?;
    let_pass(Duration::from_mins(1))?;
    let mut mails: Vec<SystemTime> = field
        .sink
        .entries()
        .iter()
        .map(|entry| entry.at_mail)
        .collect();
    mails.sort();
    let window = Duration::from_mins(1);
    let most = mails
        .iter()
        .enumerate()
        .map(|(first, begin)| {
            mails[first..]
                .partition_point(|at| at.duration_since(*begin).unwrap_or_default() < window)
        })
        .max()
        .unwrap_or_default();
    let all = mails.len();
    eprintln!(
        "figures: at most {most} mails in a minute of {all}; the cap is {}",
        CAP * 60
    );
    ensure!(most <= CAP * 60 * 105 / 100, "{most} mails in a minute");
    ensure!(most >= CAP * 60 / 2, "only {most} mails in a minute");
    field
        .roles
        .command(&["issue", "cancel", &issue.to_string()])?
        .ok()?;
    field.wait_through(issue, PATIENCE)?;
    field.check(issue)?;
    Ok(())
}

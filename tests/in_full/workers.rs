//! Workers that lose their folder, freeze, or die all the time.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use support::{BrokerNode, Field, FieldPlan, Vhost, count, now, wait_until};

use crate::{PATIENCE, let_pass, seed};

/// The most that a worker has claimed at a time.
const WINDOW: usize = 200;

#[test]
fn f04_a_worker_that_lost_its_folder_leaves_no_more_than_its_window_in_doubt() -> Result<()> {
    let mut seed = seed();
    let mut field = Field::start(FieldPlan {
        residents: 20_000,
        workers: 2,
        connections: 10,
        slowness: Duration::from_millis(150),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    let (mut kills, mut lost) = (0, 0);
    for kill in 0..20 {
        let before = field.sink.taken_of(issue);
        if before + 500 > field.residents() {
            break;
        }
        let more = before + 1 + usize::try_from(seed.below(200))?;
        field.sink.wait_for_taken(issue, more, PATIENCE)?;
        let worker = &mut field.roles.delivers[kill % 2];
        worker.kill()?;
        kills += 1;
        if kill % 4 == 0 {
            fs::remove_dir_all(worker.data())?;
            lost += 1;
        }
        worker.resume()?;
    }
    ensure!(lost >= 3, "only {lost} folders were lost");
    // The dead are buried after a minute of silence.
    field.wait_through(issue, PATIENCE)?;
    let tally = field.check(issue)?;
    eprintln!("figures: {kills} kills, {lost} folders lost");
    ensure!(tally.uncertain <= lost * WINDOW + kills * 10, "{tally:?}");
    Ok(())
}

#[test]
fn f05_a_worker_that_was_frozen_ends_no_mail_when_it_wakes() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: count(2_000, 20_000),
        workers: 2,
        connections: 10,
        slowness: Duration::from_millis(100),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 500, PATIENCE)?;
    let frozen = &field.roles.delivers[0];
    let claimed = format!("SELECT count(*) FROM delivery WHERE issue_id = {issue} AND state = 1");
    frozen.signal(Signal::SIGSTOP)?;
    eprintln!("figures: {} rows were claimed", field.roles.sql(&claimed)?);
    let_pass(Duration::from_secs(count(100, 180) as u64))?;
    // All that it had is decided on by now, whatever it does.
    field.wait_through(issue, PATIENCE)?;
    let woken = now();
    frozen.signal(Signal::SIGCONT)?;
    let_pass(Duration::from_secs(20))?;
    let late = field.sink.entries();
    let late = late
        .iter()
        .filter(|entry| entry.at_dot.is_some_and(|dot| dot > woken))
        .count();
    let trips = frozen.metric("letterbox_fence_trips_total", "")?;
    eprintln!("figures: {late} dots after it woke, {trips} fence trips");
    ensure!(late == 0, "{late} dots after it woke");
    field.check(issue)?;
    // And it works again.
    frozen.admin().get("/readyz")?;
    let second = field.hand_over("Second")?;
    field.wait_through(second, PATIENCE)?;
    field.check(second)?;
    Ok(())
}

#[test]
fn f08_relays_sweepers_and_reapers_that_die_all_the_time_lose_nobody() -> Result<()> {
    let mut seed = seed();
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut field = Field::start(FieldPlan {
        residents: 2_000,
        workers: 3,
        connections: 5,
        broker: Some(vhost),
        slowness: Duration::from_millis(20),
        ..FieldPlan::default()
    })?;
    let began = Instant::now();
    let mut issues = Vec::new();
    while began.elapsed() < Duration::from_mins(10) {
        issues.push(field.hand_over(&format!("Issue {}", issues.len()))?);
        for _ in 0..6 {
            std::thread::sleep(Duration::from_millis(seed.below(1_500)));
            let number = usize::try_from(seed.below(3))?;
            let worker = &mut field.roles.delivers[number];
            worker.kill()?;
            worker.resume()?;
        }
    }
    for issue in &issues {
        field.wait_through(*issue, PATIENCE)?;
        field
            .check(*issue)
            .with_context(|| format!("issue {issue}"))?;
    }
    wait_until("the outbox to be empty", PATIENCE, || {
        Ok(field.roles.sql("SELECT count(*) FROM outbox")? == "0")
    })?;
    eprintln!("figures: {} issues", issues.len());
    Ok(())
}

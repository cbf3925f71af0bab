//! F48: a million recipients. What each process holds does not depend on how many there are.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{BrokerNode, Field, FieldPlan, Vhost, wait_until};

use crate::PATIENCE;
use crate::database::add_residents_whom_nobody_can_open;

const MANY: usize = 1_000_000;
const REAL: usize = 2_000;
/// The most that a worker may hold, and a web role (`reliability.md` 8.2), in KiB.
const WORKER: u64 = 200 * 1_024;
const WEB: u64 = 120 * 1_024;
/// By how much the broker may grow, and how large the rows of the issue may be.
const BROKER: u64 = 100 * 1_024;
const ROWS: u64 = 300 << 20;

#[test]
fn f48_a_million_recipients_fit_into_small_processes() -> Result<()> {
    let node = BrokerNode::start()?;
    let mut field = Field::prepare(
        FieldPlan {
            residents: REAL,
            workers: 2,
            connections: 10,
            broker: Some(Vhost::of(&node)?),
            ..FieldPlan::default()
        },
        |_| {},
    )?;
    // Before any worker runs, which would clear away who reads nothing.
    add_residents_whom_nobody_can_open(&field, MANY)?;
    field.roles.start_all()?;
    let broker = node.pid().context("RabbitMQ does not run")?.as_raw();
    let broker_before = kilobytes(broker, "VmRSS:")?;

    let issue = field.hand_over("Bins")?;
    let complete = format!("SELECT fanned_out_at IS NOT NULL FROM issue WHERE id = {issue}");
    let mut broker_most = broker_before;
    wait_until("the audience to be complete", PATIENCE, || {
        broker_most = broker_most.max(kilobytes(broker, "VmRSS:")?);
        Ok(field.roles.sql(&complete)? == "t")
    })?;
    let partition = format!(
        "SELECT pg_total_relation_size(tableoid) FROM delivery WHERE issue_id = {issue} LIMIT 1"
    );
    let rows: u64 = field.roles.sql(&partition)?.parse()?;
    // Those who can be mailed are, beside all who cannot; these count as tried and failed.
    field.sink.wait_for_taken(issue, REAL, PATIENCE)?;
    wait_until("many to be through", PATIENCE, || {
        broker_most = broker_most.max(kilobytes(broker, "VmRSS:")?);
        let through = format!(
            "SELECT count(*) >= 50000 OR (SELECT state <> 3 FROM issue WHERE id = {issue})
             FROM delivery WHERE issue_id = {issue} AND state NOT IN (0, 1)"
        );
        Ok(field.roles.sql(&through)? == "t")
    })?;
    let number = issue.to_string();
    field.roles.command(&["issue", "cancel", &number])?.ok()?;
    let waiting =
        format!("SELECT count(*) FROM delivery WHERE issue_id = {issue} AND state IN (0, 1, 3)");
    wait_until("the rest to be cancelled", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(1));
        Ok(field.roles.sql(&waiting)? == "0")
    })?;

    let all = format!("SELECT count(*) FROM delivery WHERE issue_id = {issue}");
    ensure!(field.roles.sql(&all)? == MANY.to_string());
    let grown = broker_most.saturating_sub(broker_before);
    let peak = |role: &support::RoleProcess| -> Result<u64> {
        kilobytes(i32::try_from(role.pid()?)?, "VmHWM:").with_context(|| role.name.clone())
    };
    let workers = [
        peak(&field.roles.delivers[0])?,
        peak(&field.roles.delivers[1])?,
    ];
    let web = peak(&field.roles.intakes[0])?;
    eprintln!(
        "figures: workers {workers:?} KiB at most, intake {web} KiB, the broker grew by {grown} KiB, \
         rows and their index {} MiB",
        rows >> 20
    );
    ensure!(
        workers.iter().all(|peak| *peak <= WORKER),
        "{workers:?} KiB"
    );
    ensure!(web <= WEB, "{web} KiB");
    ensure!(grown <= BROKER, "the broker grew by {grown} KiB");
    ensure!(rows <= ROWS, "{} MiB of rows", rows >> 20);
    Ok(())
}

/// What the system says of a process's memory.
fn kilobytes(pid: i32, what: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(what));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.with_context(|| format!("no {what}"))?.parse()?)
}

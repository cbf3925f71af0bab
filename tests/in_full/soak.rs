//! F53: a fault every 30 seconds for 20 minutes, with mail all the time. In the end the ledger is clean,
//! and nothing has grown.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use support::{BrokerNode, Fault, FaultProxy, Field, FieldPlan, Line, Moment, Vhost, wait_until};

use crate::{PATIENCE, seed};

const LENGTH: Duration = Duration::from_mins(20);
const EVERY: Duration = Duration::from_secs(30);

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Holds {
    kilobytes: u64,
    files: usize,
    threads: usize,
}

fn holds(pid: u32) -> Result<Holds> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let count = |what: &str| -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{pid}/{what}"))?.count())
    };
    Ok(Holds {
        kilobytes: kilobytes.context("no VmRSS")?.parse()?,
        files: count("fd")?,
        threads: count("task")?,
    })
}

#[test]
fn f53_twenty_minutes_of_faults_leave_a_clean_ledger_and_no_growth() -> Result<()> {
    let mut seed = seed();
    let node = BrokerNode::start()?;
    let mut field = Field::prepare(
        FieldPlan {
            residents: 2_000,
            workers: 2,
            connections: 5,
            broker: Some(Vhost::of(&node)?),
            slowness: Duration::from_millis(80),
            ..FieldPlan::default()
        },
        |_| {},
    )?;
    let proxy = FaultProxy::before(field.roles.postgres.port())?;
    field.roles.reach_database_by("deliver", proxy.port())?;
    field.roles.start_all()?;
    let (began, mut last_fault) = (Instant::now(), Instant::now());
    let (mut issues, mut faults, mut first) = (Vec::new(), 0, None);
    while began.elapsed() < LENGTH {
        let issue = field.hand_over(&format!("Issue {}", issues.len()))?;
        issues.push(issue);
        let through = format!(
            "SELECT count(*) FROM delivery WHERE issue_id = {issue} AND state IN (0, 1, 3)
             HAVING count(*) = 0 AND (SELECT fanned_out_at IS NOT NULL FROM issue WHERE id = {issue})"
        );
        while began.elapsed() < LENGTH && field.roles.sql(&through).unwrap_or_default() != "0" {
            if last_fault.elapsed() >= EVERY {
                cause_a_fault(&mut field, &node, &proxy, seed.below(8))?;
                (last_fault, faults) = (Instant::now(), faults + 1);
            }
            field.hasten(issue).ok();
            std::thread::sleep(Duration::from_millis(500));
        }
        // The process that is never killed, from when it is warm.
        if first.is_none() && began.elapsed() > Duration::from_mins(3) {
            first = Some((Instant::now(), holds(field.roles.intakes[0].pid()?)?));
        }
    }
    proxy.set(Line::Pass);
    let last = holds(field.roles.intakes[0].pid()?)?;
    for issue in &issues {
        field.wait_through_retries(*issue, PATIENCE)?;
        field
            .check(*issue)
            .with_context(|| format!("issue {issue}"))?;
    }
    wait_until("the outbox to be empty", PATIENCE, || {
        Ok(field.roles.sql("SELECT count(*) FROM outbox")? == "0")
    })?;
    let (at, first) = first.context("it ended too early")?;
    let hours = at.elapsed().as_secs_f64() / 3_600.0;
    eprintln!(
        "figures: {} issues, {faults} faults; {first:?}, {hours:.2} h later {last:?}",
        issues.len()
    );
    ensure!(
        last.files <= first.files + 10 && last.threads <= first.threads + 4,
        "{first:?} {last:?}"
    );
    ensure!(
        last.kilobytes <= first.kilobytes + 4_096,
        "{first:?} {last:?}"
    );
    for worker in &field.roles.delivers {
        let pending = worker.metric("letterbox_journal_pending_records", "")?;
        ensure!(
            pending < 1.0,
            "{}: {pending} records of the journal are pending",
            worker.name
        );
    }
    Ok(())
}

fn cause_a_fault(
    field: &mut Field,
    node: &BrokerNode,
    proxy: &FaultProxy,
    which: u64,
) -> Result<()> {
    match which {
        0 | 1 => {
            let number = usize::from(which == 1);
            field.roles.delivers[number].kill()?;
            field.roles.delivers[number].resume()?;
        }
        2 => {
            field.roles.postgres.crash()?;
            field.roles.postgres.resume()?;
        }
        3 => {
            node.kill()?;
            node.resume()?;
        }
        4 => proxy.reset_at(b"COMMIT\0", 3),
        5 => {
            proxy.set(Line::Swallow);
            std::thread::sleep(Duration::from_secs(5));
            proxy.set(Line::Pass);
        }
        6 => {
            for moment in [Moment::Mail, Moment::Data, Moment::Dot] {
                field.sink.plan(moment, &Fault::Rst, 1);
            }
        }
        _ => field
            .sink
            .plan(Moment::Dot, &Fault::Say("451 4.3.0 later".into()), 20),
    }
    Ok(())
}

//! F43: the time of day of a worker, a web role or the database jumps an hour forward or back while an
//! issue goes out. A worker whose clock and that of a role with stops disagree cannot know whether that
//! role is alive: it waits and says so. Nobody is lost, mailed twice or given up for it, and when the
//! clocks agree again sending goes on by itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use support::{Fault, Field, FieldPlan, Moment, MovedClock, count, wait_until};

use super::patience;

const HOUR: i64 = 3_600;
const MOMENT: Duration = Duration::from_secs(20);
/// Of the first worker, the second, the role with the stops, and the database: where each clock stands
/// after a jump.
const JUMPS: [[i64; 4]; 8] = [
    [HOUR, 0, 0, 0],
    [0, -HOUR, 0, 0],
    [HOUR, -HOUR, 0, 0],
    [0, 0, HOUR, 0],
    [0, 0, 0, HOUR],
    [0, 0, 0, -HOUR],
    [HOUR, HOUR, HOUR, HOUR],
    [-HOUR, -HOUR, -HOUR, -HOUR],
];
const WORKERS: usize = 2;
const STOPS: usize = 2;
const DATABASE: usize = 3;

#[test]
fn f43_clocks_that_jump_cost_nobody_a_mail() -> Result<()> {
    let clocks: Vec<MovedClock> = (0..4).map(|_| MovedClock::new()).collect::<Result<_>>()?;
    let mut field = Field::prepare(
        FieldPlan {
            residents: count(2_000, 20_000),
            workers: WORKERS,
            connections: 2,
            slowness: Duration::from_millis(20),
            ..FieldPlan::default()
        },
        |_| {},
    )?;
    field.roles.postgres.stop()?;
    field
        .roles
        .postgres
        .set_environment(clocks[DATABASE].environment());
    field.roles.postgres.resume()?;
    let roles = &mut field.roles;
    let stops = &mut roles.unsubscribes[0];
    for (role, clock) in roles.delivers.iter_mut().chain([stops]).zip(&clocks) {
        for (name, value) in clock.environment() {
            role.set_environment(name, Some(&value));
        }
    }
    field.roles.start_all()?;
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 50, patience())?;
    let step = field.residents() / (2 * JUMPS.len() + 2);
    for jump in JUMPS {
        // Some wait for a second try at each jump, which a clock may bring on too soon or too late.
        let later = Fault::Say("451 4.3.0 later".into());
        field.sink.plan(Moment::Dot, &later, 5);
        set(&clocks, jump)?;
        let before = field.sink.taken_of(issue);
        // Whoever keeps the time of the role with the stops has no reason to wait.
        let agree = jump[..WORKERS].iter().any(|clock| *clock == jump[STOPS]);
        let (jumped, mut sends) = (Instant::now(), false);
        wait_until("mails, or a reason", MOMENT, || {
            sends = field.sink.taken_of(issue) >= before + step;
            Ok(sends || (!agree && all_wait(&field)?))
        })
        .with_context(|| format!("after the jump to {jump:?} s"))?;
        let what = if sends {
            "mails went on"
        } else {
            "workers say why they wait"
        };
        eprintln!("figures: after {jump:?} {what}, {:?}", jumped.elapsed());

        set(&clocks, [0; 4])?;
        let before = field.sink.taken_of(issue);
        field
            .sink
            .wait_for_taken(issue, before + step, patience())
            .with_context(|| format!("when the clocks were right again after {jump:?} s"))?;
    }
    sees_the_clock(&field, &clocks)?;
    field.wait_through_retries(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    Ok(())
}

fn set(clocks: &[MovedClock], jump: [i64; 4]) -> Result<()> {
    clocks
        .iter()
        .zip(jump)
        .try_for_each(|(clock, seconds)| clock.set(seconds))
}

/// Whether every worker says that bulk waits for a role that seems to be gone.
fn all_wait(field: &Field) -> Result<bool> {
    for worker in &field.roles.delivers {
        let closed = worker.metric("letterbox_barrier_closed", "silent_spool")?;
        if closed < 1.0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// That the clocks above were moved at all.
fn sees_the_clock(field: &Field, clocks: &[MovedClock]) -> Result<()> {
    let ahead = || -> Result<i64> {
        let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let told = field
            .roles
            .sql("SELECT extract(epoch FROM clock_timestamp())::bigint")?;
        Ok(told.parse::<i64>()? - i64::try_from(now)?)
    };
    ensure!(ahead()?.abs() < 60);
    clocks[DATABASE].set(HOUR)?;
    let moved = ahead()?;
    clocks[DATABASE].set(0)?;
    ensure!((moved - HOUR).abs() < 60, "the database is {moved} s ahead");
    // A line of the log of a worker begins with the time.
    let log = field.roles.delivers[0].log();
    let hours: std::collections::BTreeSet<&str> =
        log.lines().filter_map(|line| line.get(11..13)).collect();
    ensure!(hours.len() >= 2, "the worker saw the hours {hours:?} only");
    Ok(())
}

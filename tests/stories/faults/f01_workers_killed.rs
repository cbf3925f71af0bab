//! F01: `kill -9` of one worker after another at random instants, with mails on the wire. Nobody gets a
//! second copy, nobody is lost, and whoever is in doubt had a mail between dot and reply at a kill.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use support::{Entry, Field, FieldPlan, count, now, wait_until};

use super::{patience, residents, seed};

const CONNECTIONS: usize = 10;
/// A dot goes out so long before the kill that leaves it in doubt, at most.
const ON_THE_WIRE: Duration = Duration::from_secs(1);

#[test]
fn f01_nobody_is_lost_or_mailed_twice_by_kills() -> Result<()> {
    let mut seed = seed();
    let kills = count(5, 50);
    let mut field = Field::start(FieldPlan {
        residents: residents(),
        workers: 2,
        connections: CONNECTIONS,
        // So slow that the issue lasts for all kills.
        slowness: Duration::from_millis(150),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    let mut killed_at = Vec::new();
    for kill in 0..kills {
        let before = field.sink.taken_of(issue);
        if before + 100 > field.residents() {
            break;
        }
        let more = before + 1 + usize::try_from(seed.below(60))?;
        field.sink.wait_for_taken(issue, more, patience())?;
        // A moment, not a wait for anything.
        std::thread::sleep(Duration::from_millis(seed.below(100)));
        let worker = &mut field.roles.delivers[kill % 2];
        worker.kill()?;
        // Not before: a dot may go out while the signal is on its way.
        killed_at.push(now());
        worker.resume()?;
    }
    ensure!(
        killed_at.len() >= count(3, 30),
        "only {} kills",
        killed_at.len()
    );
    field.wait_through(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(
        tally.uncertain <= killed_at.len() * CONNECTIONS,
        "{tally:?} after {} kills",
        killed_at.len()
    );
    ensure!(
        tally.uncertain > 0,
        "no kill hit a mail on the wire: {tally:?}"
    );
    let entries = field.sink.entries();
    for subscription in field.in_states(issue, "6, 9")? {
        was_on_the_wire(&entries, &subscription, issue, &killed_at)?;
    }
    Ok(())
}

/// A message that is in doubt was between its dot and its reply when a worker was killed, or its dot was
/// written down and never left.
fn was_on_the_wire(
    entries: &[Entry],
    subscription: &str,
    issue: u32,
    killed_at: &[SystemTime],
) -> Result<()> {
    let mut theirs = entries
        .iter()
        .filter(|entry| entry.subscription(issue) == Some(subscription));
    let Some(entry) = theirs.find(|entry| entry.at_dot.is_some()) else {
        return Ok(());
    };
    let dot = entry.at_dot.context("no dot")?;
    let before_a_kill = |kill: &SystemTime| {
        kill.duration_since(dot)
            .is_ok_and(|before| before <= ON_THE_WIRE)
    };
    ensure!(
        killed_at.iter().any(before_a_kill),
        "{subscription} is in doubt, and no worker was killed after its dot"
    );
    Ok(())
}

#[test]
fn f02_what_is_in_doubt_is_sent_again_where_the_policy_says_so() -> Result<()> {
    let mut seed = seed();
    let mut field = Field::start(FieldPlan {
        residents: count(200, 20_000),
        workers: 1,
        connections: CONNECTIONS,
        slowness: Duration::from_millis(count(300, 150) as u64),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    let resend = format!("UPDATE issue SET in_doubt_policy = 1 WHERE id = {issue}");
    field.roles.sql(&resend)?;
    for _ in 0..count(2, 50) {
        let more = field.sink.taken_of(issue) + 20;
        if more + 50 > field.residents() {
            break;
        }
        field.sink.wait_for_taken(issue, more, patience())?;
        std::thread::sleep(Duration::from_millis(seed.below(200)));
        field.roles.delivers[0].kill()?;
        field.roles.delivers[0].resume()?;
    }
    field.wait_through(issue, patience())?;
    let doubted = field.in_states(issue, "6")?.len();
    ensure!(doubted > 0, "no kill hit a mail on the wire");
    field.let_doubts_age(issue)?;
    wait_until("all to be accepted", patience(), || {
        Ok(field.in_states(issue, "2")?.len() == field.residents())
    })?;
    let check = support::LedgerCheck {
        resends: true,
        ..support::LedgerCheck::of(issue)
    };
    let tally = check.run(&field.roles, &field.sink.entries())?;
    eprintln!("figures: {doubted} were in doubt; {tally:?}");
    ensure!(
        tally.extra <= doubted,
        "{} extra copies of {doubted}",
        tally.extra
    );
    Ok(())
}

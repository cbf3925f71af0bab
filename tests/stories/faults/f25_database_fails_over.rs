//! F25: PostgreSQL dies and a standby takes over, which did not hear of the last seconds. Workers know by
//! their journals whom the relay has accepted: they say so again before anything is sent. Where the
//! standby is synchronous there is nothing to say, even by a worker that lost its folder.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use support::{FaultProxy, Field, FieldPlan, Line, PostgresNode, count, now, wait_until};

use super::{patience, residents};

/// What the standby does not hear of.
const LAG: Duration = Duration::from_secs(5);
/// Nothing is claimed for 30 seconds after the timeline changed (`reliability.md` 1.12): for so long at
/// the least, whatever was on its way when the server died.
const HOLD: Duration = Duration::from_secs(25);
const SYNCHRONOUS: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=on",
    "synchronous_standby_names=*",
];

/// A field whose roles all reach the database by an address that follows whoever is in charge.
struct Pair {
    field: Field,
    address: FaultProxy,
    /// Between the two servers.
    stream: FaultProxy,
    standby: PostgresNode,
}

impl Pair {
    fn start(workers: usize, settings: &'static [&'static str]) -> Result<Self> {
        let mut field = Field::prepare(
            FieldPlan {
                residents: residents(),
                workers,
                connections: 4,
                slowness: Duration::from_millis(40),
                ..FieldPlan::default()
            },
            |_| {},
        )?;
        let stream = FaultProxy::before(field.roles.postgres.port())?;
        let standby = field
            .roles
            .postgres
            .standby_over(stream.port(), &["fsync=off"])?;
        // From here on, so that the standby need not be there before the server.
        field.roles.postgres.stop()?;
        field.roles.postgres.set_settings(settings);
        field.roles.postgres.resume()?;
        let address = FaultProxy::before(field.roles.postgres.port())?;
        for role in ["intake", "unsubscribe", "deliver"] {
            field.roles.reach_database_by(role, address.port())?;
        }
        let streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        field.roles.wait_for_sql(streams, "1")?;
        field.roles.start_all()?;
        Ok(Self {
            field,
            address,
            stream,
            standby,
        })
    }

    /// The server dies, and the standby takes its place; gives when it did.
    fn fail_over(self) -> Result<(Field, FaultProxy, SystemTime)> {
        let Self {
            mut field,
            address,
            stream,
            standby,
        } = self;
        field.roles.postgres.kill()?;
        stream.set(Line::Refuse);
        stream.cut();
        standby.promote()?;
        let promoted = now();
        address.lead_to(standby.port());
        field.roles.postgres = standby;
        Ok((field, address, promoted))
    }
}

#[test]
fn f25_what_the_standby_did_not_hear_is_said_again_from_the_journals() -> Result<()> {
    let pair = Pair::start(2, &["fsync=off"])?;
    let issue = pair.field.hand_over("Bins")?;
    pair.field.sink.wait_for_taken(issue, 100, patience())?;
    let accepted = format!("SELECT count(*) FROM delivery WHERE issue_id = {issue} AND state = 2");
    pair.stream.set(Line::Swallow);
    let silent = now();
    wait_until("the standby to lag", 2 * LAG, || {
        Ok(silent.elapsed()? >= LAG)
    })?;
    let before: usize = pair.field.roles.sql(&accepted)?.parse()?;
    let (field, _address, promoted) = pair.fail_over()?;
    let known: usize = field.roles.sql(&accepted)?.parse()?;
    eprintln!("figures: {before} accepted, the standby knows of {known}");
    ensure!(known < before, "the standby heard of everything");

    // The hold comes on top of it.
    field
        .wait_through(issue, 2 * patience())
        .with_context(|| field.roles.delivers[0].log())?;
    let tally = field.check(issue)?;
    ensure!(
        tally.accepted + tally.uncertain == field.residents(),
        "{tally:?}"
    );
    // Dots that were out when the server died are in the journal with their reply, like all others.
    ensure!(tally.uncertain == 0, "{tally:?}");
    let entries = field.sink.entries();
    let next = entries
        .iter()
        .map(|entry| entry.at_mail)
        .filter(|at| *at > promoted + Duration::from_secs(5))
        .min()
        .context("nothing was sent after the failover")?;
    let held = next.duration_since(promoted)?;
    eprintln!("figures: the next mail {held:?} after the promotion");
    ensure!(held >= HOLD, "claims were held for {held:?} only");
    Ok(())
}

#[test]
fn f25_behind_a_synchronous_standby_nothing_is_lost_though_the_journals_are() -> Result<()> {
    let pair = Pair::start(2, &SYNCHRONOUS)?;
    let issue = pair.field.hand_over("Bins")?;
    let more = count(200, 2_000);
    pair.field.sink.wait_for_taken(issue, more, patience())?;
    let (mut field, _address, _) = pair.fail_over()?;
    for worker in &mut field.roles.delivers {
        worker.kill()?;
        fs::remove_dir_all(worker.data())?;
    }
    for worker in &mut field.roles.delivers {
        worker.resume()?;
    }
    field.wait_through(issue, patience())?;
    let tally = field.check(issue)?;
    // At most what both had claimed.
    ensure!(tally.uncertain <= 400, "{tally:?}");
    ensure!(
        tally.accepted + tally.uncertain == field.residents(),
        "{tally:?}"
    );
    Ok(())
}

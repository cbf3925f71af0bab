//! LED-03: everybody leaves at once over three roles, while every process is killed again and again. Each
//! has one entry, the chain has no gap and no fork, and its checkpoints prove it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{Field, FieldPlan, Roles, Seed, count};

use super::{links_of_a_first_issue, seed};
use crate::killed_at_random::insist;

/// `letterbox ledger verify` with all that lies outside of the database.
pub(crate) fn verify(roles: &Roles) -> Result<String> {
    let checkpoints: Vec<String> = roles
        .delivers
        .iter()
        .map(|deliver| deliver.data().join("checkpoints.jsonl"))
        .map(|path| path.display().to_string())
        .collect();
    let keys = roles.keys().join("deliver").display().to_string();
    let mut words = vec!["ledger", "verify", "--keys", &keys];
    for file in &checkpoints {
        words.extend(["--checkpoints", file]);
    }
    roles.command(&words)?.ok()
}

fn kill_all_round(roles: &mut Roles, seed: &mut Seed, done: &AtomicBool) -> Result<usize> {
    let mut kills = 0;
    while !done.load(Ordering::SeqCst) {
        let number = usize::try_from(seed.below(6))?;
        // A moment, not a wait for anything.
        std::thread::sleep(Duration::from_millis(seed.below(400)));
        let role = roles.all_mut().nth(number).context("there are six")?;
        role.kill()?;
        role.resume()?;
        kills += 1;
    }
    Ok(kills)
}

#[test]
fn led03_all_leave_over_three_roles_that_are_killed() -> Result<()> {
    let mut seed = seed();
    let residents = count(300, 10_000);
    let plan = FieldPlan {
        residents,
        workers: 2,
        ..FieldPlan::default()
    };
    let mut field = Field::start_with(plan, |roles| roles.unsubscribes = 3)?;
    let tokens = links_of_a_first_issue(&field)?;
    ensure!(tokens.len() == residents, "{} links", tokens.len());

    let web = field.roles.web();
    let done = AtomicBool::new(false);
    let kills = std::thread::scope(|scope| {
        let leaving: Vec<_> = tokens
            .chunks(tokens.len().div_ceil(8))
            .map(|part| {
                let web = &web;
                scope.spawn(move || {
                    part.iter().try_for_each(|token| {
                        let link = format!("/u/{token}");
                        let body = [("List-Unsubscribe", "One-Click")];
                        insist(|| web.post_form(&link, &body), 200)
                    })
                })
            })
            .collect();
        let (roles, seed, done) = (&mut field.roles, &mut seed, &done);
        let killer = scope.spawn(move || kill_all_round(roles, seed, done));
        let left: Vec<Result<()>> = leaving
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        done.store(true, Ordering::SeqCst);
        let kills = killer.join().unwrap()?;
        left.into_iter().collect::<Result<Vec<()>>>()?;
        anyhow::Ok(kills)
    })?;
    let stopped = "SELECT count(*) FROM ledger_entry WHERE effect = 0";
    field.roles.wait_for_sql(stopped, &residents.to_string())?;
    field
        .roles
        .wait_for_sql("SELECT count(*) FROM request_inbox", "0")?;
    for (statement, value) in [
        (
            "SELECT count(DISTINCT subscription_id) FROM ledger_entry WHERE effect = 0",
            residents.to_string(),
        ),
        (
            "SELECT count(*) FROM subscription WHERE state = 1",
            "0".to_owned(),
        ),
        (
            "SELECT max(seq) = count(*) FROM ledger_entry",
            "t".to_owned(),
        ),
        ("SELECT count(*) FROM dead_request", "0".to_owned()),
    ] {
        assert_eq!(field.roles.sql(statement)?, value, "{statement}");
    }
    let said = verify(&field.roles)?;
    ensure!(said.contains("The ledger is whole"), "{said}");
    eprintln!("figures: {residents} left while processes were killed {kills} times; {said}");
    Ok(())
}

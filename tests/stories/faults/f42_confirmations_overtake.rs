//! F42: people sign up while an issue goes out to everybody. Their confirmations do not wait for it.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use support::{DEADLINE, Entry, Field, FieldPlan, all_sign_up, count, now, wait_for};

use super::{patience, residents};

#[test]
fn f42_a_confirmation_does_not_wait_for_an_issue() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: residents(),
        connections: 4,
        slowness: Duration::from_millis(60),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 20, patience())?;
    let mut waits = Vec::new();
    for number in 0..count(6, 60) {
        let address = format!("newcomer{number}@example.org");
        let began = now();
        all_sign_up(&field.roles, std::slice::from_ref(&address))?;
        let came = wait_for("a confirmation", DEADLINE, || {
            let entries = field.sink.entries();
            let mut theirs = entries.iter().filter(|entry| entry.recipient == address);
            Ok(theirs.find(|entry| entry.is_taken()).map(reply_of))
        })?;
        let came = came.context("no reply")?;
        ensure!(
            field.sink.taken_of(issue) < field.residents(),
            "the confirmation for {address} came when the issue was over"
        );
        waits.push(came.duration_since(began).unwrap_or_default());
    }
    waits.sort();
    eprintln!(
        "figures: sign-up to 250: median {:?}, longest {:?}",
        waits[waits.len() / 2],
        waits.last()
    );
    field.sink.set_slowness(Duration::ZERO);
    field.wait_through(issue, patience())?;
    field.check(issue)?;
    Ok(())
}

const fn reply_of(entry: &Entry) -> Option<SystemTime> {
    entry.at_reply
}

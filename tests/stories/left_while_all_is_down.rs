//! People leave while the database and the broker are away and their role is killed: each of them is
//! recorded once, at their own time, and none gets the issue that waited (LED-05, F29, issue 5).

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Result, ensure};
use support::{
    BrokerNode, DEADLINE, Roles, RolesPlan, Vhost, addresses, all_join, count, leave,
    unsubscribe_link, url_path, wait_until,
};

use crate::settled::{an_issue_reaches, copies, nothing_waits};

/// The unsubscribe links of an issue, by the order of these addresses.
fn links(roles: &Roles, subject: &str, emails: &[String]) -> Result<Vec<String>> {
    let mails = roles.mailbox().all()?;
    emails
        .iter()
        .map(|email| {
            let found = mails
                .iter()
                .find(|mail| mail.to == *email && mail.subject == subject);
            let Some(mail) = found else {
                anyhow::bail!("no {subject} for {email}")
            };
            unsubscribe_link(mail)
        })
        .collect()
}

fn millis() -> Result<u128> {
    Ok(support::now().duration_since(UNIX_EPOCH)?.as_millis())
}

#[test]
fn who_leaves_while_all_is_down_is_recorded_once_and_gets_no_more() -> Result<()> {
    let node = BrokerNode::start()?;
    let mut roles = Roles::start(RolesPlan {
        broker: Some(Vhost::of(&node)?),
        ..RolesPlan::default()
    })?;
    let leavers = addresses("leaver", count(40, 1_000));
    let stayers = addresses("stayer", 5);
    let everybody = [leavers.clone(), stayers.clone()].concat();
    all_join(&roles, &everybody)?;
    roles.wait_for_active(everybody.len())?;
    an_issue_reaches(&roles, "First", &everybody)?;
    nothing_waits(&roles)?;
    let links = links(&roles, "First", &leavers)?;

    // An issue that nobody sends yet.
    roles.delivers[0].kill()?;
    roles.hand_over_issue("Second", "Tuesday.")?;
    roles.postgres.kill()?;
    node.stop()?;
    let mut pressed = Vec::new();
    let kills = count(4, 20);
    for (number, link) in links.iter().enumerate() {
        let before = millis()?;
        leave(&roles.unsubscribes[0].web(), url_path(link))?;
        pressed.push((before, millis()?));
        if number % links.len().div_ceil(kills) == 0 {
            // F29: in the middle of it, and back within a second or so.
            roles.unsubscribes[0].kill()?;
            roles.unsubscribes[0].resume()?;
        }
    }
    roles.unsubscribes[0].kill()?;

    // LED-05: the database and the worker are there, and the spool is not emptied.
    roles.postgres.resume()?;
    node.resume()?;
    roles.delivers[0].resume()?;
    let closed = |reason: &str| {
        roles.delivers[0].metric("letterbox_barrier_closed", &format!("reason=\"{reason}\""))
    };
    wait_until("the barrier to close for the silent role", DEADLINE, || {
        Ok(closed("silent_spool")? > 0.5)
    })?;
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(copies(&roles, "Second")?.len(), 0, "it waits");
    let said = roles.command(&["status"])?.ok()?;
    ensure!(said.contains("bulk mail waits"), "{said}");
    ensure!(said.contains("letterbox spool retire"), "{said}");

    roles.unsubscribes[0].resume()?;
    wait_until("the issue to go to whoever stayed", 2 * DEADLINE, || {
        Ok(copies(&roles, "Second")?.len() >= stayers.len())
    })?;
    an_issue_reaches(&roles, "Third", &stayers)?;
    nothing_waits(&roles)?;
    let second: Vec<String> = copies(&roles, "Second")?.into_keys().collect();
    assert_eq!(second, stayers, "none of those who left got it");

    // Each has one entry, with the time of its own press.
    let times = roles.sql(
        "SELECT string_agg(occurred_ms::text, ' ' ORDER BY occurred_ms)
         FROM ledger_entry WHERE method = 0 AND effect = 0",
    )?;
    let times: Vec<u128> = times
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    assert_eq!(times.len(), links.len());
    for (time, (before, after)) in times.iter().zip(&pressed) {
        ensure!(
            before <= time && time <= after,
            "recorded at {time}, pressed from {before} to {after}"
        );
    }
    Ok(())
}

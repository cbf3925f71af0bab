//! `kill -9` of any role at any moment while residents come, read and go: whatever was answered 2xx is
//! kept, nobody is mailed twice, and each issue comes to whom it should.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use support::{
    BrokerNode, Roles, RolesPlan, Seed, Vhost, addresses, confirm_link, count, notice_of,
    unsubscribe_link, wait_for,
};

use crate::killed_at_random::{PATIENCE, insist, seed};
use crate::settled::{copies, nothing_waits};

/// Kills one role after another, so many times, and starts it again.
fn kill_one_after_another(
    roles: &Mutex<Roles>,
    seed: &mut Seed,
    (times, within): (usize, u64),
    done: &AtomicBool,
) -> Result<()> {
    for _ in 0..times {
        if done.load(Ordering::SeqCst) {
            break;
        }
        // A moment, not a wait for anything.
        std::thread::sleep(Duration::from_millis(seed.below(within)));
        let mut roles = roles.lock().unwrap();
        let number = usize::try_from(seed.below(7))?;
        let role = roles.all_mut().nth(number).context("there are seven")?;
        role.kill()?;
        role.resume()?;
    }
    Ok(())
}

/// Does the work of all residents on four threads while roles are killed.
fn meanwhile(
    roles: &Mutex<Roles>,
    seed: &mut Seed,
    times: usize,
    emails: &[String],
    work: impl Fn(&String) -> Result<()> + Sync,
) -> Result<()> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_one_after_another(roles, seed, (times, 600), &done));
        let workers: Vec<_> = (0..4)
            .map(|first| {
                let work = &work;
                scope.spawn(move || emails.iter().skip(first).step_by(4).try_for_each(work))
            })
            .collect();
        let results: Vec<Result<()>> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect();
        done.store(true, Ordering::SeqCst);
        killer.join().unwrap()?;
        results.into_iter().collect()
    })
}

/// Sends an issue while workers die, and sees that each of these is accepted once or in doubt.
fn send_while_dying(
    roles: &Mutex<Roles>,
    seed: &mut Seed,
    subject: &str,
    emails: &[String],
) -> Result<Vec<String>> {
    roles.lock().unwrap().hand_over_issue(subject, "Tuesday.")?;
    kill_one_after_another(roles, seed, (count(4, 30), 200), &AtomicBool::new(false))?;
    let roles = roles.lock().unwrap();
    let statement = "SELECT count(*), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state IN (6, 9))
        FROM delivery WHERE issue_id = (SELECT max(id) FROM issue)
        HAVING count(*) FILTER (WHERE state IN (0, 1, 3)) = 0
        AND (SELECT fanned_out_at IS NOT NULL FROM issue ORDER BY id DESC LIMIT 1)";
    let counts = wait_for("the issue to end", PATIENCE, || {
        Ok(roles
            .sql(statement)
            .ok()
            .filter(|counts| !counts.is_empty()))
    })?;
    eprintln!("{subject}: audience, accepted, uncertain: {counts}");
    let numbers: Vec<usize> = counts
        .split('|')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    assert_eq!(numbers[0], emails.len(), "{counts}");
    assert_eq!(numbers[0], numbers[1] + numbers[2], "{counts}");
    let copies = copies(&roles, subject)?;
    assert!(copies.values().all(|number| *number == 1), "{copies:?}");
    assert!(
        copies.keys().all(|email| emails.contains(email)),
        "{copies:?}"
    );
    assert!(
        copies.len() >= numbers[1],
        "{counts}, yet {} copies",
        copies.len()
    );
    Ok(copies.into_keys().collect())
}

#[test]
fn nothing_answered_is_lost_whichever_role_dies() -> Result<()> {
    let seed = seed();
    eprintln!("LETTERBOX_SEED={seed}");
    let mut seed = Seed::new(seed);
    let roles = Roles::start(RolesPlan {
        intakes: 2,
        unsubscribes: 2,
        delivers: 3,
        broker: Some(Vhost::of(&BrokerNode::shared()?)?),
        ..RolesPlan::default()
    })?;
    let (web, mailbox, notice) = (roles.web(), roles.mailbox(), notice_of(&roles)?);
    let emails = addresses("resident", count(20, 100));
    let roles = Mutex::new(roles);

    meanwhile(&roles, &mut seed, count(10, 100), &emails, |email| {
        let body = json!({ "email": email, "newsletter": "council-news", "notice": notice, "language": "en" });
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", email.as_str()),
        ];
        let body = body.to_string();
        insist(
            || web.send("POST", "/subscriptions", &headers, body.as_bytes()),
            202,
        )?;
        let mail = wait_for("a confirmation", PATIENCE, || Ok(mailbox.to(email)?.pop()))?;
        let link = confirm_link(&mail)?;
        insist(|| web.post_form(&link, &[("button", "confirm")]), 200)
    })?;
    roles.lock().unwrap().wait_for_active(emails.len())?;
    for email in &emails {
        // An answer that a killed role had no time for makes the same request come by the other one,
        // under the same key: one event, one mail.
        assert_eq!(mailbox.to(email)?.len(), 1, "one confirmation for {email}");
    }

    let first = send_while_dying(&roles, &mut seed, "First", &emails)?;
    let leavers: Vec<String> = first.iter().step_by(2).cloned().collect();
    meanwhile(&roles, &mut seed, count(6, 100), &leavers, |email| {
        let mails = mailbox.to(email)?;
        let issue = mails.iter().find(|mail| mail.subject == "First");
        let link = unsubscribe_link(issue.context("no copy")?)?;
        insist(
            || web.post_form(&link, &[("List-Unsubscribe", "One-Click")]),
            200,
        )
    })?;
    let staying: Vec<String> = emails
        .iter()
        .filter(|email| !leavers.contains(email))
        .cloned()
        .collect();
    roles.lock().unwrap().wait_for_active(staying.len())?;
    nothing_waits(&roles.lock().unwrap())?;
    send_while_dying(&roles, &mut seed, "Second", &staying)?;
    let roles = roles.lock().unwrap();
    assert_eq!(
        roles.sql("SELECT count(*) FROM ledger_entry WHERE effect = 0")?,
        leavers.len().to_string(),
        "each unsubscribe stopped its subscription once"
    );
    assert_eq!(roles.sql("SELECT count(*) FROM dead_request")?, "0");
    nothing_waits(&roles)
}

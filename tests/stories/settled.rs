//! What several stories of the separate roles look at in the end: that nothing waits anywhere, and
//! that everybody got what they should, once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use support::{DEADLINE, Roles, wait_for, wait_until};

/// The work queues.
pub(crate) const QUEUES: [&str; 4] = [
    "letterbox.stops.v1",
    "letterbox.requests.v1",
    "letterbox.bulk.v1",
    "letterbox.confirm.v1",
];

/// Waits until every mark has passed all that was accepted, and outbox, inbox and queues are empty.
pub(crate) fn nothing_waits(roles: &Roles) -> Result<()> {
    for role in roles.intakes.iter().chain(&roles.unsubscribes) {
        let spool = role.data().join("spool");
        let id = data_encoding::HEXLOWER.encode(&support::spool_id(&spool)?);
        let mark = format!("SELECT applied_upto FROM spool WHERE spool_id = '\\x{id}'");
        let mut last = (0, String::new());
        wait_until("the mark to pass all that was accepted", DEADLINE, || {
            last = (
                support::accepted(&spool)?,
                roles.sql(&mark).unwrap_or_default(),
            );
            Ok(last.1 == last.0.to_string())
        })
        .with_context(|| format!("{}: accepted, applied: {last:?}", role.name))?;
    }
    roles.wait_for_sql("SELECT count(*) FROM outbox", "0")?;
    roles.wait_for_sql("SELECT count(*) FROM request_inbox", "0")?;
    if let Ok(vhost) = roles.vhost() {
        for queue in QUEUES {
            vhost.wait_for_depth(queue, DEADLINE, 0)?;
        }
    }
    Ok(())
}

/// Sends an issue and sees that it comes to exactly these, one copy each.
pub(crate) fn an_issue_reaches(roles: &Roles, subject: &str, emails: &[String]) -> Result<()> {
    roles.hand_over_issue(subject, "Tuesday.")?;
    let wanted: BTreeSet<&str> = emails.iter().map(String::as_str).collect();
    let states = format!(
        "SELECT count(*), count(*) FILTER (WHERE state = 2) FROM delivery WHERE issue_id =
         (SELECT max(id) FROM issue) HAVING count(*) FILTER (WHERE state IN (0, 1, 3)) = 0
         AND (SELECT fanned_out_at IS NOT NULL FROM issue ORDER BY id DESC LIMIT 1)
         AND count(*) >= {}",
        wanted.len()
    );
    let counts = wait_for("the issue to end", 2 * DEADLINE, || {
        Ok(roles.sql(&states).ok().filter(|counts| !counts.is_empty()))
    })
    .with_context(|| {
        roles
            .sql("SELECT state, count(*) FROM delivery GROUP BY 1")
            .unwrap_or_default()
    })?;
    let copies = copies(roles, subject)?;
    ensure!(
        counts == format!("{0}|{0}", wanted.len()),
        "{subject}: audience and accepted {counts}, not {}",
        wanted.len()
    );
    let got: BTreeSet<&str> = copies.keys().map(String::as_str).collect();
    ensure!(
        got == wanted,
        "{subject} went to others too {:?} and not to {:?}",
        got.difference(&wanted),
        wanted.difference(&got)
    );
    ensure!(
        copies.values().all(|number| *number == 1),
        "somebody was mailed twice: {copies:?}"
    );
    Ok(())
}

/// How many copies of an issue each address got, from all workers.
pub(crate) fn copies(roles: &Roles, subject: &str) -> Result<BTreeMap<String, usize>> {
    let mut copies = BTreeMap::new();
    for mail in roles.mailbox().all()? {
        if mail.subject == subject {
            *copies.entry(mail.to).or_default() += 1;
        }
    }
    Ok(copies)
}

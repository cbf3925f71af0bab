//! Every message comes five times, in any order, to three workers (`reliability.md` F19), and the
//! worker that carries the outbox to the broker is killed again and again (F07): nobody hears twice.

use std::time::Duration;

use anyhow::Result;
use support::{
    BrokerNode, Message, Roles, RolesPlan, Seed, Vhost, addresses, all_join, all_sign_up,
    confirm_all, confirm_links, count, envelopes, leave, unsubscribe_link,
};

use crate::killed_at_random::seed;
use crate::settled::{an_issue_reaches, copies, nothing_waits};

/// What must not change when everything is said again.
const STATE: &str =
    "SELECT (SELECT count(*) FROM sign_up), (SELECT count(*) FROM subscription WHERE state = 1),
    (SELECT count(*) FROM subscription WHERE state = 2), (SELECT count(*) FROM ledger_entry),
    (SELECT count(*) FROM mail), (SELECT count(*) FROM consent),
    (SELECT count(*) FROM applied_request) + (SELECT sum(applied_upto) FROM spool)";

#[test]
fn requests_and_hints_said_five_times_do_what_they_do_once() -> Result<()> {
    let seed = seed();
    eprintln!("LETTERBOX_SEED={seed}");
    let mut seed = Seed::new(seed);
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let roles = Roles::start(RolesPlan {
        delivers: 3,
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let members = addresses("member", count(12, 100));
    let pending = addresses("pending", 2);
    all_join(&roles, &members)?;
    all_sign_up(&roles, &pending)?;
    roles.wait_for_active(members.len())?;
    confirm_links(&roles, &pending)?;
    an_issue_reaches(&roles, "First", &members)?;
    let mail = roles.mailbox().wait_for(&members[0], "First")?;
    leave(&roles.web(), &unsubscribe_link(&mail)?)?;
    roles.wait_for_active(members.len() - 1)?;
    nothing_waits(&roles)?;
    let before = (roles.sql(STATE)?, roles.mailbox().all()?.len());

    let mut again = Vec::new();
    for (role, queue) in [
        (&roles.intakes[0], "letterbox.requests.v1"),
        (&roles.unsubscribes[0], "letterbox.stops.v1"),
    ] {
        let found = envelopes(&role.data().join("spool"))?;
        assert!(!found.is_empty(), "{} has its records", role.name);
        let five = found
            .iter()
            .flat_map(|body| std::iter::repeat_n((queue, body.clone()), 5));
        again.extend(five);
    }
    let hints = [
        (
            "letterbox.confirm.v1",
            "mail",
            roles.sql("SELECT id FROM mail")?,
        ),
        (
            "letterbox.bulk.v1",
            "chunk",
            roles.sql("SELECT chunk_no FROM chunk")?,
        ),
    ];
    for (queue, what, numbers) in &hints {
        for number in numbers.lines() {
            let issue = if *what == "chunk" { "\"issue\":1," } else { "" };
            let hint = format!("{{\"v\":1,{issue}\"{what}\":{number}}}").into_bytes();
            again.extend(std::iter::repeat_n((*queue, hint), 5));
        }
    }
    seed.shuffle(&mut again);
    for (queue, body) in again {
        let message = Message {
            body,
            ..Message::default()
        };
        vhost.publish(queue, &message)?;
    }
    nothing_waits(&roles)?;
    assert_eq!((roles.sql(STATE)?, roles.mailbox().all()?.len()), before);

    // Hints of an issue that is going out, before their time and after it.
    roles.hand_over_issue("Second", "Tuesday.")?;
    for _ in 0..5 {
        for chunk in 0..3 {
            let message = Message {
                body: format!("{{\"v\":1,\"issue\":2,\"chunk\":{chunk}}}").into_bytes(),
                ..Message::default()
            };
            vhost.publish("letterbox.bulk.v1", &message)?;
        }
    }
    roles.wait_for_sql(
        "SELECT count(*) FROM delivery WHERE issue_id = 2 AND state = 2",
        &(members.len() - 1).to_string(),
    )?;
    let second = copies(&roles, "Second")?;
    assert!(second.values().all(|number| *number == 1), "{second:?}");
    assert_eq!(roles.sql("SELECT count(*) FROM dead_request")?, "0");
    Ok(())
}

#[test]
fn an_outbox_whose_carrier_is_killed_is_carried_to_its_end() -> Result<()> {
    let seed = seed();
    eprintln!("LETTERBOX_SEED={seed}");
    let mut seed = Seed::new(seed);
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut roles = Roles::start(RolesPlan {
        delivers: 2,
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let members = addresses("member", count(60, 2_500));
    let mut links = Vec::new();
    for (round, part) in members.chunks(members.len().div_ceil(4)).enumerate() {
        all_sign_up(&roles, part)?;
        for _ in 0..count(1, 25) {
            // A moment, not a wait for anything.
            std::thread::sleep(Duration::from_millis(seed.below(400)));
            let worker = &mut roles.delivers[round % 2];
            worker.kill()?;
            worker.resume()?;
        }
        links.extend(confirm_links(&roles, part)?);
    }
    confirm_all(&roles, &links)?;
    roles.wait_for_active(members.len())?;
    nothing_waits(&roles)?;
    for email in &members {
        let mails = roles.mailbox().to(email)?;
        assert_eq!(mails.len(), 1, "one confirmation for {email}");
    }
    // Published again only what the killed one had not yet struck off.
    let rows: f64 = roles.sql("SELECT count(*) FROM mail")?.parse()?;
    let queue = vhost.queue("letterbox.confirm.v1")?.unwrap_or_default();
    let published = queue["message_stats"]["publish"]
        .as_f64()
        .unwrap_or_default();
    eprintln!("outbox rows {rows}, published {published}");
    assert!(published <= 1.5 * rows, "{published} for {rows} rows");
    an_issue_reaches(&roles, "Bins", &members)
}

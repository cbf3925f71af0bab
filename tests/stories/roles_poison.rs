//! What nobody can read lies in the queues (`reliability.md` F17): neighbours are applied, a newer
//! version waits, and an unreadable stop holds back all bulk mail and says so, until somebody looked.

use std::time::Duration;

use anyhow::Result;
use support::{
    BrokerNode, Cbor, DEADLINE, Message, Roles, RolesPlan, Seed, Vhost, addresses, all_join,
    all_sign_up, confirm_all, confirm_links, count, forged, wait_until,
};

use crate::settled::{an_issue_reaches, nothing_waits};

/// So many messages of each kind that must not be applied.
fn poison(each: usize, seed: &mut Seed) -> Vec<Message> {
    let mut messages = Vec::new();
    for number in 0..each as u64 {
        let big = vec![0x61; 1024 * 1024];
        let bodies = [
            b"{\"v\":1}".to_vec(),
            Vec::new(),
            (0..200).map(|_| seed.next().to_le_bytes()[0]).collect(),
            if number == 0 { big } else { vec![0xff; 100] },
            // No such kind, no such field, no such version.
            forged(1, 5 * number + 1, "party", vec![]),
            forged(1, 5 * number + 2, "confirm", vec![("x", Cbor::Number(1))]),
            forged(0, 5 * number + 3, "confirm", vec![]),
        ];
        messages.extend(bodies.map(|body| Message {
            body,
            id: None,
            kind: None,
        }));
    }
    messages
}

fn dead(roles: &Roles) -> Result<usize> {
    Ok(roles.sql("SELECT count(*) FROM dead_request")?.parse()?)
}

#[test]
fn neighbours_of_poison_are_applied_and_newer_versions_wait() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut roles = Roles::start(RolesPlan {
        delivers: 2,
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let members = addresses("member", 2);
    all_join(&roles, &members)?;
    roles.wait_for_active(2)?;
    let workers = [roles.delivers[0].pid()?, roles.delivers[1].pid()?];

    let mut seed = Seed::new(17);
    let mut bad = poison(count(12, 143), &mut seed);
    seed.shuffle(&mut bad);
    let neighbours = addresses("neighbour", 8);
    for (number, part) in bad.chunks(bad.len().div_ceil(8)).enumerate() {
        for message in part {
            vhost.publish("letterbox.requests.v1", message)?;
        }
        all_sign_up(&roles, &neighbours[number..=number])?;
    }
    for queue in ["letterbox.bulk.v1", "letterbox.confirm.v1"] {
        for body in [
            "",
            "{\"v\":1,\"issue\":",
            "{\"v\":1,\"mail\":\"x\"}",
            "\u{0}",
        ] {
            let body = body.as_bytes().to_vec();
            let message = Message {
                body,
                ..Message::default()
            };
            vhost.publish(queue, &message)?;
        }
    }
    let newer = Message {
        body: forged(2, 1, "holograph", vec![]),
        ..Message::default()
    };
    vhost.publish("letterbox.requests.v1", &newer)?;

    confirm_all(&roles, &confirm_links(&roles, &neighbours)?)?;
    roles.wait_for_active(10)?;
    // One row for each that differs from the others: four of each seven do.
    let different = 4 * count(12, 143);
    wait_until("the dead letters to be kept", DEADLINE, || {
        Ok(dead(&roles)? >= different)
    })?;
    assert_eq!(
        roles.sql("SELECT count(*) FROM dead_request WHERE stop")?,
        "0"
    );
    wait_until("the newer one to wait", DEADLINE, || {
        Ok(vhost.depth("letterbox.delay.v1")? == 1)
    })?;
    let letters = vhost.depth("letterbox.dead.v1")?;
    assert!(
        letters >= different as u64,
        "{letters} in the dead letter queue"
    );
    // It comes back after half a minute and is put off again: it is neither lost nor dead.
    wait_until("it to be put off again", Duration::from_mins(2), || {
        let queue = vhost.queue("letterbox.delay.v1")?.unwrap_or_default();
        Ok(queue["message_stats"]["publish"].as_u64() >= Some(2))
    })?;
    assert_eq!(
        [roles.delivers[0].pid()?, roles.delivers[1].pid()?],
        workers
    );
    for worker in &mut roles.delivers {
        assert!(worker.runs()?, "{} fell", worker.name);
    }
    // None of it holds back mail.
    let everybody: Vec<String> = [members, neighbours].concat();
    an_issue_reaches(&roles, "Bins", &everybody)
}

#[test]
fn a_stop_that_nobody_can_read_holds_back_bulk_until_somebody_looked() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let roles = Roles::start(RolesPlan {
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let members = addresses("member", 3);
    all_join(&roles, &members)?;
    roles.wait_for_active(3)?;
    nothing_waits(&roles)?;

    let message = Message {
        body: forged(1, 1, "unsubscribe", vec![("who", Cbor::Text("everybody"))]),
        ..Message::default()
    };
    vhost.publish("letterbox.stops.v1", &message)?;
    roles.wait_for_sql(
        "SELECT count(*) FROM dead_request WHERE stop AND seen_at IS NULL",
        "1",
    )?;
    wait_until("the worker to say why", DEADLINE, || {
        let said = roles.delivers[0].log().contains("dead-letters seen");
        let shown =
            roles.delivers[0].metric("letterbox_barrier_closed", "reason=\"dead_letter\"")?;
        Ok(said && shown > 0.5)
    })?;
    // It looks twice a second; what is handed over from here on waits.
    roles.hand_over_issue("Bins", "Tuesday.")?;
    roles.wait_for_sql("SELECT count(*) FROM delivery WHERE state = 0", "3")?;
    // Confirmations go on.
    let newcomers = addresses("newcomer", 1);
    all_join(&roles, &newcomers)?;
    roles.wait_for_active(4)?;
    assert_eq!(
        roles.sql("SELECT count(*) FROM delivery WHERE state <> 0")?,
        "0"
    );

    let list = roles.command(&["dead-letters", "list"])?.ok()?;
    let number = roles.sql("SELECT id FROM dead_request")?;
    assert!(list.contains(&number), "{list}");
    let wrong = roles.command(&["dead-letters", "seen", "999999"])?;
    assert_ne!(wrong.code, Some(0), "{wrong:?}");
    roles.command(&["dead-letters", "seen", &number])?.ok()?;
    roles.wait_for_sql("SELECT count(*) FROM delivery WHERE state = 2", "3")?;
    let list = roles.command(&["dead-letters", "list"])?.ok()?;
    assert!(
        !list
            .lines()
            .any(|line| line.trim_start().starts_with(&number)),
        "{list}"
    );
    Ok(())
}

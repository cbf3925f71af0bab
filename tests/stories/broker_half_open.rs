//! The line to the broker is half-open: every byte vanishes, or those of one way only, and nobody is
//! told (`reliability.md` F13). Each role notices by itself, and nothing is lost.

use std::time::Duration;

use anyhow::Result;
use support::{
    BrokerNode, FaultProxy, Line, Roles, RolesPlan, Vhost, addresses, all_join, all_sign_up,
    confirm_all, confirm_links, count, leave, unsubscribe_link, wait_until,
};

use crate::settled::{an_issue_reaches, nothing_waits};

/// Twice the heartbeat of 10 s, and some for a busy machine.
const NOTICED: Duration = Duration::from_secs(40);

#[test]
fn half_open_lines_are_noticed_and_lose_nothing() -> Result<()> {
    let node = BrokerNode::shared()?;
    // Lines of their own, so that each way can be broken for publishers and for consumers.
    let web_line = FaultProxy::before(node.port())?;
    let worker_line = FaultProxy::before(node.port())?;
    let roles = Roles::start(RolesPlan {
        broker: Some(Vhost::of(&node)?),
        broker_ports: vec![
            ("intake", web_line.port()),
            ("unsubscribe", web_line.port()),
            ("deliver", worker_line.port()),
        ],
        ..RolesPlan::default()
    })?;
    let mut members = addresses("member", 6);
    all_join(&roles, &members)?;
    roles.wait_for_active(members.len())?;
    an_issue_reaches(&roles, "First", &members)?;
    let down = |role: &support::RoleProcess| -> Result<bool> {
        Ok(role.metric("letterbox_broker_up", "")? < 0.5)
    };

    let ways = [
        // The broker has the message, its confirm vanishes; the worker's acks and heartbeats vanish.
        (Line::SwallowReplies, Line::SwallowRequests),
        (Line::Swallow, Line::Swallow),
        (Line::SwallowRequests, Line::SwallowReplies),
    ];
    for (time, (web, worker)) in ways.into_iter().take(count(2, 3)).enumerate() {
        web_line.set(web);
        worker_line.set(worker);
        let newcomers = addresses(&format!("newcomer{time}."), 3);
        all_sign_up(&roles, &newcomers)?;
        let leaver = members.remove(0);
        let mail = roles.mailbox().wait_for(&leaver, "First")?;
        leave(&roles.web(), &unsubscribe_link(&mail)?)?;
        wait_until("every role to notice", NOTICED, || {
            Ok(down(&roles.intakes[0])?
                && down(&roles.unsubscribes[0])?
                && down(&roles.delivers[0])?)
        })?;
        for line in [&web_line, &worker_line] {
            line.set(Line::Pass);
        }
        confirm_all(&roles, &confirm_links(&roles, &newcomers)?)?;
        members.extend(newcomers);
        roles.wait_for_active(members.len())?;
        nothing_waits(&roles)?;
        an_issue_reaches(&roles, &format!("After {time}"), &members)?;
    }
    Ok(())
}

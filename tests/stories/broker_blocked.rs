//! The broker is short of memory and blocks whoever publishes (`reliability.md` F14): requests are
//! answered, what is in the queues is still worked off, and afterwards everything flows again.

use std::time::Duration;

use anyhow::Result;
use support::{
    BrokerNode, DEADLINE, Roles, RolesPlan, Vhost, addresses, all_join, all_sign_up, confirm_all,
    confirm_links, leave, unsubscribe_link, wait_until,
};

use crate::settled::{an_issue_reaches, nothing_waits};

/// Sign-ups that nobody confirmed yet.
const PENDING: &str = "SELECT count(*) FROM sign_up";

#[test]
fn a_broker_that_blocks_delays_requests_and_refuses_none() -> Result<()> {
    let node = BrokerNode::start()?;
    let vhost = Vhost::of(&node)?;
    let mut roles = Roles::start(RolesPlan {
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let members = addresses("member", 4);
    all_join(&roles, &members)?;
    roles.wait_for_active(4)?;
    an_issue_reaches(&roles, "First", &members)?;
    let mail = roles.mailbox().wait_for(&members[0], "First")?;

    // Three wait in the queue, and then nobody may publish.
    roles.delivers[0].kill()?;
    let early = addresses("early", 3);
    all_sign_up(&roles, &early)?;
    vhost.wait_for_depth("letterbox.requests.v1", DEADLINE, 3)?;
    node.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1000"])?;
    roles.delivers[0].start()?;
    vhost.wait_for_depth("letterbox.requests.v1", DEADLINE, 0)?;
    roles.wait_for_sql(PENDING, "3")?;
    // Their confirmations are sent from the tables, whose hints cannot be published.
    confirm_links(&roles, &early)?;

    let late = addresses("late", 3);
    all_sign_up(&roles, &late)?;
    leave(&roles.web(), &unsubscribe_link(&mail)?)?;
    wait_until("intake to see that it is blocked", DEADLINE, || {
        Ok(roles.intakes[0].metric("letterbox_broker_blocked", "")? > 0.5)
    })?;
    for role in [&roles.intakes[0], &roles.unsubscribes[0]] {
        assert_eq!(role.admin().get("/readyz")?.status, 200, "{}", role.name);
    }
    assert_eq!(roles.sql(PENDING)?, "3");

    node.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1GiB"])?;
    wait_until("the rest to be applied", Duration::from_secs(40), || {
        Ok(roles.sql(PENDING)? == "6")
    })?;
    confirm_all(&roles, &confirm_links(&roles, &early)?)?;
    confirm_all(&roles, &confirm_links(&roles, &late)?)?;
    roles.wait_for_active(9)?;
    nothing_waits(&roles)?;
    let everybody: Vec<String> = [&members[1..], &early, &late].concat();
    an_issue_reaches(&roles, "Last", &everybody)
}

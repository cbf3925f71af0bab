//! Somebody deletes a queue under the roles, or declares it otherwise (`reliability.md` F15): what is
//! gone is made again and nothing is lost; what is wrong makes a worker say so, not fall.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use support::{
    BrokerNode, Roles, RolesPlan, Vhost, addresses, all_join, all_sign_up, confirm_all,
    confirm_links, wait_until,
};

use crate::settled::{QUEUES, an_issue_reaches, nothing_waits};

const BACK: Duration = Duration::from_secs(40);

#[test]
fn a_deleted_queue_is_made_again_and_nothing_is_lost() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut roles = Roles::start(RolesPlan {
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let first = addresses("first", 3);
    all_join(&roles, &first)?;
    roles.wait_for_active(3)?;

    // Under their consumers.
    for queue in QUEUES {
        vhost.delete_queue(queue)?;
    }
    wait_until("all queues to be consumed again", BACK, || {
        let mut consumed = true;
        for queue in QUEUES {
            consumed &= vhost.consumers(queue).is_ok_and(|number| number == 1);
        }
        Ok(consumed)
    })?;
    let second = addresses("second", 3);
    all_join(&roles, &second)?;
    roles.wait_for_active(6)?;

    // Full, with nobody there: what it held is not applied, so it is shipped again.
    roles.delivers[0].kill()?;
    let third = addresses("third", 3);
    all_sign_up(&roles, &third)?;
    vhost.wait_for_depth("letterbox.requests.v1", support::DEADLINE, 3)?;
    vhost.delete_queue("letterbox.requests.v1")?;
    roles.delivers[0].resume()?;
    // Sixty seconds is how long a spool is patient with what it published.
    wait_until("the three to be applied", 2 * support::DEADLINE, || {
        Ok(roles.sql("SELECT count(*) FROM sign_up")? == "3")
    })?;
    confirm_all(&roles, &confirm_links(&roles, &third)?)?;
    roles.wait_for_active(9)?;
    nothing_waits(&roles)?;
    let everybody: Vec<String> = [first, second, third].concat();
    an_issue_reaches(&roles, "Bins", &everybody)
}

#[test]
fn a_queue_that_is_declared_otherwise_is_told_and_not_stumbled_over() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut roles = Roles::start(RolesPlan {
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let first = addresses("first", 2);
    all_join(&roles, &first)?;
    roles.wait_for_active(2)?;
    nothing_waits(&roles)?;

    roles.delivers[0].stop()?;
    vhost.delete_queue("letterbox.requests.v1")?;
    vhost.declare_queue(
        "letterbox.requests.v1",
        &json!({ "x-queue-type": "classic" }),
    )?;
    roles.delivers[0].start()?;
    let pid = roles.delivers[0].pid()?;
    wait_until("the worker to say that it is not ready", BACK, || {
        let ready = roles.delivers[0].admin().get("/readyz?verbose");
        Ok(ready
            .is_ok_and(|ready| ready.status == 503 && ready.body.contains("letterbox.requests.v1")))
    })?;
    wait_until("the log to name the queue", BACK, || {
        Ok(roles.delivers[0].log().contains("letterbox.requests.v1"))
    })?;
    // Residents notice nothing.
    let second = addresses("second", 2);
    all_sign_up(&roles, &second)?;

    vhost.delete_queue("letterbox.requests.v1")?;
    roles.delivers[0].wait_ready()?;
    assert_eq!(roles.delivers[0].pid()?, pid, "it did not fall meanwhile");
    confirm_all(&roles, &confirm_links(&roles, &second)?)?;
    roles.wait_for_active(4)?;
    nothing_waits(&roles)
}

//! F21: the queue of chunks is at its length and nobody may read it. The broker says no, the hints stay
//! in the outbox, and none is lost.

use anyhow::{Result, ensure};
use support::{BrokerNode, DEADLINE, Field, FieldPlan, Vhost, wait_until};

use super::patience;

const QUEUE: &str = "letterbox.bulk.v1";

#[test]
fn f21_what_the_broker_refuses_stays_in_the_outbox() -> Result<()> {
    let node = BrokerNode::start()?;
    let vhost = Vhost::of(&node)?;
    let mut field = Field::start(FieldPlan {
        residents: 2_000,
        broker: Some(vhost.clone()),
        ..FieldPlan::default()
    })?;
    // A length of one, and a worker that may publish and not read.
    let policy = r#"{"max-length":1,"overflow":"reject-publish"}"#;
    node.rabbitmqctl(&[
        "set_policy",
        "-p",
        vhost.name(),
        "short",
        "^letterbox[.]bulk",
        policy,
        "--apply-to",
        "queues",
    ])?;
    let rights = |read: &str| {
        let words = [
            "set_permissions",
            "-p",
            vhost.name(),
            "deliver",
            ".*",
            ".*",
            read,
        ];
        node.rabbitmqctl(&words)
    };
    rights("^$")?;
    field.roles.delivers[0].stop()?;
    let issue = field.hand_over("Bins")?;
    field.roles.delivers[0].start()?;
    let worker = &field.roles.delivers[0];
    wait_until("the broker to say no", 2 * DEADLINE, || {
        let nacks = worker.metric("letterbox_publish_confirms_total", "nack");
        Ok(nacks.is_ok_and(|nacks| nacks > 0.0))
    })?;
    let waiting: usize = field.roles.sql("SELECT count(*) FROM outbox")?.parse()?;
    let depth = vhost.depth(QUEUE)?;
    eprintln!("figures: {waiting} hints wait in the outbox, {depth} in the queue");
    ensure!(waiting > 0, "no hint is kept: {depth} are in the queue");

    rights(".*")?;
    node.rabbitmqctl(&["clear_policy", "-p", vhost.name(), "short"])?;
    field.roles.delivers[0].wait_ready()?;
    field.wait_through(issue, patience())?;
    field
        .roles
        .wait_for_sql("SELECT count(*) FROM outbox", "0")?;
    vhost.wait_for_depth(QUEUE, DEADLINE, 0)?;
    let tally = field.check(issue)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    Ok(())
}

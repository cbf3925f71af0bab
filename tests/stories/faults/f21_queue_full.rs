//! F21: the queue of chunks is at its length and nobody may read it. The broker says no, the hints stay
//! in the outbox, and none is lost.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use support::{BrokerNode, DEADLINE, Field, FieldPlan, Message, Vhost, wait_until};

use super::patience;

const REFUSED_FOR: Duration = Duration::from_secs(5);
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
    // Until it is full: the length of such a queue is not exact.
    let filler = Message {
        body: br#"{"v":1,"issue":1,"chunk":0}"#.to_vec(),
        ..Message::default()
    };
    let is_full = (0..50).any(|_| vhost.publish(QUEUE, &filler).is_err());
    ensure!(is_full, "the queue takes more than it may");
    let issue = field.hand_over("Bins")?;
    field.roles.delivers[0].start()?;
    let hints = "SELECT count(*) FROM outbox";
    let planned =
        format!("SELECT count(*) FROM issue WHERE id = {issue} AND fanned_out_at IS NOT NULL");
    field.roles.wait_for_sql(&planned, "1")?;
    // A hint that the broker takes is gone from the outbox within half a second.
    let (began, mut waiting) = (Instant::now(), 0);
    wait_until("hints to be refused for a while", DEADLINE, || {
        waiting = field.roles.sql(hints)?.parse::<usize>()?;
        ensure!(waiting > 0, "the broker took all hints");
        Ok(began.elapsed() > REFUSED_FOR)
    })?;
    let depth = vhost.depth(QUEUE)?;
    eprintln!("figures: {waiting} hints wait in the outbox, {depth} in the queue");

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

//! Faults of hints and of chunks.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{BrokerNode, Field, FieldPlan, Vhost};

use crate::{PATIENCE, let_pass};

const DEATH: Duration = Duration::from_mins(1);

#[test]
fn f16_a_slow_relay_does_not_outlast_the_patience_of_the_broker() -> Result<()> {
    let node = BrokerNode::start()?;
    let patience = "application:set_env(rabbit, consumer_timeout, 60000).";
    node.rabbitmqctl(&["eval", patience])?;
    let field = Field::start(FieldPlan {
        residents: 200,
        connections: 1,
        broker: Some(Vhost::of(&node)?),
        slowness: Duration::from_secs(2),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    // The broker looks once a minute.
    let_pass(Duration::from_mins(3))?;
    let refused = node.log().matches("PRECONDITION_FAILED").count();
    ensure!(refused == 0, "the broker closed {refused} channels");
    field.sink.set_slowness(Duration::ZERO);
    field.wait_through(issue, PATIENCE)?;
    field.check(issue)?;
    Ok(())
}

#[test]
fn f18_a_chunk_that_kills_the_process_is_set_aside() -> Result<()> {
    let mut field = Field::start(FieldPlan {
        residents: 200,
        connections: 1,
        ..FieldPlan::default()
    })?;
    field.roles.delivers[0].stop()?;
    let first = field.hand_over("First")?;
    let worker = &mut field.roles.delivers[0];
    worker.set_environment("FAILPOINTS", Some("P6=return"));
    let mut deaths = 0;
    loop {
        worker.start()?;
        if worker.wait_ended(DEATH).is_err() {
            break;
        }
        deaths += 1;
        ensure!(deaths <= 6, "it died {deaths} times");
    }
    eprintln!("figures: set aside after {deaths} deaths");
    let aside = format!("SELECT count(*) FROM chunk WHERE issue_id = {first} AND state = 4");
    ensure!(
        field.roles.sql(&aside)? == "1",
        "it lives, and no chunk is set aside"
    );
    let worker = &mut field.roles.delivers[0];
    worker.set_environment("FAILPOINTS", None);
    worker.stop()?;
    worker.resume()?;
    let second = field.hand_over("Second")?;
    field.wait_through(second, PATIENCE)?;
    field.check(second)?;
    ensure!(field.sink.taken_of(first) == 0);
    Ok(())
}

#[test]
fn f20_a_hint_that_the_broker_gives_up_is_a_chunk_that_is_sent() -> Result<()> {
    let node = BrokerNode::start()?;
    let vhost = Vhost::of(&node)?;
    let mut field = Field::start(FieldPlan {
        residents: 200,
        connections: 1,
        broker: Some(vhost.clone()),
        slowness: Duration::from_millis(100),
        ..FieldPlan::default()
    })?;
    let words = [
        "set_policy",
        "-p",
        vhost.name(),
        "limit",
        "^letterbox[.]bulk",
    ];
    node.rabbitmqctl(
        &[
            &words[..],
            &[r#"{"delivery-limit":3}"#, "--apply-to", "queues"],
        ]
        .concat(),
    )?;
    field.roles.delivers[0].stop()?;
    let issue = field.hand_over("Bins")?;
    for death in 0..6 {
        let worker = &mut field.roles.delivers[0];
        worker.set_environment("FAILPOINTS", Some("P4=return"));
        worker.start()?;
        // Once the hint is dead nobody dies of it any more.
        if worker.wait_ended(Duration::from_secs(20)).is_err() {
            eprintln!("figures: the hint was given up after {death} deaths");
            break;
        }
    }
    field.roles.delivers[0].set_environment("FAILPOINTS", None);
    if field.roles.delivers[0].runs()? {
        field.roles.delivers[0].stop()?;
    }
    field.roles.delivers[0].resume()?;
    field.wait_through(issue, PATIENCE)?;
    let tally = field.check(issue).context("after the hint died")?;
    ensure!(
        tally.accepted + tally.uncertain == field.residents(),
        "{tally:?}"
    );
    Ok(())
}

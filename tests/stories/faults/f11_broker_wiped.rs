//! F11: the broker loses its disk with chunks queued and nobody there to see it. The tables know what
//! is to be done: it is done.

use anyhow::{Result, ensure};
use support::{BrokerNode, DEADLINE, Field, FieldPlan, Vhost, wait_until};

use super::{patience, residents};

#[test]
fn f11_chunks_whose_hints_are_lost_are_sent_all_the_same() -> Result<()> {
    let node = BrokerNode::start()?;
    let vhost = Vhost::of(&node)?;
    let mut field = Field::start(FieldPlan {
        residents: residents(),
        connections: 2,
        broker: Some(vhost.clone()),
        slowness: std::time::Duration::from_millis(20),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    field
        .roles
        .wait_for_sql("SELECT count(*) FROM outbox", "0")?;
    field.sink.wait_for_taken(issue, 10, patience())?;
    field.roles.delivers[0].kill()?;
    let sent = field.sink.taken_of(issue);
    ensure!(sent < field.residents(), "it was through before the kill");

    node.kill()?;
    node.wipe()?;
    node.resume()?;
    ensure!(
        vhost.queue("letterbox.bulk.v1")?.is_none(),
        "nothing is left of it"
    );
    ensure!(field.roles.sql("SELECT count(*) FROM outbox")? == "0");
    field.roles.delivers[0].resume()?;
    wait_until("sending to go on", 2 * DEADLINE, || {
        Ok(field.sink.taken_of(issue) > sent + 10)
    })?;
    field.wait_through(issue, patience())?;
    field.check(issue)?;
    Ok(())
}

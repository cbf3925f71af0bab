//! F45: workers of two versions side by side, while the tables go one step forward and workers come and
//! go back. What the other version says is put off, never dead; nobody is lost or mailed twice.
//!
//! `LETTERBOX_OTHER_VERSION` names another build of the program, an older release say. Without it the
//! other version is this program, on tables that it does not know yet.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{BrokerNode, DEADLINE, Field, FieldPlan, Message, Vhost, count, wait_until};

use super::{patience, residents};

/// What the next version's migration may do (`migrations/README.md`): add, and take nothing away.
const FORWARD: [&str; 4] = [
    "ALTER TABLE delivery ADD COLUMN of_the_next_version integer",
    "ALTER TABLE chunk ADD COLUMN of_the_next_version text NOT NULL DEFAULT 'new'",
    "CREATE TABLE of_the_next_version (id bigint PRIMARY KEY)",
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
     VALUES (999912312359, 'of the next version', true, '', 0)",
];

#[test]
fn f45_workers_of_two_versions_share_an_issue() -> Result<()> {
    let other = std::env::var_os("LETTERBOX_OTHER_VERSION").map(PathBuf::from);
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut field = Field::prepare(
        FieldPlan {
            residents: residents(),
            workers: 2,
            connections: 4,
            broker: Some(vhost.clone()),
            slowness: Duration::from_millis(60),
            ..FieldPlan::default()
        },
        |_| {},
    )?;
    field.roles.delivers[1].set_program(other.clone());
    field.roles.start_all()?;
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 50, patience())?;

    for statement in FORWARD {
        field.roles.sql(statement)?;
    }
    let of_the_next = Message {
        body: format!(r#"{{"v":2,"issue":{issue},"chunk":0,"more":true}}"#).into_bytes(),
        ..Message::default()
    };
    vhost.publish("letterbox.bulk.v1", &of_the_next)?;
    goes_on(&field, issue).context("with tables one step ahead")?;

    // Each worker is replaced by the other version, and back.
    for time in 0..count(4, 12) {
        let of_other = (time / 2) % 2 == 0;
        let worker = &mut field.roles.delivers[time % 2];
        worker.stop()?;
        let program = if of_other == (time % 2 == 0) {
            other.clone()
        } else {
            None
        };
        worker.set_program(program);
        worker.resume()?;
        goes_on(&field, issue).with_context(|| format!("after replacement {time}"))?;
    }
    field.sink.set_slowness(Duration::ZERO);
    field.wait_through(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(tally.uncertain == 0, "{tally:?}");
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    // Nothing is dead. What the next version said waits for it.
    ensure!(
        vhost.depth("letterbox.dead.v1")? == 0,
        "there are dead letters"
    );
    ensure!(field.roles.sql("SELECT count(*) FROM dead_request")? == "0");
    wait_until("the newer hint to wait", DEADLINE, || {
        Ok(vhost.depth("letterbox.delay.v1")? == 1)
    })
}

/// More mails arrive, as long as there are any.
fn goes_on(field: &Field, issue: u32) -> Result<()> {
    let more = (field.sink.taken_of(issue) + 40).min(field.residents());
    field.sink.wait_for_taken(issue, more, patience())
}

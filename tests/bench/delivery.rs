//! The whole path of an issue: chunk from the queue, claim, open, last look, render, 10 KiB of two parts
//! to the relay, journal, results committed, chunk handed back, ack; beside `smtp-source`, which sends one
//! text to one recipient over and over, into the same `smtp-sink`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nix::unistd::Pid;
use support::{BrokerNode, Roles, RolesPlan, Vhost};

use crate::postfix::Sink;
use crate::table::{self, Sample, Side};
use crate::usage::{Usage, peak_memory};
use crate::{ROUNDS, audience, yard};

/// Recipients of an issue, and messages of `smtp-source`.
const RECIPIENTS: usize = 20_000;
const PATIENCE: Duration = Duration::from_mins(5);

pub(crate) fn run() -> Result<()> {
    let node = BrokerNode::start()?;
    let sink = Sink::start()?;
    let roles = Roles::start(RolesPlan {
        unsubscribes: 0,
        broker: Some(Vhost::of(&node)?),
        smtp: Some(sink.url()),
        postgres: yard::SETTINGS,
        log: "warn",
        ..RolesPlan::default()
    })?;
    audience::gather(&roles, RECIPIENTS)?;
    roles.sql("VACUUM ANALYZE")?;
    let mut bench = Bench {
        roles,
        sink,
        issues: 0,
    };
    let mut source = Side::new("smtp-source -d -s 10 -l 10240");
    let mut unsigned = Side::new("letterbox deliver, no DKIM");
    for _ in 0..ROUNDS {
        let rate = bench.sink.source(RECIPIENTS)?;
        source.samples.push(Sample::rate(rate));
        unsigned.samples.push(bench.issue()?);
    }
    table::print(
        "Mails a second, from the queue to the relay and back into the database",
        &[source],
        &[(unsigned, Some(0.35))],
    );
    Ok(())
}

struct Bench {
    roles: Roles,
    sink: Sink,
    issues: usize,
}

impl Bench {
    /// Sends one issue: its mails a second, from the end of its fan-out to the commit of its last
    /// result.
    fn issue(&mut self) -> Result<Sample> {
        self.issues += 1;
        self.roles.sql("CHECKPOINT")?;
        let before = self.usage()?;
        self.roles
            .hand_over_issue(&format!("What is new, {}", self.issues), &text())?;
        let issue = self.roles.sql("SELECT max(id) FROM issue")?;
        let until = Instant::now() + PATIENCE;
        let finished = format!("SELECT finished_at IS NOT NULL FROM issue WHERE id = {issue}");
        while self.roles.sql(&finished)? != "t" {
            ensure!(Instant::now() < until, "issue {issue} does not finish");
            std::thread::sleep(Duration::from_millis(200));
        }
        let after = self.usage()?;
        let accepted = self.roles.sql(&format!(
            "SELECT count(*) FROM delivery WHERE issue_id = {issue} AND state = 2"
        ))?;
        if accepted != RECIPIENTS.to_string() {
            bail!("{accepted} of {RECIPIENTS} were accepted");
        }
        let seconds: f64 = self
            .roles
            .sql(&format!(
                "SELECT extract(epoch FROM (SELECT max(updated_at) FROM delivery WHERE issue_id = {issue})
                     - fanned_out_at) FROM issue WHERE id = {issue}"
            ))?
            .parse()?;
        let mails = f64::from(u32::try_from(RECIPIENTS)?);
        let each: Vec<String> = before
            .iter()
            .zip(&after)
            .map(|((name, before), (_, after))| {
                format!("{name} {:.0}", (*after - *before).seconds / mails * 1e6)
            })
            .collect();
        let bytes = (after[2].1 - before[2].1).read / mails;
        table::say(&format!(
            "    {:.0}/s; core time a mail, µs: {}; {bytes:.0} bytes a mail; deliver's peak {:.1} MiB",
            mails / seconds,
            each.join(", "),
            peak_memory(self.roles.delivers[0].pid()?)?,
        ));
        Ok(Sample::rate(mails / seconds))
    }

    fn usage(&self) -> Result<[(&'static str, Usage); 4]> {
        let postgres = self.roles.postgres.pid().map_or(0, Pid::as_raw);
        let broker = self.roles.vhost()?.node().pid().map_or(0, Pid::as_raw);
        Ok([
            ("deliver", Usage::of(self.roles.delivers[0].pid()?)?),
            ("PostgreSQL", Usage::of(u32::try_from(postgres)?)?),
            ("smtp-sink", Usage::of(self.sink.pid())?),
            ("RabbitMQ", Usage::of(u32::try_from(broker)?)?),
        ])
    }
}

/// Markdown that makes a message of 10 KiB: the same words in a text and in an HTML part.
fn text() -> String {
    let paragraph = "The library in the old town hall opens its doors again on Monday. There is a \
        reading room for children, a workshop where residents repair what would be thrown away, and \
        a desk at which the Council answers questions about rates, waste and schools.";
    [paragraph; 11].join("\n\n")
}

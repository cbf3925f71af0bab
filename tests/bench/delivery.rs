//! The whole path of an issue: chunk from the queue, claim, open, last look, render, 10 KiB of two parts
//! to the relay, journal, results committed, chunk handed back, ack; beside `smtp-source`, which sends one
//! text to one recipient over and over, into the same `smtp-sink`. With RSA it stands beside what two
//! cores can sign.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nix::unistd::Pid;
use support::{BrokerNode, Roles, RolesPlan, Vhost};

use crate::chart::{self, Bar};
use crate::postfix::{Sink, signatures_a_second};
use crate::table::{self, Sample, Side};
use crate::usage::{Usage, peak_memory};
use crate::{ROUNDS, audience, yard};

/// Recipients of an issue, and messages of `smtp-source`.
const RECIPIENTS: usize = 20_000;
const PATIENCE: Duration = Duration::from_mins(15);
/// What cores can sign, is compared with so many of them.
const CORES: f64 = 2.0;

/// How the mails of a run are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    No,
    Ed25519,
    Both,
}

pub(crate) fn run() -> Result<()> {
    let mut bench = Bench::start(RECIPIENTS)?;
    bench.make_keys()?;
    bench.roles.sql("VACUUM ANALYZE")?;
    let mut source = Side::new("smtp-source -d -s 10 -l 10240");
    let mut openssl = Side::new("openssl speed rsa2048, two cores");
    let mut unsigned = Side::new("letterbox deliver, no DKIM");
    let mut ed25519 = Side::new("letterbox deliver, Ed25519");
    let mut both = Side::new("letterbox deliver, RSA-2048 and Ed25519");
    for _ in 0..ROUNDS {
        let rate = bench.sink.source(RECIPIENTS)?;
        source.samples.push(Sample::rate(rate));
        for (side, signed) in [
            (&mut unsigned, Signed::No),
            (&mut ed25519, Signed::Ed25519),
            (&mut both, Signed::Both),
        ] {
            bench.restart(signed)?;
            side.samples.push(bench.issue(&side.name, RECIPIENTS)?);
        }
        let rate = signatures_a_second()? * CORES;
        openssl.samples.push(Sample::rate(rate));
    }
    let bar = |side: &Side, beside: &Side, target, aim| Bar {
        name: side.name.clone(),
        ratio: side.median() / beside.median(),
        target,
        aim,
    };
    chart::write(
        "delivery",
        "The whole path, beside smtp-source (no DKIM, Ed25519) and openssl speed (RSA)",
        &[
            bar(&unsigned, &source, 0.35, 0.5),
            bar(&ed25519, &source, 0.33, 0.45),
            bar(&both, &openssl, 0.55, 0.65),
        ],
    )?;
    table::print(
        "Mails a second, from the queue to the relay and back into the database",
        &[source],
        &[(unsigned, Some(0.35)), (ed25519, Some(0.33))],
    );
    table::print(
        "The same, beside RSA alone",
        &[openssl],
        &[(both, Some(0.55))],
    );
    Ok(())
}

/// What a million readers take of the worker's memory, beside ten thousand.
pub(crate) fn memory() -> Result<()> {
    const FEW: usize = 10_000;
    const COPIES: usize = 100;
    let mut bench = Bench::start(FEW)?;
    let mut peaks = Vec::new();
    for recipients in [FEW, FEW * COPIES] {
        if recipients > FEW {
            bench.multiply(COPIES)?;
        }
        bench.restart(Signed::No)?;
        bench.issue("for its memory", recipients)?;
        peaks.push(peak_memory(bench.roles.delivers[0].pid()?)?);
    }
    let judge = |good| if good { "reached" } else { "MISSED" };
    let ratio = peaks[1] / peaks[0];
    table::say("\nResident memory of letterbox deliver, its peak");
    table::say(&format!(
        "  {FEW} recipients {:>8.1} MiB, {} recipients {:>8.1} MiB (at most 64: {}) = {ratio:.2} x (at most 1.2: {})",
        peaks[0],
        FEW * COPIES,
        peaks[1],
        judge(peaks[1] <= 64.0),
        judge(ratio <= 1.2),
    ));
    Ok(())
}

struct Bench {
    roles: Roles,
    sink: Sink,
    issues: usize,
}

impl Bench {
    /// A worker, a relay, and an audience.
    fn start(readers: usize) -> Result<Self> {
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
        audience::gather(&roles, readers)?;
        Ok(Self {
            roles,
            sink,
            issues: 0,
        })
    }

    /// Keys that sign, beside those of the role.
    fn make_keys(&self) -> Result<()> {
        let folder = self.roles.keys().join("deliver");
        let words = ["keys", "dkim", &folder.to_string_lossy()];
        self.roles.run(&words, &[])?.ok()?;
        for (name, path) in self.dkim_keys()? {
            fs::rename(path, self.roles.folder().join(name))?;
        }
        Ok(())
    }

    fn dkim_keys(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.roles.keys().join("deliver"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("dkim-") {
                found.push((name, entry.path()));
            }
        }
        Ok(found)
    }

    /// Starts the worker anew, with these keys.
    fn restart(&mut self, signed: Signed) -> Result<()> {
        self.roles.delivers[0].stop()?;
        for (_, path) in self.dkim_keys()? {
            fs::remove_file(path)?;
        }
        let folder = self.roles.keys().join("deliver");
        for entry in fs::read_dir(self.roles.folder())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let wanted = match signed {
                Signed::No => false,
                Signed::Ed25519 => name.contains("ed25519"),
                Signed::Both => true,
            };
            if name.starts_with("dkim-") && wanted {
                // with its owner and its mode
                fs::hard_link(entry.path(), folder.join(&name))?;
            }
        }
        self.roles.delivers[0].resume()
    }

    /// Sends one issue: its mails a second, from the end of its fan-out to the commit of its last
    /// result.
    fn issue(&mut self, name: &str, recipients: usize) -> Result<Sample> {
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
        if accepted != recipients.to_string() {
            bail!("{accepted} of {recipients} were accepted");
        }
        let seconds: f64 = self
            .roles
            .sql(&format!(
                "SELECT extract(epoch FROM (SELECT max(updated_at) FROM delivery WHERE issue_id = {issue})
                     - fanned_out_at) FROM issue WHERE id = {issue}"
            ))?
            .parse()?;
        let mails = f64::from(u32::try_from(recipients)?);
        let each: Vec<String> = before
            .iter()
            .zip(&after)
            .map(|((name, before), (_, after))| {
                format!("{name} {:.0}", (*after - *before).seconds / mails * 1e6)
            })
            .collect();
        let bytes = (after[2].1 - before[2].1).read / mails;
        table::say(&format!(
            "    {name}: {:.0}/s; core time a mail, fan-out included, µs: {}; {bytes:.0} bytes a mail",
            mails / seconds,
            each.join(", "),
        ));
        Ok(Sample::rate(mails / seconds))
    }

    /// Gives each subscription copies, of subscribers of their own: the row MAC covers the subscription's
    /// id, so that copies have the same, which no table of an installation would allow.
    fn multiply(&self, copies: usize) -> Result<()> {
        self.roles
            .sql("ALTER TABLE subscription DROP CONSTRAINT subscription_subscription_id_key")?;
        self.roles.sql(&format!(
            "INSERT INTO subscriber (address_index, suppression_code, mailbox_code, code_generation, created_at)
             SELECT sha256(address_index || copy::text::bytea), sha256(suppression_code || copy::text::bytea),
                    sha256(mailbox_code || copy::text::bytea), code_generation, created_at
             FROM subscriber, generate_series(2, {copies}) copy"
        ))?;
        self.roles.sql(&format!(
            "INSERT INTO subscription (subscription_id, subscriber_id, newsletter_id, state, language, box_id,
                 box_accepted_at, sealed, consent_event_id, row_mac, changed_at)
             SELECT s.subscription_id, c.id, s.newsletter_id, s.state, s.language, s.box_id, s.box_accepted_at,
                 s.sealed, s.consent_event_id, s.row_mac, s.changed_at
             FROM subscription s JOIN subscriber b ON b.id = s.subscriber_id,
                  generate_series(2, {copies}) copy, subscriber c
             WHERE c.address_index = sha256(b.address_index || copy::text::bytea)"
        ))?;
        self.roles.sql("VACUUM ANALYZE")?;
        Ok(())
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
    [paragraph; 9].join("\n\n")
}

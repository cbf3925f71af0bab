//! The registrar: from sign-ups that wait in `letterbox.requests.v1` on RabbitMQ to committed rows (box
//! opened, codes, consent, mail, outbox); beside what PostgreSQL alone does. And, reported only, sign-ups
//! over HTTP while all that is behind them works: shipper, broker, registrar.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use support::{BrokerNode, Roles, RolesPlan, Vhost};

use crate::ROUNDS;
use crate::sign_up::post;
use crate::table::{self, Sample, Side};
use crate::yard::{self, Script, Yard};

/// How long broker or registrar may take for what one load brought.
const PATIENCE: Duration = Duration::from_mins(2);

/// A relay that nobody answers for: the worker does the registrar's work and sends no mail.
const NO_RELAY: &str = "smtp://127.0.0.1:9";

pub(crate) fn run() -> Result<()> {
    let mut yard = Yard::set_up(Script::SignUp)?;
    let node = BrokerNode::start()?;
    let mut bench = Bench {
        roles: Roles::start(RolesPlan {
            unsubscribes: 0,
            broker: Some(Vhost::of(&node)?),
            smtp: Some(NO_RELAY.to_owned()),
            postgres: yard::SETTINGS,
            log: "warn",
            ..RolesPlan::default()
        })?,
        loads: 0,
    };
    let mut registrar = Side::new("letterbox deliver, from letterbox.requests.v1");
    let mut intake = Side::new("letterbox intake, 64 connections, all at work");
    for _ in 0..ROUNDS {
        yard.round()?;
        registrar.samples.push(bench.drain_the_queue()?);
        intake.samples.push(bench.all_at_work()?);
    }
    bench.nothing_is_missing()?;
    table::print(
        "Sign-ups a second, from RabbitMQ to committed rows",
        &yard.sides,
        &[(registrar, Some(2.5)), (intake, None)],
    );
    Ok(())
}

struct Bench {
    roles: Roles,
    loads: usize,
}

impl Bench {
    /// Fills the queue while no worker runs, then starts one: its sign-ups a second from the first
    /// commit to the last.
    fn drain_the_queue(&mut self) -> Result<Sample> {
        let before = self.accepted()?;
        self.roles.delivers[0].stop()?;
        self.load()?;
        let accepted = self.accepted()?;
        wait("the broker to hold all sign-ups", || {
            let shipped = self.roles.intakes[0].metric("letterbox_requests_shipped_total", "")?;
            Ok((shipped >= accepted).then_some(()))
        })?;
        self.roles.delivers[0].start()?;
        let waiting = accepted - before;
        let (first, from) = self.applied_at_least(1.0)?;
        let (last, until) = self.applied_at_least(waiting)?;
        Ok(Sample::rate((last - first) / (until - from).as_secs_f64()))
    }

    /// Sign-ups over HTTP while they are shipped and applied; waits until all are.
    fn all_at_work(&mut self) -> Result<Sample> {
        let before = self.accepted()?;
        let applied = self.applied()?;
        let sample = self.load()?;
        self.applied_at_least(applied + self.accepted()? - before)?;
        Ok(sample)
    }

    fn load(&mut self) -> Result<Sample> {
        self.loads += 1;
        post(&self.roles.intakes[0], 64, self.loads)
    }

    /// Sign-ups answered 303.
    fn accepted(&self) -> Result<f64> {
        self.roles.intakes[0].metric("letterbox_sign_ups_total", "accepted")
    }

    /// Requests that the worker applied since it started.
    fn applied(&self) -> Result<f64> {
        self.roles.delivers[0].metric("letterbox_requests_applied_total", "")
    }

    /// Waits until so many are applied: how many then, and when.
    fn applied_at_least(&self, number: f64) -> Result<(f64, Instant)> {
        wait("the registrar", || {
            let applied = self.applied().unwrap_or_default();
            Ok((applied >= number).then(|| (applied, Instant::now())))
        })
    }

    /// What was measured did happen: a consent record for each sign-up.
    fn nothing_is_missing(&self) -> Result<()> {
        let consents: f64 = self.roles.sql("SELECT count(*) FROM consent")?.parse()?;
        let accepted = self.accepted()?;
        ensure!(
            (consents - accepted).abs() < 0.5,
            "{accepted} sign-ups were answered, {consents} are in the database"
        );
        Ok(())
    }
}

/// Looks often: what is waited for is measured.
fn wait<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(anyhow::anyhow!("gave up")).with_context(|| what.to_owned());
        }
        sleep(Duration::from_millis(20));
    }
}

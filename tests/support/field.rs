//! The field on which every story about sending is played: a town, its workers, and a relay that can
//! misbehave.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use crate::{BadSink, LedgerCheck, Roles, RolesPlan, Tally, Town, Vhost, leave, now, wait_until};

/// What is played with.
#[derive(Debug, Clone)]
pub struct FieldPlan {
    /// How many residents.
    pub residents: usize,
    /// Workers.
    pub workers: usize,
    /// Connections of each.
    pub connections: usize,
    /// The broker, if any.
    pub broker: Option<Vhost>,
    /// More words for every worker.
    pub words: Vec<&'static str>,
    /// How long the relay thinks about each message.
    pub slowness: Duration,
    /// Settings of PostgreSQL.
    pub postgres: &'static [&'static str],
}

impl Default for FieldPlan {
    fn default() -> Self {
        Self {
            residents: 200,
            workers: 1,
            connections: 4,
            broker: None,
            words: Vec::new(),
            slowness: Duration::ZERO,
            postgres: &["fsync=off"],
        }
    }
}

/// The field.
#[derive(Debug)]
pub struct Field {
    /// The installation.
    pub roles: Roles,
    /// Its relay.
    pub sink: BadSink,
    residents: usize,
}

impl Field {
    /// Everything up and running.
    ///
    /// # Errors
    /// A part did not become ready.
    pub fn start(plan: FieldPlan) -> Result<Self> {
        Self::start_with(plan, |_| {})
    }

    /// The same with other wishes about the roles.
    ///
    /// # Errors
    /// A part did not become ready.
    pub fn start_with(plan: FieldPlan, wish: impl FnOnce(&mut RolesPlan)) -> Result<Self> {
        let mut field = Self::prepare(plan, wish)?;
        field.roles.start_all()?;
        Ok(field)
    }

    /// The database and the relay run, the roles do not.
    ///
    /// # Errors
    /// A part did not start.
    pub fn prepare(plan: FieldPlan, wish: impl FnOnce(&mut RolesPlan)) -> Result<Self> {
        let sink = BadSink::start()?;
        sink.set_slowness(plan.slowness);
        let mut words = vec![format!("--connections={}", plan.connections)];
        words.extend(plan.words.iter().map(ToString::to_string));
        let mut roles = RolesPlan {
            delivers: plan.workers,
            broker: plan.broker,
            smtp: Some(sink.url()),
            deliver_words: words,
            postgres: plan.postgres,
            ..RolesPlan::default()
        };
        wish(&mut roles);
        Ok(Self {
            roles: Town::of(plan.residents)?.prepare(roles)?,
            sink,
            residents: plan.residents,
        })
    }

    /// How many residents there are.
    #[must_use]
    pub const fn residents(&self) -> usize {
        self.residents
    }

    /// Approves an issue and gives its number; it goes out by itself.
    ///
    /// # Errors
    /// It was refused.
    pub fn hand_over(&self, subject: &str) -> Result<u32> {
        self.roles.hand_over_issue(subject, "Tuesday.")?;
        Ok(self.roles.sql("SELECT max(id) FROM issue")?.parse()?)
    }

    /// Waits until nobody of an issue is left to be mailed.
    ///
    /// # Errors
    /// Somebody is.
    pub fn wait_through(&self, issue: u32, deadline: Duration) -> Result<()> {
        self.wait_while(issue, deadline, || Ok(()))
    }

    /// The same where the relay refuses for the moment: whoever waits for a retry gets it at once.
    ///
    /// # Errors
    /// Somebody is left.
    pub fn wait_through_retries(&self, issue: u32, deadline: Duration) -> Result<()> {
        self.wait_while(issue, deadline, || self.hasten(issue))
    }

    fn wait_while(
        &self,
        issue: u32,
        deadline: Duration,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let left = format!(
            "SELECT count(*) FILTER (WHERE d.state IN (0, 1, 3)), count(*) FROM delivery d
             JOIN issue i ON i.id = d.issue_id
             WHERE d.issue_id = {issue} AND i.fanned_out_at IS NOT NULL"
        );
        let mut last = String::new();
        wait_until(&format!("issue {issue} to be through"), deadline, || {
            // The database may be away for the moment.
            last = self.roles.sql(&left).unwrap_or_default();
            if last.starts_with("0|") && last != "0|0" {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(100));
            let _ = meanwhile();
            Ok(false)
        })
        .with_context(|| {
            let states = format!(
                "SELECT state, code, enhanced, count(*) FROM delivery WHERE issue_id = {issue} GROUP BY 1, 2, 3"
            );
            format!("left of all: {last}; {:?}", self.roles.sql(&states))
        })
    }

    /// Nobody waits for a time: who is to be tried later is tried now.
    ///
    /// # Errors
    /// The database is away.
    pub fn hasten(&self, issue: u32) -> Result<()> {
        let statement = format!(
            "UPDATE delivery SET not_before = now() WHERE issue_id = {issue} AND state = 3
                 AND not_before > now();
             UPDATE chunk SET next_due = now() WHERE issue_id = {issue} AND state = 2
                 AND next_due > now()"
        );
        self.roles.sql(&statement)?;
        Ok(())
    }

    /// What is in doubt has been so for longer than anybody waits for evidence.
    ///
    /// # Errors
    /// The database is away.
    pub fn let_doubts_age(&self, issue: u32) -> Result<()> {
        self.roles.sql(&format!(
            "UPDATE delivery SET updated_at = updated_at - interval '1 hour'
             WHERE issue_id = {issue} AND state = 6"
        ))?;
        Ok(())
    }

    /// The ledger check of an issue that is through.
    ///
    /// # Errors
    /// Somebody was lost or mailed twice.
    pub fn check(&self, issue: u32) -> Result<Tally> {
        let tally = LedgerCheck::of(issue).run(&self.roles, &self.sink.entries())?;
        eprintln!("figures: issue {issue}: {tally:?}");
        Ok(tally)
    }

    /// Subscriptions of an issue in one of these states.
    ///
    /// # Errors
    /// The database is away.
    pub fn in_states(&self, issue: u32, states: &str) -> Result<Vec<String>> {
        let rows = self.roles.sql(&format!(
            "SELECT encode(s.subscription_id, 'hex') FROM delivery d
             JOIN subscription s ON s.id = d.subscription
             WHERE d.issue_id = {issue} AND d.state IN ({states})"
        ))?;
        Ok(rows.lines().map(str::to_owned).collect())
    }

    /// Unsubscribes by these tokens of unsubscribe links, some at a time, as mail programs do; gives when
    /// each was answered.
    ///
    /// # Errors
    /// One is not answered with 200.
    pub fn all_leave(&self, tokens: &[String]) -> Result<Vec<SystemTime>> {
        const AT_A_TIME: usize = 6;
        let part = tokens.len().div_ceil(AT_A_TIME).max(1);
        std::thread::scope(|scope| {
            let parts: Vec<_> = tokens
                .chunks(part)
                .map(|part| {
                    scope.spawn(move || {
                        let web = self.roles.web();
                        part.iter()
                            .map(|token| {
                                leave(&web, &format!("/u/{token}"))?;
                                Ok(now())
                            })
                            .collect::<Result<Vec<_>>>()
                    })
                })
                .collect();
            let mut all = Vec::with_capacity(tokens.len());
            for part in parts {
                all.extend(part.join().unwrap_or_else(|_| anyhow::bail!("a panic"))?);
            }
            Ok(all)
        })
    }

    /// The tokens of the unsubscribe links of an issue that was taken.
    #[must_use]
    pub fn tokens(&self, issue: u32) -> Vec<String> {
        let entries = self.sink.entries();
        let links = entries
            .iter()
            .filter(|entry| entry.is_taken())
            .filter_map(|entry| entry.message.as_ref()?.link.as_ref());
        links
            .filter(|link| link.issue == issue)
            .map(|link| link.token.clone())
            .collect()
    }
}

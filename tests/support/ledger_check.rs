//! The ledger check of `reliability.md` 8.1, with which every story about sending ends: what the
//! database says of each recipient of an issue against what the relay wrote down.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use crate::{Entry, Roles, copies_of};

/// How late after its commit an unsubscribe may still be overtaken by a `DATA`.
const AFTER_A_STOP: Duration = Duration::from_secs(2);

/// What is to be checked.
#[derive(Debug, Clone, Copy)]
pub struct LedgerCheck {
    /// The issue's number.
    pub issue: u32,
    /// Whether its policy is to send again what is in doubt.
    pub resends: bool,
    /// Whether rows may be left that wait for a retry.
    pub may_wait: bool,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows.
    pub audience: usize,
    /// Accepted by the relay.
    pub accepted: usize,
    /// Suppressed in the claim or at the last look, or cancelled.
    pub suppressed: usize,
    /// Bounced, expired, failed.
    pub failed: usize,
    /// In doubt, or assumed sent.
    pub uncertain: usize,
    /// Not yet through.
    pub waiting: usize,
    /// Messages that the relay took.
    pub copies: usize,
    /// Of these, second copies that the policy allows.
    pub extra: usize,
}

/// One recipient, by the database.
struct Row {
    subscription: String,
    state: u8,
    attempt: usize,
}

impl LedgerCheck {
    /// Of an issue that skips what is in doubt and is through.
    #[must_use]
    pub const fn of(issue: u32) -> Self {
        Self {
            issue,
            resends: false,
            may_wait: false,
        }
    }

    /// Compares, and counts.
    ///
    /// # Errors
    /// Somebody was lost or mailed twice, or the database does not say so.
    pub fn run(self, roles: &Roles, entries: &[Entry]) -> Result<Tally> {
        let rows = self.rows(roles)?;
        let mut copies = copies_of(entries, self.issue);
        let mut tally = Tally {
            audience: rows.len(),
            copies: copies.values().map(Vec::len).sum(),
            ..Tally::default()
        };
        let mut wrong = Vec::new();
        for row in &rows {
            let got = copies.remove(row.subscription.as_str()).unwrap_or_default();
            if let Err(error) = self.judge(row, &got, &mut tally) {
                wrong.push(format!("{error:#}"));
            }
        }
        wrong.extend(
            copies
                .keys()
                .map(|stranger| format!("{stranger} is not of the audience")),
        );
        ensure!(
            wrong.is_empty(),
            "issue {}: {} wrong: {}; {tally:?}",
            self.issue,
            wrong.len(),
            wrong[..wrong.len().min(5)].join("; ")
        );
        self.chunks_agree(roles)?;
        self.status_agrees(roles, tally)?;
        self.nobody_was_mailed_after_leaving(roles, entries)?;
        Ok(tally)
    }

    fn judge(self, row: &Row, got: &[&Entry], tally: &mut Tally) -> Result<()> {
        let (copies, state) = (got.len(), row.state);
        match state {
            2 => tally.accepted += 1,
            5 | 8 => tally.suppressed += 1,
            4 | 7 | 10 => tally.failed += 1,
            6 | 9 => tally.uncertain += 1,
            _ => tally.waiting += 1,
        }
        tally.extra += copies.saturating_sub(1);
        let at_most = if self.resends { row.attempt.max(1) } else { 1 };
        let who = format!(
            "{} in state {state}, attempt {}",
            row.subscription, row.attempt
        );
        ensure!(copies <= at_most, "{who} was mailed {copies} times");
        match state {
            0 | 1 | 3 => {
                ensure!(self.may_wait, "{who} is left");
                ensure!(copies == 0 || self.resends, "{who} has {copies} copies");
            }
            2 => ensure!(copies >= 1, "{who} has no copy"),
            6 | 9 => {}
            _ => ensure!(copies == 0, "{who} has {copies} copies"),
        }
        let texts: Vec<_> = got
            .iter()
            .filter_map(|entry| entry.message.as_ref())
            .collect();
        for pair in texts.windows(2) {
            ensure!(
                pair[0].sha256 == pair[1].sha256 && pair[0].id == pair[1].id,
                "{who}: the second copy is another one"
            );
        }
        Ok(())
    }

    fn rows(self, roles: &Roles) -> Result<Vec<Row>> {
        let statement = format!(
            "SELECT encode(s.subscription_id, 'hex'), d.state, d.attempt - d.uncounted
             FROM delivery d
             JOIN subscription s ON s.id = d.subscription WHERE d.issue_id = {}",
            self.issue
        );
        let text = roles.sql(&statement)?;
        let row = |line: &str| {
            let mut words = line.split('|');
            let mut next = || words.next().with_context(|| format!("a row: {line}"));
            Ok(Row {
                subscription: next()?.to_owned(),
                state: next()?.parse()?,
                attempt: next()?.parse()?,
            })
        };
        text.lines().map(row).collect()
    }

    /// What a chunk says of its rows is what they are.
    fn chunks_agree(self, roles: &Roles) -> Result<()> {
        let statement = format!(
            "SELECT count(*) FROM chunk c WHERE c.issue_id = {0} AND (c.n, c.in_doubt) <> (
                 SELECT count(*), count(*) FILTER (WHERE state = 6) FROM delivery d
                 WHERE d.issue_id = {0} AND d.chunk_no = c.chunk_no)",
            self.issue
        );
        let wrong = roles.sql(&statement)?;
        ensure!(wrong == "0", "{wrong} chunks miscount their rows");
        Ok(())
    }

    /// `letterbox issue status` says the same, and its equation holds.
    fn status_agrees(self, roles: &Roles, tally: Tally) -> Result<()> {
        let said = roles
            .command(&["issue", "status", &self.issue.to_string()])?
            .ok()?;
        let number = |word: &str| -> Result<usize> {
            let found = said.split_once(word).map(|(_, rest)| rest);
            let digits: String = found
                .with_context(|| format!("no {word}: {said}"))?
                .chars()
                .skip_while(|c| !c.is_ascii_digit())
                .take_while(|c| c.is_ascii_digit() || *c == ',')
                .filter(|c| *c != ',')
                .collect();
            Ok(digits.parse()?)
        };
        let numbers = [
            "audience",
            "accepted",
            "suppressed",
            "failed",
            "uncertain",
            "waiting",
        ];
        let said_numbers: Vec<usize> = numbers
            .iter()
            .map(|word| number(word))
            .collect::<Result<_>>()?;
        let counted = [
            tally.audience,
            tally.accepted,
            tally.suppressed,
            tally.failed,
            tally.uncertain,
            tally.waiting,
        ];
        ensure!(said_numbers == counted, "{said} is not {tally:?}");
        ensure!(
            counted[0] == counted[1..].iter().sum::<usize>(),
            "{tally:?} is no sum"
        );
        Ok(())
    }

    /// No `DATA` came later than two seconds after an unsubscribe was committed.
    fn nobody_was_mailed_after_leaving(self, roles: &Roles, entries: &[Entry]) -> Result<()> {
        let left = stops(roles)?;
        for entry in entries {
            let (Some(at_data), Some(subscription)) =
                (entry.at_data, entry.subscription(self.issue))
            else {
                continue;
            };
            let Some(stopped) = left.get(subscription) else {
                continue;
            };
            let late = at_data.duration_since(*stopped).unwrap_or_default();
            ensure!(
                late <= AFTER_A_STOP,
                "{subscription}: DATA {late:?} after the unsubscribe"
            );
        }
        Ok(())
    }
}

/// When each unsubscribe was written down, by subscription.
///
/// # Errors
/// The database does not say.
pub fn stops(roles: &Roles) -> Result<HashMap<String, SystemTime>> {
    let statement = "SELECT encode(subscription_id, 'hex'), min(recorded_ms) FROM ledger_entry
                     WHERE subscription_id IS NOT NULL GROUP BY 1";
    let text = roles.sql(statement)?;
    text.lines()
        .map(|line| {
            let (subscription, at) = line.split_once('|').context("a row")?;
            let at = UNIX_EPOCH + Duration::from_millis(at.parse()?);
            Ok((subscription.to_owned(), at))
        })
        .collect()
}

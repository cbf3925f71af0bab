//! `letterbox issue pause`, `resume`, `cancel` and `retry-failed`.

use std::time::{Duration, Instant};

use anyhow::Context;
use domain::{Clock, IssueNumber};
use service_runtime::SystemClock;
use store::{ChangeError, IssueDesk, IssueProgress, IssueState};

use super::issue_status::{self, no_such_issue};
use super::{block_on, installation};
use crate::cli::ChangeOptions;
use crate::failure::SettingsError;
use crate::up::print_line;

/// How long those who are tried again, or sent again, have.
pub(super) const SECOND_LIFE: Duration = Duration::from_hours(36);
/// For so long it is waited until workers have carried it out.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(250);

/// What an operator says to an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Pause,
    Resume,
    Cancel,
    RetryFailed,
}

/// Runs the command.
pub(super) fn run(change: Change, options: &ChangeOptions) -> anyhow::Result<()> {
    let number = IssueNumber(options.number);
    let place = installation::place_of(&options.target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let desk = open.database.issues();
        let said = match change {
            Change::Pause => desk.pause(number).await,
            Change::Resume => desk.resume(number).await,
            Change::Cancel => desk.cancel(number).await,
            Change::RetryFailed => {
                let deadline = SystemClock.now().plus(SECOND_LIFE);
                desk.retry_failed(number, deadline).await
            }
        };
        said.map_err(|error| refusal(error, number, change.verb()))?;
        let (progress, done) = carried_out(&desk, number, change).await?;
        issue_status::print(&progress);
        if !done {
            print_line("  No worker has carried it out yet: it happens as soon as one runs.");
        }
        Ok(())
    })
}

impl Change {
    const fn verb(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::RetryFailed => "tried again",
        }
    }

    /// Whether nothing is left to do for a worker.
    fn is_carried_out(self, progress: &IssueProgress) -> bool {
        match self {
            Self::Pause => progress.in_hand == 0,
            Self::Resume => true,
            Self::Cancel => progress.finished.is_some(),
            Self::RetryFailed => !progress.retrying,
        }
    }
}

/// Why an issue was not changed, in words.
pub(super) fn refusal(error: ChangeError, number: IssueNumber, verb: &str) -> anyhow::Error {
    match error {
        ChangeError::NoSuchIssue(number) => no_such_issue(number).into(),
        ChangeError::NotNow(state) => {
            let hint = match state {
                IssueState::Finished => {
                    " (who failed can be tried again: `letterbox issue retry-failed`)"
                }
                _ => "",
            };
            SettingsError::new(format!(
                "issue {} is {} and cannot be {verb}{hint}",
                number.0,
                state.label()
            ))
            .into()
        }
        ChangeError::Store(error) => {
            anyhow::Error::new(error).context("whether it was done is not known: try again")
        }
    }
}

/// Waits for the workers.
async fn carried_out(
    desk: &IssueDesk,
    number: IssueNumber,
    change: Change,
) -> anyhow::Result<(IssueProgress, bool)> {
    let begun = Instant::now();
    loop {
        let progress = issue_status::of(desk, number)
            .await
            .context("it is done; how the issue stands cannot be read")?;
        if change.is_carried_out(&progress) {
            return Ok((progress, true));
        }
        if begun.elapsed() > PATIENCE {
            return Ok((progress, false));
        }
        tokio::time::sleep(POLL).await;
    }
}

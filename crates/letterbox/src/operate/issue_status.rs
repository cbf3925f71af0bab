//! `letterbox issue status`, and watching an issue go.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use domain::{IssueNumber, Timestamp};
use store::{HoldReason, IssueDesk, IssueProgress, IssueState};

use super::progress_line::{ProgressLine, describe};
use super::{block_on, installation};
use crate::cli::Target;
use crate::failure::SettingsError;
use crate::up::print_line;

const POLL: Duration = Duration::from_millis(500);
/// A look may cost the database a part of this of its time, where an issue is large.
const SHARE: u32 = 10;
/// `issue status` without a number lists this many.
const LISTED: u16 = 20;

/// Runs `issue status`.
pub(super) fn run(
    number: Option<IssueNumber>,
    follow: bool,
    target: &Target,
) -> anyhow::Result<()> {
    let place = installation::place_of(target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let desk = open.database.issues();
        match number {
            Some(number) if follow => {
                print(&of(&desk, number).await?);
                watch(&desk, number).await
            }
            Some(number) => {
                print(&of(&desk, number).await?);
                Ok(())
            }
            None => list(&desk).await,
        }
    })
}

/// How an issue stands; refused where there is none.
pub(super) async fn of(desk: &IssueDesk, number: IssueNumber) -> anyhow::Result<IssueProgress> {
    let progress = desk
        .progress(number)
        .await
        .context("the issue cannot be read")?;
    progress.ok_or_else(|| no_such_issue(number).into())
}

/// What to say where there is no issue of this number.
pub(super) fn no_such_issue(number: IssueNumber) -> SettingsError {
    SettingsError::new(format!(
        "there is no issue {}: `letterbox issue status` lists them",
        number.0
    ))
}

/// Shows the issue equation until the issue has ended.
pub(super) async fn watch(desk: &IssueDesk, number: IssueNumber) -> anyhow::Result<()> {
    let mut line = ProgressLine::new();
    loop {
        let asked = Instant::now();
        let progress = desk
            .progress(number)
            .await
            .context("the database went away; the issue goes on when it is back")?
            .context("the issue is gone")?;
        let ended = match progress.state {
            IssueState::Finished | IssueState::Held => true,
            // the workers still write down who gets nothing
            IssueState::Cancelled => progress.finished.is_some(),
            _ => false,
        };
        if ended {
            line.end();
            print_line(&describe(progress.state.label(), &progress.counts, None));
            print_remarks(&progress);
            if progress.state == IssueState::Held {
                bail!(
                    "issue {} is held: those who wait in it get nothing for now",
                    number.0
                );
            }
            if progress.counts.audience == 0 {
                print_line("Nobody gets this newsletter at present, so nothing was sent.");
            }
            return Ok(());
        }
        line.show(progress.state.label(), &progress.counts, Instant::now());
        tokio::time::sleep(POLL.max(asked.elapsed() * SHARE)).await;
    }
}

async fn list(desk: &IssueDesk) -> anyhow::Result<()> {
    let found = desk
        .list(LISTED)
        .await
        .context("the issues cannot be read")?;
    if found.is_empty() {
        print_line("No issue was sent yet: see `letterbox issue send --help`.");
    }
    for progress in &found {
        print(progress);
    }
    Ok(())
}

/// A moment in words.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_date_time()
        .map_or_else(String::new, |moment| moment.to_string())
}

/// An issue in words.
pub(super) fn print(progress: &IssueProgress) {
    print_line(&format!(
        "Issue {} of {}: {}",
        progress.number.0, progress.newsletter, progress.subject
    ));
    print_line(&format!(
        "  {}",
        describe(progress.state.label(), &progress.counts, None)
    ));
    print_remarks(progress);
}

/// What an operator has to know or to do.
fn print_remarks(progress: &IssueProgress) {
    let number = progress.number.0;
    if progress.state == IssueState::Held {
        let why = match progress.held {
            Some(HoldReason::Unrenderable) => {
                "its mails cannot be made; the log of the worker says why"
            }
            Some(HoldReason::Refusals) => {
                "the relay refused too many of its mails; the log of the worker and the relay say why"
            }
            None => "the log of the worker says why",
        };
        print_line(&format!(
            "  held: {why}. `letterbox issue resume {number}` goes on, `cancel {number}` ends it."
        ));
    }
    if !progress.counts.balances() {
        print_line(&format!(
            "  the numbers do not add up to its {} recipients: somebody changed the rows of this issue in the database.",
            progress.counts.audience
        ));
    }
    if progress.undecided > 0 {
        print_line(&format!(
            "  in doubt: {}, {}. See `letterbox issue doubts {number}`.",
            progress.undecided,
            super::issue_doubts::policy_in_words(progress.in_doubt_policy)
        ));
    }
    if progress.set_aside > 0 {
        print_line(&format!(
            "  set aside: {} recipients in chunks that workers died of. `letterbox issue retry-failed {number}` tries them again.",
            progress.set_aside
        ));
    }
}

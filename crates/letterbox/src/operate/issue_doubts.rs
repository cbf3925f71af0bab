//! `letterbox issue doubts` and `issue decide`: mails of which nobody knows whether they went.

use anyhow::Context;
use domain::{Clock, IssueNumber};
use service_runtime::SystemClock;
use store::{DoubtDecision, InDoubtPolicy};

use super::issue_change::{SECOND_LIFE, refusal};
use super::{block_on, installation, issue_status};
use crate::cli::{ChangeOptions, DoubtWord, Target};
use crate::failure::SettingsError;
use crate::up::print_line;

/// So many are listed.
const LISTED: u16 = 1_000;

/// What becomes of them without an operator's word.
pub(super) const fn policy_in_words(policy: InDoubtPolicy) -> &'static str {
    match policy {
        InDoubtPolicy::Skip => "never sent twice: each counts as sent after 15 minutes",
        InDoubtPolicy::Resend => "sent again after 15 minutes",
        InDoubtPolicy::Hold => "held until somebody says `letterbox issue decide`",
    }
}

/// Runs `issue doubts`.
pub(super) fn list(options: &ChangeOptions) -> anyhow::Result<()> {
    let number = IssueNumber(options.number);
    let place = installation::place_of(&options.target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let desk = open.database.issues();
        let progress = issue_status::of(&desk, number).await?;
        let doubts = desk
            .doubts(number, LISTED)
            .await
            .context("the doubts cannot be read")?;
        print_line(&format!(
            "Issue {}: {} in doubt, {}.",
            number.0,
            progress.undecided,
            policy_in_words(progress.in_doubt_policy)
        ));
        for doubt in &doubts {
            let id = doubt.message_id.as_deref().unwrap_or("the reader has left");
            let since = issue_status::moment(doubt.since);
            print_line(&format!("  since {since}  {id}"));
        }
        if !doubts.is_empty() {
            print_line(&format!(
                "Look for the Message-IDs in the relay's log; then `letterbox issue decide {} sent` or `again`, for one of them with --message-id.",
                number.0
            ));
        }
        Ok(())
    })
}

/// Runs `issue decide`.
pub(super) fn decide(
    number: IssueNumber,
    word: DoubtWord,
    message_ids: &[String],
    target: &Target,
) -> anyhow::Result<()> {
    let decision = match word {
        DoubtWord::Sent => DoubtDecision::Sent,
        DoubtWord::Again => DoubtDecision::Again,
    };
    let ids: Vec<String> = message_ids
        .iter()
        .map(|id| id.trim_matches(['<', '>', ' ']).to_owned())
        .collect();
    let only = (!ids.is_empty()).then_some(ids.as_slice());
    let place = installation::place_of(target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let deadline = SystemClock.now().plus(SECOND_LIFE);
        let decided = open
            .database
            .issues()
            .decide_doubts(number, decision, only, deadline)
            .await
            .map_err(|error| refusal(error, number, "sent again"))?;
        if decided == 0 && only.is_some() {
            return Err(SettingsError::new(format!(
                "issue {} has no doubt with this Message-ID: see `letterbox issue doubts {}`",
                number.0, number.0
            ))
            .into());
        }
        print_line(&match decision {
            DoubtDecision::Sent => format!("{decided} of issue {} count as sent.", number.0),
            DoubtDecision::Again => format!("{decided} of issue {} are sent again.", number.0),
        });
        Ok(())
    })
}

//! How issues stand: the issue equation of each, at any moment.
//!
//! A chunk that nobody has taken yet waits with all its recipients, and one that is done was counted
//! when it was handed back: only of those in between the rows are read, so that a look at an issue of
//! a million costs its senders little.

use domain::{DeliveryState, IssueCounts, IssueNumber, NotASlug, Slug, Timestamp};
use sqlx::PgConnection;

use crate::issues::{ISSUE, IssueDesk};
use crate::{HoldReason, InDoubtPolicy, IssueState, StoreError, columns};

const CHUNK: &str = "chunk";

/// How an issue stands. While `fanned_out` is false the audience still grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueProgress {
    /// Which.
    pub number: IssueNumber,
    /// Its newsletter.
    pub newsletter: Slug,
    /// Its subject in the newsletter's first language.
    pub subject: String,
    /// How far it has come.
    pub state: IssueState,
    /// Why it is held, where it is.
    pub held: Option<HoldReason>,
    /// What becomes of mails in doubt.
    pub in_doubt_policy: InDoubtPolicy,
    /// The issue equation.
    pub counts: IssueCounts,
    /// Deliveries in doubt on which nobody has decided; `counts.uncertain` has them too.
    pub undecided: u64,
    /// Recipients in chunks that were set aside, because a worker died of them again and again.
    pub set_aside: u64,
    /// Chunks that workers have in hand.
    pub in_hand: u64,
    /// Whether workers still queue again what failed.
    pub retrying: bool,
    /// Whether the whole audience is written down.
    pub fanned_out: bool,
    /// When it was approved.
    pub started: Option<Timestamp>,
    /// When the last recipient was dealt with.
    pub finished: Option<Timestamp>,
}

impl IssueDesk {
    /// How an issue stands; none where there is no such issue.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn progress(&self, issue: IssueNumber) -> Result<Option<IssueProgress>, StoreError> {
        // one snapshot for the row and the counts, so that the equation balances at every look
        let mut tx = self.database.begin().await?;
        sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query!(
            "SELECT n.slug, i.state, i.held_reason, i.in_doubt_policy, i.approved_at, i.retry_from,
                    i.fanned_out_at, i.finished_at,
                    coalesce((SELECT c.subject FROM issue_content c WHERE c.issue_id = i.id
                              ORDER BY array_position(n.languages, c.language) LIMIT 1), '') AS \"subject!\"
             FROM issue i JOIN newsletter n ON n.id = i.newsletter_id WHERE i.id = $1",
            i64::from(issue.0)
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let chunks = sqlx::query!(
            "SELECT coalesce(sum(in_doubt), 0) AS \"undecided!\",
                    coalesce(sum(n) FILTER (WHERE state = 4), 0) AS \"set_aside!\",
                    count(*) FILTER (WHERE state = 1) AS \"in_hand!\"
             FROM chunk WHERE issue_id = $1",
            i64::from(issue.0)
        )
        .fetch_one(&mut *tx)
        .await?;
        let counts = equation(&mut tx, issue).await?;
        Ok(Some(IssueProgress {
            number: issue,
            newsletter: slug(&row.slug)?,
            subject: row.subject,
            state: IssueState::from_number(row.state).ok_or(StoreError::Inconsistent(ISSUE))?,
            held: row.held_reason.and_then(HoldReason::from_number),
            in_doubt_policy: InDoubtPolicy::from_number(row.in_doubt_policy)
                .ok_or(StoreError::Inconsistent(ISSUE))?,
            counts,
            undecided: columns::number(chunks.undecided, CHUNK)?,
            set_aside: columns::number(chunks.set_aside, CHUNK)?,
            in_hand: columns::number(chunks.in_hand, CHUNK)?,
            retrying: row.retry_from.is_some(),
            fanned_out: row.fanned_out_at.is_some(),
            started: row.approved_at.map(Timestamp::from_date_time),
            finished: row.finished_at.map(Timestamp::from_date_time),
        }))
    }

    /// The newest issues first, at most `limit`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn list(&self, limit: u16) -> Result<Vec<IssueProgress>, StoreError> {
        let numbers = sqlx::query_scalar!(
            "SELECT id FROM issue ORDER BY id DESC LIMIT $1",
            i64::from(limit)
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut issues = Vec::with_capacity(numbers.len());
        for number in numbers {
            let number = IssueNumber(columns::number(number, ISSUE)?);
            issues.extend(self.progress(number).await?);
        }
        Ok(issues)
    }
}

/// The issue equation, in the caller's snapshot. A chunk that was counted has no doubts.
pub(crate) async fn equation(
    tx: &mut PgConnection,
    issue: IssueNumber,
) -> Result<IssueCounts, StoreError> {
    let past = sqlx::query!(
        "SELECT past_audience, past_accepted, past_suppressed, past_failed, past_uncertain
         FROM issue WHERE id = $1",
        i64::from(issue.0)
    )
    .fetch_one(&mut *tx)
    .await?;
    let sums = sqlx::query!(
        "SELECT coalesce(sum(n), 0) AS \"audience!\",
                coalesce(sum(n) FILTER (WHERE state = 0 AND epoch = 0), 0) AS \"waiting!\",
                coalesce(sum(accepted) FILTER (WHERE state = 3), 0) AS \"accepted!\",
                coalesce(sum(suppressed) FILTER (WHERE state = 3), 0) AS \"suppressed!\",
                coalesce(sum(failed) FILTER (WHERE state = 3), 0) AS \"failed!\"
         FROM chunk WHERE issue_id = $1",
        i64::from(issue.0)
    )
    .fetch_one(&mut *tx)
    .await?;
    let groups = sqlx::query!(
        "SELECT d.state, count(*) AS \"n!\" FROM chunk c
         JOIN delivery d ON d.issue_id = c.issue_id AND d.chunk_no = c.chunk_no
         WHERE c.issue_id = $1 AND NOT (c.state = 0 AND c.epoch = 0)
           AND NOT (c.state = 3 AND c.accepted IS NOT NULL)
         GROUP BY d.state",
        i64::from(issue.0)
    )
    .fetch_all(tx)
    .await?;
    let number = |sum: i64| columns::number(sum, CHUNK);
    let mut counts = IssueCounts {
        audience: number(sums.audience)? + number(past.past_audience)?,
        ..IssueCounts::default()
    };
    for (state, past) in [
        (DeliveryState::Accepted, past.past_accepted),
        (DeliveryState::Suppressed, past.past_suppressed),
        (DeliveryState::Bounced, past.past_failed),
        (DeliveryState::AssumedSent, past.past_uncertain),
    ] {
        counts.add(state, number(past)?);
    }
    counts.add(DeliveryState::Queued, number(sums.waiting)?);
    counts.add(DeliveryState::Accepted, number(sums.accepted)?);
    counts.add(DeliveryState::Suppressed, number(sums.suppressed)?);
    counts.add(DeliveryState::Bounced, number(sums.failed)?);
    for group in groups {
        let state =
            DeliveryState::from_number(group.state).ok_or(StoreError::Inconsistent("delivery"))?;
        counts.add(state, number(group.n)?);
    }
    Ok(counts)
}

fn slug(text: &str) -> Result<Slug, StoreError> {
    Slug::parse(text).map_err(|NotASlug| StoreError::Inconsistent("newsletter"))
}

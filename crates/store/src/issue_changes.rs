//! What an operator says to an issue that is under way. Each is one statement on the issue's row, which
//! every claim asks; what follows from it for a million recipients is done step by step by
//! [`IssueUpkeep`](crate::IssueUpkeep).

use domain::{IssueNumber, Timestamp};

use crate::issues::{ISSUE, IssueDesk};
use crate::{DoubtDecision, HoldReason, IssueState, StoreError, columns};

/// Why an issue was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is none with this number.
    #[error("there is no issue {}", .0.0)]
    NoSuchIssue(IssueNumber),
    /// From this state it cannot be done; the issue is as it was.
    #[error("the issue is {}", .0.label())]
    NotNow(IssueState),
    /// The database failed; whether it was done is not known, and doing it again is harmless.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A delivery in doubt, without its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// What to look for in the relay's log; none where the reader's subscription is gone.
    pub message_id: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl IssueDesk {
    /// Stops an issue for now. Nothing is claimed any more once this has committed.
    ///
    /// # Errors
    /// As [`ChangeError`] says.
    pub async fn pause(&self, issue: IssueNumber) -> Result<(), ChangeError> {
        let changed = sqlx::query_scalar!(
            "UPDATE issue SET state = 4 WHERE id = $1 AND state IN (1, 2, 3, 4) RETURNING state",
            i64::from(issue.0)
        )
        .fetch_optional(&self.database.pool)
        .await?;
        self.done(issue, changed.is_some()).await
    }

    /// Goes on with an issue that is paused or held, from where it stopped. What came back of one that was
    /// held counts from then on, however much it is.
    ///
    /// # Errors
    /// As [`ChangeError`] says.
    pub async fn resume(&self, issue: IssueNumber) -> Result<(), ChangeError> {
        let changed = sqlx::query_scalar!(
            "UPDATE issue SET held_reason = NULL, hints_wanted = true,
                    bounces_count = bounces_count OR state = 7,
                    state = CASE WHEN fanned_out_at IS NOT NULL THEN 3
                                 WHEN upper_id IS NOT NULL THEN 2 ELSE 1 END
             WHERE id = $1 AND state IN (4, 7) RETURNING state",
            i64::from(issue.0)
        )
        .fetch_optional(&self.database.pool)
        .await?;
        self.done(issue, changed.is_some()).await
    }

    /// Stops an issue for good: who waits in it gets nothing.
    ///
    /// # Errors
    /// As [`ChangeError`] says.
    pub async fn cancel(&self, issue: IssueNumber) -> Result<(), ChangeError> {
        let changed = sqlx::query_scalar!(
            "UPDATE issue SET state = 5, held_reason = NULL, retry_from = NULL
             WHERE id = $1 AND state IN (0, 1, 2, 3, 4, 5, 7) RETURNING state",
            i64::from(issue.0)
        )
        .fetch_optional(&self.database.pool)
        .await?;
        self.done(issue, changed.is_some()).await
    }

    /// Queues again whoever was refused, came too late or broke the renderer, and what was set aside;
    /// nobody who was sent a copy or may have been. Until `deadline` they are tried. A finished issue
    /// is being sent again; a paused or held one waits for [`Self::resume`].
    ///
    /// # Errors
    /// As [`ChangeError`] says.
    pub async fn retry_failed(
        &self,
        issue: IssueNumber,
        deadline: Timestamp,
    ) -> Result<(), ChangeError> {
        let changed = sqlx::query_scalar!(
            "UPDATE issue SET retry_from = 0, deadline = greatest(deadline, $2), finished_at = NULL,
                    state = CASE WHEN state = 6 THEN 3 ELSE state END
             WHERE id = $1 AND state IN (3, 4, 6, 7) RETURNING state",
            i64::from(issue.0),
            columns::moment(deadline),
        )
        .fetch_optional(&self.database.pool)
        .await?;
        self.done(issue, changed.is_some()).await
    }

    /// Stops an issue until an operator has looked.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn hold(&self, issue: IssueNumber, reason: HoldReason) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE issue SET state = 7, held_reason = $2 WHERE id = $1 AND state = 3",
            i64::from(issue.0),
            reason.number(),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Deliveries in doubt on which nobody has decided, the oldest first, at most `limit`. A new one
    /// is in it within seconds, while a worker runs.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn doubts(&self, issue: IssueNumber, limit: u16) -> Result<Vec<Doubt>, StoreError> {
        let rows = sqlx::query!(
            "SELECT message_id, since FROM doubt WHERE issue_id = $1 AND decided IS NULL
             ORDER BY since, message_id LIMIT $2",
            i64::from(issue.0),
            i64::from(limit),
        )
        .fetch_all(&self.database.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Doubt {
                message_id: row.message_id,
                since: Timestamp::from_date_time(row.since),
            })
            .collect())
    }

    /// Decides on all doubts of an issue that [`Self::doubts`] lists, or on those with these
    /// Message-IDs; a worker carries it out. What is sent again is tried until `deadline`. Returns on
    /// how many.
    ///
    /// # Errors
    /// As [`ChangeError`] says.
    pub async fn decide_doubts(
        &self,
        issue: IssueNumber,
        decision: DoubtDecision,
        only: Option<&[String]>,
        deadline: Timestamp,
    ) -> Result<u64, ChangeError> {
        let again = decision == DoubtDecision::Again;
        let mut tx = self.database.begin().await?;
        let state = sqlx::query_scalar!(
            "SELECT state FROM issue WHERE id = $1 FOR UPDATE",
            i64::from(issue.0)
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(ChangeError::NoSuchIssue(issue))?;
        let state = issue_state(state)?;
        if again && state == IssueState::Cancelled {
            return Err(ChangeError::NotNow(state));
        }
        let decided = sqlx::query!(
            "UPDATE doubt SET decided = $2
             WHERE issue_id = $1 AND decided IS NULL
               AND ($3::text[] IS NULL OR message_id = ANY($3))",
            i64::from(issue.0),
            decision.number(),
            only as Option<&[String]>,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if again && decided > 0 {
            sqlx::query!(
                "UPDATE issue SET deadline = greatest(deadline, $2), finished_at = NULL,
                        hints_wanted = true, state = CASE WHEN state = 6 THEN 3 ELSE state END
                 WHERE id = $1",
                i64::from(issue.0),
                columns::moment(deadline),
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(decided)
    }

    /// What to answer after a change of so many rows.
    async fn done(&self, issue: IssueNumber, changed: bool) -> Result<(), ChangeError> {
        if changed {
            return Ok(());
        }
        let state =
            sqlx::query_scalar!("SELECT state FROM issue WHERE id = $1", i64::from(issue.0))
                .fetch_optional(&self.database.pool)
                .await?
                .ok_or(ChangeError::NoSuchIssue(issue))?;
        Err(ChangeError::NotNow(issue_state(state)?))
    }
}

fn issue_state(number: i16) -> Result<IssueState, StoreError> {
    IssueState::from_number(number).ok_or(StoreError::Inconsistent(ISSUE))
}

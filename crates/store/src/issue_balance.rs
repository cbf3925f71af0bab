//! Whether nobody got lost: the issue equation, checked by the workers as they go.

use std::time::Duration;

use domain::{IssueNumber, Timestamp};

use crate::issue_progress::equation;
use crate::issues::ISSUE;
use crate::{IssueUpkeep, StoreError, columns};

/// An issue that ended is looked at for so long.
const AFTER_ITS_END: Duration = Duration::from_hours(1);

impl IssueUpkeep {
    /// The issues under way, or just finished, whose equation does not balance: what becomes of their
    /// recipients does not add up to their audience as it was written down.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn unbalanced(&self, now: Timestamp) -> Result<Vec<IssueNumber>, StoreError> {
        let issues = sqlx::query_scalar!(
            "SELECT id FROM issue
             WHERE state >= 2 AND (finished_at IS NULL OR finished_at > $1) ORDER BY id",
            columns::moment(now.minus(AFTER_ITS_END)),
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut unbalanced = Vec::new();
        for issue in issues {
            let issue = IssueNumber(columns::number(issue, ISSUE)?);
            // one snapshot: what changes meanwhile changes both sides
            let mut tx = self.database.begin().await?;
            sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                .execute(&mut *tx)
                .await?;
            if !equation(&mut tx, issue).await?.balances() {
                unbalanced.push(issue);
            }
        }
        Ok(unbalanced)
    }
}

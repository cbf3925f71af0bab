//! Mail to somebody who had left when it was sent: found after the fact, for the promise that none goes
//! out later than two seconds after the stop was applied (P5).
//!
//! The sender says what it sent and when; the state of the subscription is the database's word, so a fault
//! in claims, last looks or the barrier shows here.

use std::time::Duration;

use domain::{IssueNumber, SubscriptionId, Timestamp};

use crate::{Database, StoreError, columns};

/// How long after a stop was applied a `DATA` may still go out.
pub const STOP_EFFECT_LIMIT: Duration = Duration::from_secs(2);

/// What was within the limit is kept as long as the deliveries themselves.
const KEPT: Duration = Duration::from_hours(35 * 24);
const TABLE: &str = "mail_after_stop";

/// A mail of an issue that went out to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentMail {
    /// The issue.
    pub issue: IssueNumber,
    /// To whom.
    pub subscription: SubscriptionId,
    /// When `DATA` was sent.
    pub data_at: Timestamp,
}

/// A mail that broke the promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateMail {
    /// The issue.
    pub issue: IssueNumber,
    /// When the stop was applied.
    pub stopped_at: Timestamp,
    /// When `DATA` was sent nevertheless.
    pub data_at: Timestamp,
}

/// What is known of all mail that was sent after a stop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AfterStopAudit {
    /// Mails within the limit, of the last 35 days.
    pub within: u64,
    /// The largest time between stop and `DATA` of those.
    pub longest_within: Duration,
    /// Mails later than that, ever.
    pub late: u64,
    /// The newest of these, at most 100.
    pub newest_late: Vec<LateMail>,
}

/// The table of such mail.
#[derive(Debug, Clone)]
pub struct MailAfterStop {
    database: Database,
}

impl Database {
    /// For the worker and for the audit.
    #[must_use]
    pub fn mail_after_stop(&self) -> MailAfterStop {
        MailAfterStop {
            database: self.clone(),
        }
    }
}

impl MailAfterStop {
    /// Writes down which of these mails went to somebody who had left, and says for each of those how
    /// long after the stop.
    ///
    /// # Errors
    /// As [`StoreError`] says; doing it again is harmless.
    pub async fn note(&self, sent: &[SentMail]) -> Result<Vec<Duration>, StoreError> {
        let issues: Vec<i64> = sent.iter().map(|mail| i64::from(mail.issue.0)).collect();
        let subscriptions: Vec<Vec<u8>> = sent
            .iter()
            .map(|mail| mail.subscription.as_bytes().to_vec())
            .collect();
        let times: Vec<_> = sent
            .iter()
            .map(|mail| columns::moment(mail.data_at))
            .collect();
        // A subscription that is stopped and was changed before: nothing but a stop, or its repetition,
        // changes one that is stopped.
        let rows = sqlx::query_scalar!(
            "INSERT INTO mail_after_stop (issue_id, subscription, stopped_at, data_at)
             SELECT r.issue, s.id, min(s.changed_at), max(r.data_at)
             FROM unnest($1::bigint[], $2::bytea[], $3::timestamptz[])
                  AS r(issue, subscription_id, data_at)
             JOIN subscription s ON s.subscription_id = r.subscription_id
                  AND s.state = 2 AND s.changed_at < r.data_at
             GROUP BY r.issue, s.id
             ON CONFLICT (issue_id, subscription) DO UPDATE
                 SET data_at = EXCLUDED.data_at, stopped_at = EXCLUDED.stopped_at
             RETURNING late_ms AS \"late_ms!\"",
            &issues,
            &subscriptions,
            &times,
        )
        .fetch_all(&self.database.pool)
        .await?;
        rows.into_iter().map(millis).collect()
    }

    /// What is known of all of it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn audit(&self) -> Result<AfterStopAudit, StoreError> {
        let counts = sqlx::query!(
            "SELECT count(*) FILTER (WHERE late_ms <= $1) AS \"within!\",
                    coalesce(max(late_ms) FILTER (WHERE late_ms <= $1), 0) AS \"longest!\",
                    count(*) FILTER (WHERE late_ms > $1) AS \"late!\"
             FROM mail_after_stop",
            limit(),
        )
        .fetch_one(&self.database.pool)
        .await?;
        let newest_late = sqlx::query!(
            "SELECT issue_id, stopped_at, data_at FROM mail_after_stop
             WHERE late_ms > $1 ORDER BY data_at DESC LIMIT 100",
            limit(),
        )
        .fetch_all(&self.database.pool)
        .await?;
        Ok(AfterStopAudit {
            within: columns::number(counts.within, TABLE)?,
            longest_within: millis(counts.longest)?,
            late: columns::number(counts.late, TABLE)?,
            newest_late: newest_late
                .into_iter()
                .map(|row| {
                    Ok(LateMail {
                        issue: IssueNumber(columns::number(row.issue_id, TABLE)?),
                        stopped_at: Timestamp::from_date_time(row.stopped_at),
                        data_at: Timestamp::from_date_time(row.data_at),
                    })
                })
                .collect::<Result<_, StoreError>>()?,
        })
    }

    /// Forgets what was within the limit and is 35 days old; what was later stays.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let forgotten = sqlx::query!(
            "DELETE FROM mail_after_stop WHERE late_ms <= $1 AND data_at < $2",
            limit(),
            columns::moment(now.minus(KEPT)),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(forgotten.rows_affected())
    }
}

fn limit() -> i64 {
    i64::try_from(STOP_EFFECT_LIMIT.as_millis()).unwrap_or(i64::MAX)
}

fn millis(late: i64) -> Result<Duration, StoreError> {
    Ok(Duration::from_millis(columns::number(late, TABLE)?))
}

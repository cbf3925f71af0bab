//! The last look before `MAIL FROM`: whether the person behind a claimed row may still be mailed, and
//! whether the row is still ours (`reliability.md` 1.9).
//!
//! A worker that slept while others took it for dead finds its rows in doubt, or in another's hands
//! under a later epoch: it must not send them.

use std::collections::HashSet;

use domain::{Timestamp, WorkerId};

use crate::{DeliveryAttempt, DeliveryStore, MailAttempt, MailStore, StoreError, columns};

impl DeliveryStore {
    /// Whether this attempt may still be made: the row is as this worker claimed it, and the subscriber
    /// may be mailed. Whether the issue may go on is not asked here: who waits in a paused one is not
    /// suppressed.
    ///
    /// # Errors
    /// As [`StoreError`] says; nobody may be mailed then.
    pub async fn still_wanted(
        &self,
        worker: WorkerId,
        attempt: &DeliveryAttempt,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT EXISTS (
                 SELECT FROM delivery d
                 JOIN subscription s ON s.id = d.subscription AND s.state = 1 AND s.sealed IS NOT NULL
                 JOIN subscriber b ON b.id = s.subscriber_id
                 WHERE d.issue_id = $1 AND d.subscriber_id = $2 AND d.state = 1
                   AND d.worker = $3 AND d.epoch = $4 AND d.attempt = $5
                   AND NOT EXISTS (
                       SELECT FROM suppression x
                       WHERE x.code IN (b.suppression_code, b.mailbox_code)
                         AND (x.expires_at IS NULL OR x.expires_at > $6)
                         AND (x.level IN (2, 3)
                              OR (x.level = 1 AND x.newsletter_id = s.newsletter_id)))
             ) AS \"wanted!\"",
            i64::from(attempt.issue.0),
            attempt.subscriber,
            worker.as_bytes(),
            attempt.epoch,
            attempt.attempt,
            columns::moment(now),
        )
        .fetch_one(&self.database.pool)
        .await?)
    }
}

impl MailStore {
    /// Which of these claimed mails may still be sent: those that are as this worker claimed them and
    /// still have their reason.
    ///
    /// # Errors
    /// As [`StoreError`] says; none may be sent then.
    pub async fn still_wanted(
        &self,
        worker: WorkerId,
        attempts: &[MailAttempt],
        now: Timestamp,
    ) -> Result<HashSet<i64>, StoreError> {
        let mails: Vec<i64> = attempts.iter().map(|key| key.mail).collect();
        let epochs: Vec<i32> = attempts.iter().map(|key| key.epoch).collect();
        let numbers: Vec<i16> = attempts.iter().map(|key| key.attempt).collect();
        let wanted = sqlx::query_scalar!(
            "SELECT m.id
             FROM unnest($1::bigint[], $2::integer[], $3::smallint[]) AS a(mail, epoch, attempt)
             JOIN mail m ON m.id = a.mail AND m.epoch = a.epoch AND m.attempt = a.attempt
             WHERE m.worker = $4 AND m.state = 1 AND m.deadline > $5
               AND CASE m.kind
                   WHEN 1 THEN EXISTS (
                       SELECT 1 FROM sign_up u WHERE u.box_id = m.box_id AND u.expires_at > $5)
                   WHEN 4 THEN true
                   ELSE EXISTS (
                       SELECT 1 FROM subscription s
                       WHERE s.subscription_id = m.subscription_id AND s.state = 1)
                   END
               AND NOT EXISTS (
                   SELECT 1 FROM suppression x
                   WHERE (x.code = m.mailbox_code
                          OR x.code IN (SELECT u.suppression_code FROM sign_up u
                                        WHERE u.box_id = m.box_id)
                          OR x.code IN (SELECT b.suppression_code FROM subscriber b
                                        WHERE b.address_index = m.address_index))
                     AND (x.expires_at IS NULL OR x.expires_at > $5)
                     AND (x.level = 3 OR (x.level = 4 AND m.kind <> 4)))",
            &mails,
            &epochs,
            &numbers,
            worker.as_bytes(),
            columns::moment(now),
        )
        .fetch_all(&self.database.pool)
        .await?;
        Ok(wanted.into_iter().collect())
    }
}

//! What a worker asks after a crash, or where the answer to a claim was lost on the wire.

use domain::{BoxId, IssueNumber, Timestamp, WorkerId};

use crate::{
    DeliveryAttempt, DeliveryStore, MailAttempt, MailStore, OwnedChunk, StoreError, columns,
};

const MAIL: &str = "mail";

/// What a replayed journal needs for the Message-ID of a mail.
#[derive(Debug, Clone)]
pub struct MailSender {
    /// The request that it answers.
    pub box_id: BoxId,
    /// The mailbox that it is sent from.
    pub sender_address: String,
}

impl DeliveryStore {
    /// Gives back everything attempted in a chunk: for a claim whose answer was lost on the wire,
    /// while nothing of that chunk is in hand. An earlier epoch's too: a claim that the server went on
    /// with after its process had died commits when that chunk may be in our hand again.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn release_chunk(
        &self,
        chunk: &OwnedChunk,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let released = sqlx::query!(
            "UPDATE delivery SET state = 0, uncounted = uncounted + 1, updated_at = $5
             WHERE issue_id = $1 AND chunk_no = $2 AND state = 1 AND epoch <= $3 AND worker = $4",
            i64::from(chunk.issue.0),
            chunk.chunk,
            chunk.epoch,
            chunk.worker.as_bytes(),
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(released.rows_affected())
    }

    /// What this worker is attempting, by the database: after a crash, or where the commit of a claim
    /// was lost on the wire.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn attempting(&self, worker: WorkerId) -> Result<Vec<DeliveryAttempt>, StoreError> {
        sqlx::query!(
            "SELECT d.issue_id, d.subscriber_id, d.epoch, d.attempt FROM chunk c
             JOIN delivery d ON d.issue_id = c.issue_id AND d.chunk_no = c.chunk_no
             WHERE c.owner = $1 AND c.state = 1 AND d.state = 1 AND d.worker = $1",
            worker.as_bytes(),
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| DeliveryAttempt::of_row(row.issue_id, row.subscriber_id, row.epoch, row.attempt))
        .collect()
    }

    /// What others put in doubt when they took this worker for dead, and nobody has decided on yet: such
    /// a row has a `not_before`, which no other row in doubt has.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn taken_for_dead(
        &self,
        worker: WorkerId,
    ) -> Result<Vec<DeliveryAttempt>, StoreError> {
        sqlx::query!(
            "SELECT d.issue_id, d.subscriber_id, d.epoch, d.attempt FROM chunk c
             JOIN delivery d ON d.issue_id = c.issue_id AND d.chunk_no = c.chunk_no
             WHERE c.in_doubt > 0 AND d.state = 6 AND d.worker = $1 AND d.not_before IS NOT NULL",
            worker.as_bytes(),
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| DeliveryAttempt::of_row(row.issue_id, row.subscriber_id, row.epoch, row.attempt))
        .collect()
    }

    /// What others put in doubt is in doubt by this worker's own word from now on: its journal has been
    /// read, and what it proves may be overwritten.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn keep_doubts(&self, worker: WorkerId) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE delivery d SET not_before = NULL FROM chunk c
             WHERE c.in_doubt > 0 AND d.issue_id = c.issue_id AND d.chunk_no = c.chunk_no
               AND d.state = 6 AND d.worker = $1 AND d.not_before IS NOT NULL",
            worker.as_bytes(),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// The mailbox that an issue comes from, as it was frozen: its domain ends the Message-IDs.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn sender_address(&self, issue: IssueNumber) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT coalesce((SELECT convert_from(t.frozen, 'UTF8')::json->>'sender'
                              FROM issue_content t WHERE t.issue_id = i.id
                                AND t.frozen IS NOT NULL LIMIT 1), n.sender_address)
                        AS \"sender_address!\"
             FROM issue i JOIN newsletter n ON n.id = i.newsletter_id WHERE i.id = $1",
            i64::from(issue.0)
        )
        .fetch_optional(&self.database.pool)
        .await?)
    }
}

impl MailStore {
    /// Gives back everything that this worker is attempting: for a claim whose answer was lost,
    /// while nothing else is in hand.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn release_all(&self, worker: WorkerId, now: Timestamp) -> Result<u64, StoreError> {
        let released = sqlx::query!(
            "UPDATE mail SET state = 0, attempt = attempt - 1, updated_at = $2
             WHERE worker = $1 AND state = 1",
            worker.as_bytes(),
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(released.rows_affected())
    }

    /// What this worker is attempting, by the database.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn attempting(&self, worker: WorkerId) -> Result<Vec<MailAttempt>, StoreError> {
        Ok(sqlx::query!(
            "SELECT id, epoch, attempt FROM mail WHERE worker = $1 AND state = 1",
            worker.as_bytes(),
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| MailAttempt {
            mail: row.id,
            epoch: row.epoch,
            attempt: row.attempt,
        })
        .collect())
    }

    /// Who a mail came from, for its Message-ID.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn sender(&self, mail: i64) -> Result<Option<MailSender>, StoreError> {
        let row = sqlx::query!(
            "SELECT m.box_id, n.sender_address FROM mail m
             JOIN newsletter n ON n.id = m.newsletter_ids[1] WHERE m.id = $1",
            mail
        )
        .fetch_optional(&self.database.pool)
        .await?;
        row.map(|row| {
            Ok(MailSender {
                box_id: columns::id(&row.box_id, MAIL)?,
                sender_address: row.sender_address,
            })
        })
        .transpose()
    }
}

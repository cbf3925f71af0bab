//! Erasure: deletes everything about a person within the registrar's turn. What is left is written by the
//! turn's own changes: a code that keeps the address from being mailed, and the ledger's entry.

use domain::{AddressIndex, NewsletterNumber, SubscriptionId, SuppressionCode, Timestamp};

use super::Turn;
use crate::{StoreError, columns};

/// Who is to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// As somebody asked, by the address: known by its index.
    Address(AddressIndex),
    /// As it was erased before, by the code that was kept of it.
    Code(SuppressionCode),
}

/// What there was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// The subscriptions, and whether each was active.
    pub subscriptions: Vec<(SubscriptionId, NewsletterNumber, bool)>,
    /// Whether there was anything at all, a sign-up that waited or an old mail too.
    pub anything: bool,
}

impl Turn {
    /// Deletes all rows about this person: subscriber and subscriptions, consents, waiting sign-ups,
    /// unsubscribes, what waited for them, and mails. A mail that is being sent keeps its row until that
    /// is known, without anything that tells whose it is; it finds no reason to go out in its last look.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn erase(&mut self, whose: &Whose, now: Timestamp) -> Result<Erased, StoreError> {
        const TABLE: &str = "subscription";
        let indexes = match whose {
            Whose::Address(index) => vec![index.as_bytes().to_vec()],
            Whose::Code(code) => self.indexes_of(code).await?,
        };
        let rows = sqlx::query!(
            "SELECT s.subscription_id, s.newsletter_id, s.state
             FROM subscriber p JOIN subscription s ON s.subscriber_id = p.id
             WHERE p.address_index = ANY($1) ORDER BY s.id FOR UPDATE OF s",
            &indexes,
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let mut erased = Erased::default();
        for row in rows {
            erased.subscriptions.push((
                columns::id(&row.subscription_id, TABLE)?,
                NewsletterNumber(columns::number(row.newsletter_id, TABLE)?),
                row.state == 1,
            ));
        }
        let ids: Vec<Vec<u8>> = erased
            .subscriptions
            .iter()
            .map(|(id, ..)| id.as_bytes().to_vec())
            .collect();
        erased.anything = !ids.is_empty();
        erased.anything |= self.erase_sign_ups(&indexes, &ids).await?;
        erased.anything |= self.erase_mails(&indexes, now).await?;
        sqlx::query!(
            "DELETE FROM unsubscribe WHERE subscription_id = ANY($1)",
            &ids
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "DELETE FROM subscription WHERE subscription_id = ANY($1)",
            &ids
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "DELETE FROM subscriber WHERE address_index = ANY($1)",
            &indexes
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(erased)
    }

    /// A whole table is read for this: after a restore, for the few that were erased since the backup.
    async fn indexes_of(&mut self, code: &SuppressionCode) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT address_index AS \"address_index!\" FROM subscriber WHERE suppression_code = $1
             UNION
             SELECT address_index FROM sign_up WHERE suppression_code = $1",
            code.as_bytes(),
        )
        .fetch_all(&mut *self.tx)
        .await?)
    }

    /// Sign-ups with their consents, and those of the subscriptions.
    async fn erase_sign_ups(
        &mut self,
        indexes: &[Vec<u8>],
        subscriptions: &[Vec<u8>],
    ) -> Result<bool, StoreError> {
        let gone = sqlx::query!(
            "WITH waiting AS (
                 DELETE FROM sign_up WHERE address_index = ANY($1) RETURNING box_id
             ), consented AS (
                 DELETE FROM consent
                 WHERE subscription_id = ANY($2) OR box_id IN (SELECT box_id FROM waiting)
                 RETURNING box_id
             ), boxes AS (
                 SELECT box_id FROM waiting UNION SELECT box_id FROM consented
             ), early AS (
                 DELETE FROM early_event WHERE box_id IN (SELECT box_id FROM boxes)
             )
             SELECT count(*) AS \"boxes!\" FROM boxes",
            indexes,
            subscriptions,
        )
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(gone.boxes > 0)
    }

    async fn erase_mails(
        &mut self,
        indexes: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let deleted = sqlx::query!(
            "DELETE FROM mail WHERE address_index = ANY($1) AND state <> 1",
            indexes,
        )
        .execute(&mut *self.tx)
        .await?;
        let being_sent = sqlx::query!(
            "UPDATE mail SET address_index = '', mailbox_code = '', sealed = NULL,
                             deadline = least(deadline, $2), updated_at = $2
             WHERE address_index = ANY($1)",
            indexes,
            columns::moment(now),
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(deleted.rows_affected() + being_sent.rows_affected() > 0)
    }
}

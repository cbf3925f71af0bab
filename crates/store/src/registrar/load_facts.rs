//! Reads the subscriptions that a batch touches, with all facts of each.

use domain::{
    AddressIndex, EventId, KeyId, MailboxCode, NewsletterNumber, RowMac, SealedAddress,
    SuppressionCode, Timestamp,
};
use sqlx::PgConnection;

use super::records::{
    Codes, Confirmation, ConsentFact, Known, Left, SubscriptionRow, Undone, UnsubscribeRow,
    Withdrawal,
};
use crate::{StoreError, columns};

/// Consents, row and unsubscribes of these subscriptions, the unsubscribes with these ids, and those by
/// which an owner of any of the subscriptions or sign-ups left everything.
pub(super) async fn of_subscriptions(
    tx: &mut PgConnection,
    touched: &[Vec<u8>],
    events: &[Vec<u8>],
    boxes: &[Vec<u8>],
    known: &mut Known,
) -> Result<(), StoreError> {
    consents(tx, touched, known).await?;
    subscriptions(tx, touched, known).await?;
    unsubscribes(tx, touched, events, boxes, known).await
}

fn sealed(
    column: Option<Vec<u8>>,
    table: &'static str,
) -> Result<Option<SealedAddress>, StoreError> {
    column
        .map(|bytes| SealedAddress::from_bytes(bytes).map_err(|_| StoreError::Inconsistent(table)))
        .transpose()
}

async fn consents(
    tx: &mut PgConnection,
    touched: &[Vec<u8>],
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "consent";
    if touched.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "SELECT c.consent_id AS \"consent_id!\", c.box_id AS \"box_id!\",
                c.newsletter_id AS \"newsletter_id!\", c.subscription_id AS \"subscription_id!\",
                c.language AS \"language!\", c.requested_at AS \"requested_at!\",
                c.confirmed_at, c.confirm_event_id, c.confirm_kid, c.confirm_token_version,
                c.disowned_at, c.withdrawn_at, c.withdrawal_seq,
                coalesce(c.sealed, CASE WHEN s.box_id = c.box_id THEN s.sealed END) AS sealed
         FROM consent c LEFT JOIN subscription s ON s.subscription_id = c.subscription_id
         WHERE c.subscription_id = ANY($1)",
        touched,
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let confirmed = match (
            row.confirmed_at,
            row.confirm_event_id,
            row.confirm_kid,
            row.confirm_token_version,
        ) {
            (Some(at), Some(event_id), Some(kid), Some(version)) => Some(Confirmation {
                at: Timestamp::from_date_time(at),
                event_id: columns::id::<EventId>(&event_id, TABLE)?,
                kid: KeyId(columns::number(kid, TABLE)?),
                token_version: columns::number(version, TABLE)?,
            }),
            (None, None, None, None) => None,
            _ => return Err(StoreError::Inconsistent(TABLE)),
        };
        let withdrawn = match row.withdrawn_at {
            Some(at) => Some(Withdrawal {
                at: Timestamp::from_date_time(at),
                seq: seq(row.withdrawal_seq, TABLE)?,
            }),
            None => None,
        };
        known.consents.push(ConsentFact {
            consent_id: columns::bytes(&row.consent_id, TABLE)?,
            box_id: columns::id(&row.box_id, TABLE)?,
            newsletter: NewsletterNumber(columns::number(row.newsletter_id, TABLE)?),
            subscription_id: columns::id(&row.subscription_id, TABLE)?,
            language: columns::language(row.language, TABLE)?,
            requested_at: Timestamp::from_date_time(row.requested_at),
            confirmed,
            disowned_at: row.disowned_at.map(Timestamp::from_date_time),
            withdrawn,
            sealed: sealed(row.sealed, TABLE)?,
        });
    }
    Ok(())
}

fn seq(column: Option<i64>, table: &'static str) -> Result<Option<u64>, StoreError> {
    column.map(|seq| columns::number(seq, table)).transpose()
}

async fn subscriptions(
    tx: &mut PgConnection,
    touched: &[Vec<u8>],
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "subscription";
    if touched.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "SELECT s.subscription_id, s.newsletter_id, s.state, s.language, s.box_id,
                s.box_accepted_at, s.sealed, s.consent_event_id, s.row_mac, s.stopped_at,
                p.address_index, p.suppression_code, p.mailbox_code, p.code_generation
         FROM subscription s JOIN subscriber p ON p.id = s.subscriber_id
         WHERE s.subscription_id = ANY($1)
         ORDER BY s.id FOR UPDATE OF s",
        touched,
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        known.subscriptions.push(SubscriptionRow {
            subscription_id: columns::id(&row.subscription_id, TABLE)?,
            newsletter: NewsletterNumber(columns::number(row.newsletter_id, TABLE)?),
            owner: Codes {
                index: AddressIndex::new(columns::bytes(&row.address_index, TABLE)?),
                suppression: SuppressionCode::new(columns::bytes(&row.suppression_code, TABLE)?),
                mailbox: MailboxCode::new(columns::bytes(&row.mailbox_code, TABLE)?),
                generation: columns::number(row.code_generation, TABLE)?,
            },
            state: columns::number(row.state, TABLE)?,
            language: columns::language(row.language, TABLE)?,
            box_id: columns::id(&row.box_id, TABLE)?,
            box_accepted_at: Timestamp::from_date_time(row.box_accepted_at),
            sealed: sealed(row.sealed, TABLE)?,
            consent_event_id: columns::id(&row.consent_event_id, TABLE)?,
            row_mac: RowMac::new(columns::bytes(&row.row_mac, TABLE)?),
            stopped_at: row.stopped_at.map(Timestamp::from_date_time),
        });
    }
    Ok(())
}

async fn unsubscribes(
    tx: &mut PgConnection,
    touched: &[Vec<u8>],
    events: &[Vec<u8>],
    boxes: &[Vec<u8>],
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "unsubscribe";
    let rows = sqlx::query!(
        "WITH owner AS (
             SELECT subscriber_id AS id FROM subscription WHERE subscription_id = ANY($1)
             UNION
             SELECT p.id FROM sign_up w JOIN subscriber p ON p.address_index = w.address_index
             WHERE w.box_id = ANY($3)
         ), found AS (
             SELECT event_id FROM unsubscribe
             WHERE subscription_id = ANY($1) OR event_id = ANY($2)
             UNION
             SELECT u.event_id FROM owner o JOIN unsubscribe u ON u.subscriber_id = o.id
         )
         SELECT u.event_id, u.subscription_id, u.accepted_at, u.undo_event_id, u.undone_at,
                u.ledger_seq, p.address_index AS \"everything_of?\"
         FROM found f JOIN unsubscribe u ON u.event_id = f.event_id
         LEFT JOIN subscriber p ON p.id = u.subscriber_id",
        touched,
        events,
        boxes,
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let left = match (row.subscription_id, row.accepted_at) {
            (Some(id), Some(at)) => Some(Left {
                subscription_id: columns::id(&id, TABLE)?,
                accepted_at: Timestamp::from_date_time(at),
                ledger_seq: seq(row.ledger_seq, TABLE)?,
                everything_of: row
                    .everything_of
                    .map(|index| columns::bytes(&index, TABLE).map(AddressIndex::new))
                    .transpose()?,
            }),
            (None, None) => None,
            _ => return Err(StoreError::Inconsistent(TABLE)),
        };
        let undone = match (row.undo_event_id, row.undone_at) {
            (Some(id), Some(at)) => Some(Undone {
                event_id: columns::id(&id, TABLE)?,
                accepted_at: Timestamp::from_date_time(at),
            }),
            (None, None) => None,
            _ => return Err(StoreError::Inconsistent(TABLE)),
        };
        known.unsubscribes.push(UnsubscribeRow {
            event_id: columns::id(&row.event_id, TABLE)?,
            left,
            undone,
        });
    }
    Ok(())
}

//! Reads what a batch touches: once, by sets.

use std::collections::BTreeSet;

use domain::{
    AddressIndex, KeyId, KeyState, MailboxCode, Method, NewsletterNumber, NoticeHash,
    SealedAddress, SubscriptionId, SuppressionCode, Timestamp, TokenKey,
};
use sqlx::PgConnection;

use super::load_facts;
use super::records::{
    Answered, Codes, EarlyEvent, EarlyKind, Known, NoticeRef, PendingSignUp, Wanted,
};
use crate::{StoreError, columns};

const ONE_DAY: std::time::Duration = std::time::Duration::from_hours(24);

pub(super) async fn known(
    tx: &mut PgConnection,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Known, StoreError> {
    let boxes = list(wanted.boxes.iter().map(|id| &id.as_bytes()[..]));
    let addresses = list(wanted.addresses.iter().map(|code| &code.as_bytes()[..]));
    let events = list(wanted.unsubscribes.iter().map(|id| &id.as_bytes()[..]));

    let mut known = Known::default();
    let mut touched = wanted.subscriptions.clone();
    if !addresses.is_empty() {
        identities(tx, &addresses, &mut known).await?;
        suppressed(tx, wanted, now, &mut known).await?;
        told(tx, &addresses, now, &mut known).await?;
        notices(tx, wanted, &mut known).await?;
        answered(tx, wanted, now, &mut known).await?;
        touched.extend(known.identities.values());
    }
    if !boxes.is_empty() || !events.is_empty() {
        subscriptions_of(tx, &boxes, &events, &mut touched).await?;
    }
    all_of_owners(tx, wanted, &events, &mut touched).await?;
    let touched = list(touched.iter().map(|id| &id.as_bytes()[..]));
    if !boxes.is_empty() {
        sign_ups(tx, &boxes, &mut known).await?;
        early(tx, &boxes, &mut known).await?;
    }
    if !touched.is_empty() || !events.is_empty() {
        load_facts::of_subscriptions(tx, &touched, &events, &boxes, &mut known).await?;
    }
    recorded(tx, wanted, &mut known).await?;
    Ok(known)
}

fn list<'a>(items: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    items.map(<[u8]>::to_vec).collect()
}

/// A person keeps one id for one newsletter, from the first sign-up on: so facts that arrive in any
/// order meet under it.
async fn identities(
    tx: &mut PgConnection,
    addresses: &[Vec<u8>],
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "subscription";
    let rows = sqlx::query!(
        "SELECT u.address_index AS \"address_index!\", c.newsletter_id AS \"newsletter_id!\",
                c.subscription_id AS \"subscription_id!\"
         FROM sign_up u JOIN consent c ON c.box_id = u.box_id
         WHERE u.address_index = ANY($1)
         UNION ALL
         SELECT p.address_index, s.newsletter_id, s.subscription_id
         FROM subscriber p JOIN subscription s ON s.subscriber_id = p.id
         WHERE p.address_index = ANY($1)",
        addresses,
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        known.identities.insert(
            (
                AddressIndex::new(columns::bytes(&row.address_index, TABLE)?),
                NewsletterNumber(columns::number(row.newsletter_id, TABLE)?),
            ),
            columns::id(&row.subscription_id, TABLE)?,
        );
    }
    Ok(())
}

async fn suppressed(
    tx: &mut PgConnection,
    wanted: &Wanted,
    now: Timestamp,
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "suppression";
    let codes = list(wanted.codes.iter().map(|code| &code[..]));
    let rows = sqlx::query!(
        "SELECT code, level, set_at, reason = $3 AS \"erased!\" FROM suppression
         WHERE code = ANY($1) AND level IN (3, 4) AND (expires_at IS NULL OR expires_at > $2)",
        &codes,
        columns::moment(now),
        i16::from(Method::Erasure.number()),
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let code = columns::bytes(&row.code, TABLE)?;
        known.suppressed.insert(code);
        if row.level == 3 {
            known.silenced.insert(code);
        }
        if row.erased {
            let at = Timestamp::from_date_time(row.set_at);
            known.erased.insert(code, at);
        }
    }
    Ok(())
}

/// Who was sent an `AlreadySubscribed` lately. Its number stands in the statement: with a parameter
/// there the index of just these would not be used.
async fn told(
    tx: &mut PgConnection,
    addresses: &[Vec<u8>],
    now: Timestamp,
    known: &mut Known,
) -> Result<(), StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT address_index FROM mail
         WHERE address_index = ANY($1) AND kind = 2 AND created_at > $2",
        addresses,
        columns::moment(now.minus(ONE_DAY)),
    )
    .fetch_all(tx)
    .await?;
    for code in rows {
        known
            .told
            .insert(AddressIndex::new(columns::bytes(&code, "mail")?));
    }
    Ok(())
}

async fn notices(
    tx: &mut PgConnection,
    wanted: &Wanted,
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "notice";
    let newsletters: Vec<i64> = wanted
        .notices
        .iter()
        .map(|(newsletter, _)| columns::bigint(newsletter.0))
        .collect();
    let hashes = list(wanted.notices.iter().map(|(_, hash)| &hash.as_bytes()[..]));
    let rows = sqlx::query!(
        "SELECT n.id, n.newsletter_id, n.hash, l.lawful_basis
         FROM unnest($1::bigint[], $2::bytea[]) AS shown (newsletter_id, hash)
         JOIN notice n ON n.newsletter_id = shown.newsletter_id AND n.hash = shown.hash
         JOIN newsletter l ON l.id = n.newsletter_id
         ORDER BY n.language",
        &newsletters,
        &hashes,
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        known.notices.insert(
            (
                NewsletterNumber(columns::number(row.newsletter_id, TABLE)?),
                NoticeHash::new(columns::bytes(&row.hash, TABLE)?),
            ),
            NoticeRef {
                id: row.id,
                lawful_basis: row.lawful_basis,
            },
        );
    }
    Ok(())
}

async fn subscriptions_of(
    tx: &mut PgConnection,
    boxes: &[Vec<u8>],
    events: &[Vec<u8>],
    touched: &mut BTreeSet<SubscriptionId>,
) -> Result<(), StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT subscription_id AS \"subscription_id!\" FROM consent WHERE box_id = ANY($1)
         UNION
         SELECT subscription_id FROM unsubscribe
         WHERE event_id = ANY($2) AND subscription_id IS NOT NULL",
        boxes,
        events,
    )
    .fetch_all(tx)
    .await?;
    for id in rows {
        touched.insert(columns::id(&id, "consent")?);
    }
    Ok(())
}

/// All subscriptions of those who are meant as a person: by a subscription of theirs, by a sign-up, or
/// by what an undo takes back.
async fn all_of_owners(
    tx: &mut PgConnection,
    wanted: &Wanted,
    events: &[Vec<u8>],
    touched: &mut BTreeSet<SubscriptionId>,
) -> Result<(), StoreError> {
    if wanted.owners.is_empty() && wanted.box_owners.is_empty() && events.is_empty() {
        return Ok(());
    }
    let owners = list(wanted.owners.iter().map(|id| &id.as_bytes()[..]));
    let boxes = list(wanted.box_owners.iter().map(|id| &id.as_bytes()[..]));
    let rows = sqlx::query_scalar!(
        "WITH owner AS (
             SELECT subscriber_id AS id FROM subscription WHERE subscription_id = ANY($1)
             UNION
             SELECT s.subscriber_id FROM consent c
             JOIN subscription s ON s.subscription_id = c.subscription_id
             WHERE c.box_id = ANY($2)
             UNION
             SELECT p.id FROM sign_up w JOIN subscriber p ON p.address_index = w.address_index
             WHERE w.box_id = ANY($2)
             UNION
             SELECT subscriber_id FROM unsubscribe
             WHERE event_id = ANY($3) AND subscriber_id IS NOT NULL
         )
         SELECT s.subscription_id FROM owner o JOIN subscription s ON s.subscriber_id = o.id",
        &owners,
        &boxes,
        events,
    )
    .fetch_all(tx)
    .await?;
    for id in rows {
        touched.insert(columns::id(&id, "subscription")?);
    }
    Ok(())
}

/// How many answers each mailbox that asks has got. The kind stands in the statement, as above.
async fn answered(
    tx: &mut PgConnection,
    wanted: &Wanted,
    now: Timestamp,
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "mail";
    if wanted.asking.is_empty() {
        return Ok(());
    }
    let mailboxes = list(wanted.asking.iter().map(|code| &code.as_bytes()[..]));
    let rows = sqlx::query!(
        "SELECT mailbox_code, count(*) AS \"week!\",
                count(*) FILTER (WHERE created_at > $3) AS \"day!\"
         FROM mail WHERE mailbox_code = ANY($1) AND kind = 4 AND created_at > $2
         GROUP BY mailbox_code",
        &mailboxes,
        columns::moment(now.minus(ONE_DAY * 7)),
        columns::moment(now.minus(ONE_DAY)),
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in rows {
        known.answered.insert(
            MailboxCode::new(columns::bytes(&row.mailbox_code, TABLE)?),
            Answered {
                day: columns::number(row.day, TABLE)?,
                week: columns::number(row.week, TABLE)?,
            },
        );
    }
    let first = sqlx::query_scalar!("SELECT min(id) FROM newsletter")
        .fetch_one(tx)
        .await?;
    known.first_newsletter = first
        .map(|id| columns::number(id, TABLE).map(NewsletterNumber))
        .transpose()?;
    Ok(())
}

async fn sign_ups(
    tx: &mut PgConnection,
    boxes: &[Vec<u8>],
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "sign_up";
    let rows = sqlx::query!(
        "SELECT box_id, sealed, address_index, suppression_code, mailbox_code, code_generation,
                language, accepted_at, expires_at
         FROM sign_up WHERE box_id = ANY($1)",
        boxes,
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        known.sign_ups.push(PendingSignUp {
            box_id: columns::id(&row.box_id, TABLE)?,
            sealed: SealedAddress::from_bytes(row.sealed)
                .map_err(|_| StoreError::Inconsistent(TABLE))?,
            codes: Codes {
                index: AddressIndex::new(columns::bytes(&row.address_index, TABLE)?),
                suppression: SuppressionCode::new(columns::bytes(&row.suppression_code, TABLE)?),
                mailbox: MailboxCode::new(columns::bytes(&row.mailbox_code, TABLE)?),
                generation: columns::number(row.code_generation, TABLE)?,
            },
            language: columns::language(row.language, TABLE)?,
            accepted_at: Timestamp::from_date_time(row.accepted_at),
            expires_at: Timestamp::from_date_time(row.expires_at),
        });
    }
    Ok(())
}

async fn early(
    tx: &mut PgConnection,
    boxes: &[Vec<u8>],
    known: &mut Known,
) -> Result<(), StoreError> {
    const TABLE: &str = "early_event";
    let rows = sqlx::query!(
        "SELECT event_id, box_id, kind, accepted_at, token_version, kid, key_state, spool_id
         FROM early_event WHERE box_id = ANY($1)",
        boxes,
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        known.early.push(EarlyEvent {
            event_id: columns::id(&row.event_id, TABLE)?,
            box_id: columns::id(&row.box_id, TABLE)?,
            kind: match row.kind {
                1 => EarlyKind::Confirm,
                2 => EarlyKind::NotMe,
                3 => EarlyKind::NeverEmail,
                _ => return Err(StoreError::Inconsistent(TABLE)),
            },
            accepted_at: Timestamp::from_date_time(row.accepted_at),
            token: TokenKey {
                version: columns::number(row.token_version, TABLE)?,
                kid: KeyId(columns::number(row.kid, TABLE)?),
                state: KeyState::from_number(columns::number(row.key_state, TABLE)?)
                    .ok_or(StoreError::Inconsistent(TABLE))?,
            },
            spool_id: columns::id(&row.spool_id, TABLE)?,
        });
    }
    Ok(())
}

async fn recorded(
    tx: &mut PgConnection,
    wanted: &Wanted,
    known: &mut Known,
) -> Result<(), StoreError> {
    if wanted.recorded.is_empty() {
        return Ok(());
    }
    let events = list(wanted.recorded.iter().map(|id| &id.as_bytes()[..]));
    let rows = sqlx::query_scalar!(
        "SELECT event_id FROM ledger_entry WHERE event_id = ANY($1)",
        &events,
    )
    .fetch_all(tx)
    .await?;
    for id in rows {
        known.recorded.insert(columns::id(&id, "ledger_entry")?);
    }
    Ok(())
}

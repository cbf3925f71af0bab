//! Writes the facts of which a state is a function.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::records::{Changes, ConsentFact, EarlyKind, NewConsent};
use super::write::{column, opt_moment};
use crate::{StoreError, columns};

/// Consents, unsubscribes and early events.
pub(super) async fn all(tx: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    new_consents(tx, &changes.new_consents).await?;
    consents(tx, &changes.consents).await?;
    unsubscribes(tx, changes).await?;
    resumption(tx, changes).await?;
    early(tx, changes).await
}

async fn resumption(tx: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    if let Some(mark) = &changes.resumption {
        sqlx::query!("UPDATE resumption SET mark = $1", &mark[..])
            .execute(tx)
            .await?;
    }
    Ok(())
}

async fn new_consents(tx: &mut PgConnection, rows: &[NewConsent]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO consent (consent_id, box_id, newsletter_id, subscription_id, lawful_basis,
                              notice_id, language, wording_sha256, origin, channel, requested_at)
         SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bytea[], $5::smallint[],
                              $6::bigint[], $7::smallint[], $8::bytea[], $9::text[],
                              $10::smallint[], $11::timestamptz[])",
        &column(rows, |row| row.consent_id.to_vec()),
        &column(rows, |row| row.box_id.as_bytes().to_vec()),
        &column(rows, |row| columns::bigint(row.newsletter.0)),
        &column(rows, |row| row.subscription_id.as_bytes().to_vec()),
        &column(rows, |row| row.notice.lawful_basis),
        &column(rows, |row| row.notice.id),
        &column(rows, |row| row.language.number()),
        &column(rows, |row| row.wording.map(|hash| hash.to_vec())) as &[Option<Vec<u8>>],
        &column(rows, |row| row.origin.clone()) as &[Option<String>],
        &column(rows, |row| row.channel.number()),
        &column(rows, |row| columns::moment(row.requested_at)),
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn consents(tx: &mut PgConnection, rows: &[ConsentFact]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE consent SET
             confirmed_at = new.confirmed_at, confirm_event_id = new.confirm_event_id,
             confirm_kid = new.confirm_kid, confirm_token_version = new.confirm_token_version,
             disowned_at = new.disowned_at, withdrawn_at = new.withdrawn_at,
             withdrawal_seq = new.withdrawal_seq, sealed = new.sealed
         FROM unnest($1::bytea[], $2::timestamptz[], $3::bytea[], $4::integer[], $5::smallint[],
                     $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::bytea[])
              AS new (consent_id, confirmed_at, confirm_event_id, confirm_kid,
                      confirm_token_version, disowned_at, withdrawn_at, withdrawal_seq, sealed)
         WHERE consent.consent_id = new.consent_id",
        &column(rows, |row| row.consent_id.to_vec()),
        &column(rows, |row| opt_moment(row.confirmed.map(|by| by.at)))
            as &[Option<OffsetDateTime>],
        &column(rows, |row| row
            .confirmed
            .map(|by| by.event_id.as_bytes().to_vec())) as &[Option<Vec<u8>>],
        &column(rows, |row| row.confirmed.map(|by| i32::from(by.kid.0))) as &[Option<i32>],
        &column(rows, |row| row
            .confirmed
            .map(|by| i16::from(by.token_version))) as &[Option<i16>],
        &column(rows, |row| opt_moment(row.disowned_at)) as &[Option<OffsetDateTime>],
        &column(rows, |row| opt_moment(row.withdrawn.map(|by| by.at)))
            as &[Option<OffsetDateTime>],
        &column(rows, |row| row
            .withdrawn
            .and_then(|by| by.seq)
            .map(columns::bigint)) as &[Option<i64>],
        &column(rows, |row| row
            .sealed
            .as_ref()
            .map(|sealed| sealed.as_bytes().to_vec())) as &[Option<Vec<u8>>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn unsubscribes(tx: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    let rows = &changes.unsubscribes;
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO unsubscribe (event_id, subscription_id, accepted_at, undo_event_id, undone_at,
                                  ledger_seq, subscriber_id)
         SELECT new.event_id, new.subscription_id, new.accepted_at, new.undo_event_id,
                new.undone_at, new.ledger_seq, p.id
         FROM unnest($1::bytea[], $2::bytea[], $3::timestamptz[], $4::bytea[], $5::timestamptz[],
                     $6::bigint[], $7::bytea[])
              AS new (event_id, subscription_id, accepted_at, undo_event_id, undone_at, ledger_seq,
                      everything_of)
         LEFT JOIN subscriber p ON p.address_index = new.everything_of
         ON CONFLICT (event_id) DO UPDATE SET
             subscription_id = EXCLUDED.subscription_id, accepted_at = EXCLUDED.accepted_at,
             undo_event_id = EXCLUDED.undo_event_id, undone_at = EXCLUDED.undone_at,
             ledger_seq = EXCLUDED.ledger_seq, subscriber_id = EXCLUDED.subscriber_id",
        &column(rows, |row| row.event_id.as_bytes().to_vec()),
        &column(rows, |row| row
            .left
            .map(|left| left.subscription_id.as_bytes().to_vec())) as &[Option<Vec<u8>>],
        &column(rows, |row| opt_moment(
            row.left.map(|left| left.accepted_at)
        )) as &[Option<OffsetDateTime>],
        &column(rows, |row| row
            .undone
            .map(|undone| undone.event_id.as_bytes().to_vec())) as &[Option<Vec<u8>>],
        &column(rows, |row| opt_moment(
            row.undone.map(|undone| undone.accepted_at)
        )) as &[Option<OffsetDateTime>],
        &column(rows, |row| row
            .left
            .and_then(|left| left.ledger_seq)
            .map(columns::bigint)) as &[Option<i64>],
        &column(rows, |row| row
            .left
            .and_then(|left| left.everything_of)
            .map(|index| index.as_bytes().to_vec())) as &[Option<Vec<u8>>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn early(tx: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    let rows = &changes.new_early;
    if !rows.is_empty() {
        sqlx::query!(
            "INSERT INTO early_event (event_id, box_id, kind, accepted_at, token_version, kid,
                                      key_state, spool_id)
             SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::smallint[], $4::timestamptz[],
                                  $5::smallint[], $6::integer[], $7::smallint[], $8::bytea[])
             ON CONFLICT (event_id) DO NOTHING",
            &column(rows, |row| row.event_id.as_bytes().to_vec()),
            &column(rows, |row| row.box_id.as_bytes().to_vec()),
            &column(rows, |row| match row.kind {
                EarlyKind::Confirm => 1_i16,
                EarlyKind::NotMe => 2,
                EarlyKind::NeverEmail => 3,
            }),
            &column(rows, |row| columns::moment(row.accepted_at)),
            &column(rows, |row| i16::from(row.token.version)),
            &column(rows, |row| i32::from(row.token.kid.0)),
            &column(rows, |row| i16::from(row.token.state.number())),
            &column(rows, |row| row.spool_id.as_bytes().to_vec()),
        )
        .execute(&mut *tx)
        .await?;
    }
    if !changes.ended_early.is_empty() {
        sqlx::query!(
            "DELETE FROM early_event WHERE event_id = ANY($1)",
            &column(&changes.ended_early, |id| id.as_bytes().to_vec()),
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

//! Writes what a batch changed: one statement a table, by `unnest`, whatever the size of the batch.

use domain::Timestamp;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::records::{Changes, NewMail, PendingSignUp, SubscriptionRow};
use crate::{StoreError, columns};

/// One column of many rows.
pub(super) fn column<R, C>(rows: &[R], of: impl FnMut(&R) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

pub(super) fn opt_moment(at: Option<Timestamp>) -> Option<OffsetDateTime> {
    at.map(columns::moment)
}

/// Pending sign-ups, subscribers, subscriptions and suppressions.
pub(super) async fn people(
    tx: &mut PgConnection,
    changes: &Changes,
    now: Timestamp,
) -> Result<(), StoreError> {
    new_sign_ups(tx, &changes.new_sign_ups).await?;
    if !changes.ended_sign_ups.is_empty() {
        sqlx::query!(
            "DELETE FROM sign_up WHERE box_id = ANY($1)",
            &column(&changes.ended_sign_ups, |id| id.as_bytes().to_vec()),
        )
        .execute(&mut *tx)
        .await?;
    }
    subscriptions(tx, &changes.subscriptions, now).await?;
    suppressions(tx, changes).await
}

async fn new_sign_ups(tx: &mut PgConnection, rows: &[PendingSignUp]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO sign_up (box_id, sealed, address_index, suppression_code, mailbox_code,
                              code_generation, language, accepted_at, expires_at)
         SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[],
                              $6::smallint[], $7::smallint[], $8::timestamptz[],
                              $9::timestamptz[])",
        &column(rows, |row| row.box_id.as_bytes().to_vec()),
        &column(rows, |row| row.sealed.as_bytes().to_vec()),
        &column(rows, |row| row.codes.index.as_bytes().to_vec()),
        &column(rows, |row| row.codes.suppression.as_bytes().to_vec()),
        &column(rows, |row| row.codes.mailbox.as_bytes().to_vec()),
        &generations(rows, |row| row.codes.generation)?,
        &column(rows, |row| row.language.number()),
        &column(rows, |row| columns::moment(row.accepted_at)),
        &column(rows, |row| columns::moment(row.expires_at)),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Generations of the address keys count 1, 2, 3 …: none is near the end of a smallint.
fn generations<R>(rows: &[R], of: impl Fn(&R) -> u16) -> Result<Vec<i16>, StoreError> {
    rows.iter()
        .map(|row| columns::number(of(row), "subscriber"))
        .collect()
}

async fn subscriptions(
    tx: &mut PgConnection,
    rows: &[SubscriptionRow],
    now: Timestamp,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let indexes = column(rows, |row| row.owner.index.as_bytes().to_vec());
    sqlx::query!(
        "INSERT INTO subscriber (address_index, suppression_code, mailbox_code, code_generation,
                                 created_at)
         SELECT DISTINCT ON (new.address_index) new.*, $5::timestamptz
         FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::smallint[])
              AS new (address_index, suppression_code, mailbox_code, code_generation)
         ON CONFLICT (address_index) DO NOTHING",
        &indexes,
        &column(rows, |row| row.owner.suppression.as_bytes().to_vec()),
        &column(rows, |row| row.owner.mailbox.as_bytes().to_vec()),
        &generations(rows, |row| row.owner.generation)?,
        columns::moment(now),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO subscription (subscription_id, subscriber_id, newsletter_id, state, language,
                                   box_id, box_accepted_at, sealed, consent_event_id, row_mac,
                                   stopped_at, changed_at)
         SELECT new.subscription_id, p.id, new.newsletter_id, new.state, new.language, new.box_id,
                new.box_accepted_at, new.sealed, new.consent_event_id, new.row_mac, new.stopped_at,
                $12
         FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::smallint[], $5::smallint[],
                     $6::bytea[], $7::timestamptz[], $8::bytea[], $9::bytea[], $10::bytea[],
                     $11::timestamptz[])
              AS new (address_index, subscription_id, newsletter_id, state, language, box_id,
                      box_accepted_at, sealed, consent_event_id, row_mac, stopped_at)
         JOIN subscriber p ON p.address_index = new.address_index
         ON CONFLICT (subscription_id) DO UPDATE SET
             state = EXCLUDED.state, language = EXCLUDED.language, box_id = EXCLUDED.box_id,
             box_accepted_at = EXCLUDED.box_accepted_at, sealed = EXCLUDED.sealed,
             consent_event_id = EXCLUDED.consent_event_id, row_mac = EXCLUDED.row_mac,
             stopped_at = EXCLUDED.stopped_at, changed_at = EXCLUDED.changed_at",
        &indexes,
        &column(rows, |row| row.subscription_id.as_bytes().to_vec()),
        &column(rows, |row| columns::bigint(row.newsletter.0)),
        &column(rows, |row| i16::from(row.state)),
        &column(rows, |row| row.language.number()),
        &column(rows, |row| row.box_id.as_bytes().to_vec()),
        &column(rows, |row| columns::moment(row.box_accepted_at)),
        &column(rows, |row| row
            .sealed
            .as_ref()
            .map(|sealed| sealed.as_bytes().to_vec())) as &[Option<Vec<u8>>],
        &column(rows, |row| row.consent_event_id.as_bytes().to_vec()),
        &column(rows, |row| row.row_mac.as_bytes().to_vec()),
        &column(rows, |row| opt_moment(row.stopped_at)) as &[Option<OffsetDateTime>],
        columns::moment(now),
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn suppressions(tx: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    let rows = &changes.suppressions;
    if rows.is_empty() {
        return Ok(());
    }
    // The longest of several, and for good is longest; the latest says why.
    sqlx::query!(
        "INSERT INTO suppression (code, code_kind, code_generation, level, reason, event_id,
                                  set_at, expires_at)
         SELECT DISTINCT ON (new.code, new.level) new.*
         FROM unnest($1::bytea[], $2::smallint[], $3::smallint[], $4::smallint[], $5::smallint[],
                     $6::bytea[], $7::timestamptz[], $8::timestamptz[])
              AS new (code, code_kind, generation, level, reason, event_id, set_at, expires_at)
         ORDER BY new.code, new.level, new.expires_at DESC NULLS FIRST, new.set_at DESC
         ON CONFLICT (code, level, coalesce(newsletter_id, 0)) DO UPDATE SET
             reason = CASE WHEN EXCLUDED.set_at >= suppression.set_at
                           THEN EXCLUDED.reason ELSE suppression.reason END,
             event_id = CASE WHEN EXCLUDED.set_at >= suppression.set_at
                             THEN EXCLUDED.event_id ELSE suppression.event_id END,
             set_at = greatest(suppression.set_at, EXCLUDED.set_at),
             expires_at = CASE WHEN suppression.expires_at IS NOT NULL
                                AND EXCLUDED.expires_at IS NOT NULL
                               THEN greatest(suppression.expires_at, EXCLUDED.expires_at) END",
        &column(rows, |row| row.code.bytes().to_vec()),
        &column(rows, |row| row.code.kind()),
        &generations(rows, |row| row.generation)?,
        &column(rows, |row| row.level.number()),
        &column(rows, |row| i16::from(row.reason.number())),
        &column(rows, |row| row.event_id.as_bytes().to_vec()),
        &column(rows, |row| columns::moment(row.set_at)),
        &column(rows, |row| opt_moment(row.expires_at)) as &[Option<OffsetDateTime>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A hint wakes who sends, and they go on until no mail is due: one of so many mails is enough. It is
/// what they claim at once, so that a flood wakes as many of them as one hint a mail would.
const MAILS_A_HINT: i64 = 8;

/// Mails, with their hints in the outbox.
pub(super) async fn mails(
    tx: &mut PgConnection,
    changes: &Changes,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = &changes.mails;
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH written AS (
             INSERT INTO mail (kind, language, newsletter_ids, box_id, sealed, address_index,
                               mailbox_code, subscription_id, row_mac, mac_state, mac_consent,
                               deadline, created_at, updated_at)
             SELECT new.kind, new.language, string_to_array(new.newsletters, ',')::bigint[],
                    new.box_id, new.sealed, new.address_index, new.mailbox_code,
                    new.subscription_id, new.row_mac, new.mac_state, new.mac_consent,
                    new.deadline, $13, $13
             FROM unnest($1::smallint[], $2::smallint[], $3::text[], $4::bytea[], $5::bytea[],
                         $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[], $10::smallint[],
                         $11::bytea[], $12::timestamptz[])
                  AS new (kind, language, newsletters, box_id, sealed, address_index,
                          mailbox_code, subscription_id, row_mac, mac_state, mac_consent,
                          deadline)
             RETURNING id
         )
         INSERT INTO outbox (topic, body, created_at)
         SELECT 2, '{\"v\":1,\"mail\":' || id || '}', $13
         FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM written) AS placed
         WHERE (place - 1) % $14 = 0 ORDER BY id",
        &column(rows, |row| row.kind.number()),
        &column(rows, |row| row.language.number()),
        // an array of arrays is flat in PostgreSQL, so the inner one travels as text
        &column(rows, newsletter_list),
        &column(rows, |row| row.box_id.as_bytes().to_vec()),
        &column(rows, |row| row.sealed.as_bytes().to_vec()),
        &column(rows, |row| row.address_index.as_bytes().to_vec()),
        &column(rows, |row| row.mailbox_code.as_bytes().to_vec()),
        &column(rows, |row| row.subscription_id.as_bytes().to_vec()),
        &column(rows, |row| row.row_mac.as_bytes().to_vec()),
        &column(rows, |row| i16::from(row.mac_state)),
        &column(rows, |row| row
            .mac_consent
            .map_or(vec![0; 16], |id| id.as_bytes().to_vec())),
        &column(rows, |row| columns::moment(row.deadline)),
        columns::moment(now),
        MAILS_A_HINT,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn newsletter_list(mail: &NewMail) -> String {
    let numbers: Vec<String> = mail
        .newsletters
        .iter()
        .map(|newsletter| newsletter.0.to_string())
        .collect();
    numbers.join(",")
}

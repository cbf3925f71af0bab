//! Deletes what the notices promise to delete, by the newsletter's own `retention_days` (promise P8),
//! and what nobody needs any more.

use std::time::Duration;

use domain::{DeliveryState, Timestamp};
use sqlx::PgConnection;

use crate::{Database, StoreError, columns};

/// A confirm that was accepted in time may still be under way when its sign-up expires: so long it
/// is waited for while all roles report and the inbox is worked off.
const UNDER_WAY: Duration = Duration::from_hours(1);
/// And so long at most, whatever state roles and inbox are in.
const UNDER_WAY_AT_MOST: Duration = Duration::from_hours(24);
/// A role that has not reported for this long, or a request that has waited for this long, in the inbox
/// or wherever its role shipped it, means that something may still be under way.
const SILENT: Duration = Duration::from_mins(10);
/// As long as stop archives and backups: what came before its sign-up, and events of people who are
/// gone, may be played back for so long.
const ARCHIVE: Duration = Duration::from_hours(35 * 24);
/// A finished mail is counted for limits per address, then goes.
const MAIL: Duration = Duration::from_hours(30 * 24);
/// Rows in one transaction: the registrar waits meanwhile.
const STEP: i64 = 5_000;

/// The purge job.
#[derive(Debug, Clone)]
pub struct Purge {
    database: Database,
}

/// How many of each a purge deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Sign-ups that were not confirmed in time, with their consent records.
    pub sign_ups: u64,
    /// Sealed addresses of subscriptions that ended, `retention_days` later.
    pub addresses: u64,
    /// Subscribers with nothing left: their codes, and the subscriptions that led to them.
    pub subscribers: u64,
    /// Sealed addresses of mails that are final.
    pub mail_addresses: u64,
    /// Mails that were final for 30 days.
    pub mails: u64,
    /// Events that waited for a sign-up or unsubscribe in vain, for 35 days.
    pub events: u64,
    /// Suppressions whose time is over.
    pub suppressions: u64,
    /// Unreadable requests that somebody has looked at, after 35 days.
    pub dead_requests: u64,
}

impl Purged {
    /// Each with its name in metrics.
    #[must_use]
    pub const fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("sign_ups", self.sign_ups),
            ("addresses", self.addresses),
            ("subscribers", self.subscribers),
            ("mail_addresses", self.mail_addresses),
            ("mails", self.mails),
            ("events", self.events),
            ("suppressions", self.suppressions),
            ("dead_requests", self.dead_requests),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.sign_ups += other.sign_ups;
        self.addresses += other.addresses;
        self.subscribers += other.subscribers;
        self.mail_addresses += other.mail_addresses;
        self.mails += other.mails;
        self.events += other.events;
        self.suppressions += other.suppressions;
        self.dead_requests += other.dead_requests;
    }
}

impl Database {
    /// For the registrar.
    #[must_use]
    pub fn purge(&self) -> Purge {
        Purge {
            database: self.clone(),
        }
    }
}

impl Purge {
    /// Deletes everything that is due at `now`, some thousand rows a transaction.
    ///
    /// # Errors
    /// Those of the database; what is left is deleted next time.
    pub async fn run(&self, now: Timestamp) -> Result<Purged, StoreError> {
        let mut all = Purged::default();
        loop {
            let step = self.step(now).await?;
            all.add(&step);
            if step.counts().iter().all(|(_, number)| *number == 0) {
                return Ok(all);
            }
        }
    }

    /// One transaction, in the registrar's turn: a batch that is under way has read rows that must
    /// not go meanwhile.
    async fn step(&self, now: Timestamp) -> Result<Purged, StoreError> {
        // Looks at whole tables, which other statements are kept from (see `connect_settings`).
        let mut tx = self
            .database
            .pool
            .begin_with("BEGIN; SET LOCAL enable_seqscan = on")
            .await?;
        sqlx::query_scalar!("SELECT seq FROM ledger_head FOR UPDATE")
            .fetch_one(&mut *tx)
            .await?;
        let purged = Purged {
            sign_ups: sign_ups(&mut tx, now).await?,
            addresses: addresses(&mut tx, now).await?,
            subscribers: subscribers(&mut tx, now).await?,
            mail_addresses: mail_addresses(&mut tx, now).await?,
            mails: mails(&mut tx, now).await?,
            events: events(&mut tx, now).await?,
            suppressions: suppressions(&mut tx, now).await?,
            dead_requests: dead_requests(&mut tx, now).await?,
        };
        tx.commit().await?;
        Ok(purged)
    }
}

async fn sign_ups(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    // A consent that was never confirmed is not one: the record goes with the sign-up, or, where
    // the sign-up was disowned, once no confirm of it can be played back.
    let result = sqlx::query!(
        "WITH expired AS (
             DELETE FROM sign_up WHERE box_id IN (
                 SELECT box_id FROM sign_up
                 WHERE expires_at < $2
                    OR (expires_at < $1
                        AND NOT EXISTS (SELECT FROM spool
                                        WHERE retired_at IS NULL AND role <> 'deliver'
                                          AND (moved_at < $3 OR oldest_stop_at < $3))
                        AND NOT EXISTS (SELECT FROM request_inbox WHERE received_at < $3))
                 LIMIT $5)
             RETURNING box_id
         ), forgotten AS (
             DELETE FROM consent WHERE confirmed_at IS NULL
                AND (box_id IN (SELECT box_id FROM expired)
                     OR (disowned_at IS NOT NULL AND requested_at < $4))
         )
         SELECT count(*) AS \"count!\" FROM expired",
        columns::moment(now.minus(UNDER_WAY)),
        columns::moment(now.minus(UNDER_WAY_AT_MOST)),
        columns::moment(now.minus(SILENT)),
        columns::moment(now.minus(ARCHIVE)),
        STEP,
    )
    .fetch_one(tx)
    .await?;
    columns::number(result.count, "sign_up")
}

async fn addresses(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    let result = sqlx::query!(
        "WITH over AS (
             UPDATE subscription SET sealed = NULL WHERE id IN (
                 SELECT s.id FROM subscription s JOIN newsletter n ON n.id = s.newsletter_id
                 WHERE s.sealed IS NOT NULL AND s.state <> 1
                   AND coalesce(s.stopped_at, s.changed_at)
                       + make_interval(days => n.retention_days) <= $1
                 LIMIT $2)
             RETURNING subscription_id
         ), older AS (
             UPDATE consent SET sealed = NULL
             WHERE sealed IS NOT NULL AND subscription_id IN (SELECT subscription_id FROM over)
         )
         SELECT count(*) AS \"count!\" FROM over",
        columns::moment(now),
        STEP,
    )
    .fetch_one(tx)
    .await?;
    columns::number(result.count, "subscription")
}

async fn subscribers(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    // Not while an issue under way still has a row to settle for them.
    let result = sqlx::query!(
        "WITH gone AS (
             SELECT p.id FROM subscriber p
             WHERE NOT EXISTS (
                 SELECT FROM subscription s JOIN newsletter n ON n.id = s.newsletter_id
                 WHERE s.subscriber_id = p.id
                   AND (s.state = 1 OR s.sealed IS NOT NULL
                        OR coalesce(s.stopped_at, s.changed_at)
                           + make_interval(days => n.retention_days) > $1))
               AND NOT EXISTS (
                 SELECT FROM issue i JOIN delivery d
                     ON d.issue_id = i.id AND d.subscriber_id = p.id
                 WHERE i.state IN (2, 3, 4, 7) AND d.state IN (0, 1, 3, 6))
             LIMIT $2
         ), subscriptions AS (
             DELETE FROM subscription WHERE subscriber_id IN (SELECT id FROM gone)
         )
         SELECT id FROM gone",
        columns::moment(now),
        STEP,
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<i64> = result.into_iter().map(|row| row.id).collect();
    let deleted = sqlx::query!("DELETE FROM subscriber WHERE id = ANY($1)", &ids)
        .execute(tx)
        .await?;
    Ok(deleted.rows_affected())
}

/// States in which nothing more is sent.
fn final_states() -> Vec<i16> {
    DeliveryState::ALL
        .into_iter()
        .filter(|state| {
            !matches!(
                state,
                DeliveryState::Queued
                    | DeliveryState::Attempting
                    | DeliveryState::Deferred
                    | DeliveryState::InDoubt
            )
        })
        .map(DeliveryState::number)
        .collect()
}

async fn mail_addresses(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "UPDATE mail SET sealed = NULL, updated_at = $2 WHERE id IN (
             SELECT id FROM mail WHERE sealed IS NOT NULL AND state = ANY($1)
             LIMIT $3 FOR UPDATE SKIP LOCKED)",
        &final_states(),
        columns::moment(now),
        STEP,
    )
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected())
}

async fn mails(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM mail WHERE id IN (
             SELECT id FROM mail WHERE state = ANY($1) AND updated_at < $2
             LIMIT $3 FOR UPDATE SKIP LOCKED)",
        &final_states(),
        columns::moment(now.minus(MAIL)),
        STEP,
    )
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected())
}

async fn events(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    let before = columns::moment(now.minus(ARCHIVE));
    let early = sqlx::query!(
        "DELETE FROM early_event WHERE event_id IN (
             SELECT event_id FROM early_event WHERE accepted_at < $1 LIMIT $2)",
        before,
        STEP,
    )
    .execute(&mut *tx)
    .await?;
    let alone = sqlx::query!(
        "DELETE FROM unsubscribe WHERE event_id IN (
             SELECT u.event_id FROM unsubscribe u
             WHERE coalesce(u.accepted_at, u.undone_at) < $1
               AND NOT EXISTS (SELECT FROM subscription s
                               WHERE s.subscription_id = u.subscription_id)
               AND NOT EXISTS (SELECT FROM consent c WHERE c.subscription_id = u.subscription_id)
             LIMIT $2)",
        before,
        STEP,
    )
    .execute(tx)
    .await?;
    Ok(early.rows_affected() + alone.rows_affected())
}

async fn suppressions(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM suppression WHERE expires_at < $1",
        columns::moment(now)
    )
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected())
}

async fn dead_requests(tx: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM dead_request WHERE seen_at IS NOT NULL AND died_at < $1",
        columns::moment(now.minus(ARCHIVE)),
    )
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected())
}

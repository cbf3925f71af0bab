//! The outbox: hints that were committed with the work they name, on their way to the broker.
//!
//! A relay claims rows for a while, publishes them and deletes them. One that dies in between leaves
//! rows whose claim runs out: they are published again, and a hint twice is harmless (`DESIGN.md` 2,
//! the database is the truth).

use std::time::Duration;

use domain::Timestamp;

use crate::{Database, StoreError, columns};

const TABLE: &str = "outbox";

/// Where a hint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A chunk of an issue: `letterbox.bulk.v1`.
    Bulk,
    /// A one-to-one mail: `letterbox.confirm.v1`.
    Confirm,
}

/// A claimed hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number: names it in [`Outbox::done`] and on the wire.
    pub id: i64,
    /// Where it goes.
    pub topic: Topic,
    /// The message (`FORMATS.md`, Work messages).
    pub body: String,
}

/// What waits in the outbox, claimed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many hints.
    pub rows: u64,
    /// For how long the oldest has been waiting; zero where there is none.
    pub oldest_age: Duration,
}

/// The outbox, for relays; several at once share it.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
}

impl Database {
    /// For the relay.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox {
            database: self.clone(),
        }
    }
}

impl Outbox {
    /// Takes up to `limit` hints, oldest first, that nobody else holds. After `lease` they are free
    /// again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn claim(
        &self,
        limit: u16,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = sqlx::query!(
            "UPDATE outbox SET claimed_until = $3
             WHERE id IN (
                 SELECT id FROM outbox
                 WHERE claimed_until IS NULL OR claimed_until <= $2
                 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING id, topic, body",
            i64::from(limit),
            columns::moment(now),
            columns::moment(now.plus(lease)),
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut claimed = rows
            .into_iter()
            .map(|row| {
                Ok(OutboxRow {
                    id: row.id,
                    topic: match row.topic {
                        1 => Topic::Bulk,
                        2 => Topic::Confirm,
                        _ => return Err(StoreError::Inconsistent(TABLE)),
                    },
                    body: row.body,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        claimed.sort_unstable_by_key(|row| row.id);
        Ok(claimed)
    }

    /// Deletes hints that the broker has confirmed.
    ///
    /// # Errors
    /// Those of the database; the hints are then published again later.
    pub async fn done(&self, ids: &[i64]) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM outbox WHERE id = ANY($1)", ids)
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }

    /// Gives back hints that could not be published, before their claim runs out.
    ///
    /// # Errors
    /// Those of the database; they are free once their claim runs out.
    pub async fn release(&self, ids: &[i64]) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE outbox SET claimed_until = NULL WHERE id = ANY($1)",
            ids
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// How much waits, and for how long.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        let look =
            sqlx::query!("SELECT count(*) AS \"rows!\", min(created_at) AS oldest FROM outbox")
                .fetch_one(&self.database.pool)
                .await?;
        Ok(Backlog {
            rows: columns::number(look.rows, TABLE)?,
            oldest_age: look.oldest.map_or(Duration::ZERO, |at| {
                now.since(Timestamp::from_date_time(at))
            }),
        })
    }
}

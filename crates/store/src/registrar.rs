//! What the registrar reads and writes: requests from the inbox become facts, subscriptions, ledger
//! entries and mails, a batch in one transaction.
//!
//! A batch is a [`Turn`]. Turns are taken one after the other, by the lock on the ledger's head that
//! a gapless ledger needs anyway: so two registrars never see half of each other's batch, none of
//! their statements can wait for each other in a circle, and a turn may read everything it touches
//! once, work in memory and write it back.

mod ledger;
mod load;
mod load_facts;
mod records;
mod write;
mod write_facts;

use std::collections::BTreeSet;

use domain::Timestamp;
use sqlx::{Postgres, Transaction};

pub use ledger::LedgerReader;
pub use records::{
    Changes, Codes, Confirmation, ConsentFact, Dead, EarlyEvent, EarlyKind, Known, Left,
    NewConsent, NewMail, NoticeRef, PendingSignUp, SubscriptionRow, Suppression, Undone,
    UnsubscribeRow, Wanted, Withdrawal,
};

use crate::{Database, InboxRow, StoreError, columns};

/// The registrar's side of the inbox.
#[derive(Debug, Clone)]
pub struct RegistrarStore {
    database: Database,
}

/// A request's place in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboxId(i64);

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place.
    pub id: InboxId,
    /// What was shipped.
    pub row: InboxRow,
}

impl Database {
    /// For the registrar.
    #[must_use]
    pub fn registrar(&self) -> RegistrarStore {
        RegistrarStore {
            database: self.clone(),
        }
    }
}

impl RegistrarStore {
    /// Up to `limit` requests that wait, stops first, each in the order of arrival. Nothing is
    /// locked: another registrar may be reading the same.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn waiting(&self, limit: u16, now: Timestamp) -> Result<Vec<Waiting>, StoreError> {
        const TABLE: &str = "request_inbox";
        let rows = sqlx::query!(
            "SELECT id, spool_id, seq, stop, envelope FROM request_inbox
             WHERE not_before IS NULL OR not_before <= $2
             ORDER BY stop DESC, id LIMIT $1",
            i64::from(limit),
            columns::moment(now),
        )
        .fetch_all(&self.database.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Waiting {
                    id: InboxId(row.id),
                    row: InboxRow {
                        spool_id: columns::id(&row.spool_id, TABLE)?,
                        seq: columns::number(row.seq, TABLE)?,
                        stop: row.stop,
                        envelope: row.envelope,
                    },
                })
            })
            .collect()
    }

    /// Starts a batch over these requests, when no other batch runs. Dropping the turn undoes it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another turn took longer than 10 seconds.
    pub async fn take_turn(
        &self,
        ids: impl IntoIterator<Item = InboxId>,
    ) -> Result<Turn, StoreError> {
        let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
        let mut tx = self.database.begin().await?;
        let head = sqlx::query_scalar!("SELECT seq FROM ledger_head FOR UPDATE")
            .fetch_one(&mut *tx)
            .await?;
        // Read after the turn was taken, so it sees all that earlier turns applied. A mark and the
        // rows below it change places in one statement: each request is in exactly one of them.
        let rows = sqlx::query!(
            "SELECT i.id AS \"id!\",
                    (i.seq <= coalesce(s.applied_upto, 0) OR a.seq IS NOT NULL) AS \"applied!\"
             FROM request_inbox i
             LEFT JOIN spool s ON s.spool_id = i.spool_id
             LEFT JOIN applied_request a ON a.spool_id = i.spool_id AND a.seq = i.seq
             WHERE i.id = ANY($1)",
            &ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut turn = Turn {
            tx,
            head: columns::number(head, "ledger_head")?,
            fresh: BTreeSet::new(),
            repeated: Vec::new(),
        };
        for row in rows {
            if row.applied {
                turn.repeated.push(row.id);
            } else {
                turn.fresh.insert(InboxId(row.id));
            }
        }
        Ok(turn)
    }
}

/// One batch: a transaction that holds the turn.
#[derive(Debug)]
pub struct Turn {
    tx: Transaction<'static, Postgres>,
    head: u64,
    fresh: BTreeSet<InboxId>,
    repeated: Vec<i64>,
}

impl Turn {
    /// Those of the requests that are there still and were never applied.
    #[must_use]
    pub fn fresh(&self) -> &BTreeSet<InboxId> {
        &self.fresh
    }

    /// How many of them were applied before: they leave the inbox without an effect.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.repeated.len()
    }

    /// The seq of the ledger's last entry; 0 before the first. The entries of this turn follow it.
    #[must_use]
    pub fn ledger_head(&self) -> u64 {
        self.head
    }

    /// Reads everything that the batch may touch.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<Known, StoreError> {
        load::known(&mut self.tx, wanted, now).await
    }

    /// Writes what the batch changes, marks its requests as applied, and commits.
    ///
    /// # Errors
    /// Those of the database. After [`StoreError::Unavailable`] it may be committed or not: the
    /// next turn sees which.
    pub async fn finish(mut self, changes: &Changes, now: Timestamp) -> Result<(), StoreError> {
        write_facts::all(&mut self.tx, changes).await?;
        write::people(&mut self.tx, changes, now).await?;
        write::mails(&mut self.tx, changes, now).await?;
        ledger::append(&mut self.tx, self.head, &changes.ledger).await?;
        write::inbox(&mut self.tx, changes, &self.repeated, now).await?;
        Ok(self.tx.commit().await?)
    }
}

//! What the registrar reads and writes: requests from the inbox become facts, subscriptions, ledger
//! entries and mails, a batch in one transaction.
//!
//! A batch is a [`Turn`]. Turns are taken one after the other, by the lock on the ledger's head that
//! a gapless ledger needs anyway: so two registrars never see half of each other's batch, none of
//! their statements can wait for each other in a circle, and a turn may read everything it touches
//! once, work in memory and write it back.

mod erase;
mod ledger;
mod load;
mod load_facts;
mod records;
mod requests;
mod write;
mod write_facts;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{LedgerEntry, SpoolId, Timestamp};
use sqlx::{PgConnection, Postgres, Transaction};

pub use erase::{Erased, Whose};
pub use records::{
    Answered, Changes, Codes, Confirmation, ConsentFact, Dead, EarlyEvent, EarlyKind, Known, Left,
    NewConsent, NewMail, NoticeRef, PendingSignUp, SubscriptionRow, SuppressedCode, Suppression,
    SuppressionLevel, Undone, UnsubscribeRow, Wanted, Withdrawal,
};

use crate::{Database, InboxRow, StoreError, columns};

/// Bytes of an envelope that are read, one more than any request has: enough to see that it is none,
/// and rows that somebody filled up do not fill our memory.
const LONGEST: i32 = 64 * 1024 + 1;

/// What a turn reads after it was given the turn must be what the one before committed, whatever a server
/// is set to.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The registrar's side of the inbox.
#[derive(Debug, Clone)]
pub struct RegistrarStore {
    database: Database,
    seen: SeenTick,
}

/// The highest tick of the installation that a worker has seen. A database with a lower one went back, and
/// nothing is applied to it before that is recorded. Copies share it.
#[derive(Debug, Clone, Default)]
pub struct SeenTick(Arc<AtomicU64>);

impl SeenTick {
    /// Before the worker has looked: no turn is given.
    #[must_use]
    pub fn unknown() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// The database was seen with this tick.
    pub fn set(&self, tick: u64) {
        self.0.store(tick, Ordering::SeqCst);
    }

    /// It; none where nobody has looked.
    pub(crate) fn known(&self) -> Option<u64> {
        Some(self.get()).filter(|tick| *tick < u64::MAX)
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Where a request was accepted: the name under which it is applied exactly once, whichever way it
/// came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The spool that accepted it.
    pub spool_id: SpoolId,
    /// Its place there, from 1; less than 2⁶³.
    pub seq: u64,
}

/// Which requests: those that are served first, or the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Unsubscribes and all else that ends something.
    Stops,
    /// Sign-ups, confirmations and the like.
    Others,
}

impl Database {
    /// For the registrar.
    #[must_use]
    pub fn registrar(&self) -> RegistrarStore {
        RegistrarStore {
            database: self.clone(),
            seen: SeenTick::default(),
        }
    }
}

impl RegistrarStore {
    /// The same, which gives no turn on a database that is older than what was seen.
    #[must_use]
    pub fn not_before(self, seen: SeenTick) -> Self {
        Self { seen, ..self }
    }

    /// Up to `limit` requests that wait in the inbox, stops first, each in the order of arrival.
    /// Nothing is locked: another registrar may be reading the same.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn waiting(&self, limit: u16, now: Timestamp) -> Result<Vec<InboxRow>, StoreError> {
        let mut rows = self.waiting_in(Lane::Stops, limit, now).await?;
        let room = usize::from(limit).saturating_sub(rows.len());
        if room > 0 {
            let room = u16::try_from(room).unwrap_or(u16::MAX);
            rows.extend(self.waiting_in(Lane::Others, room, now).await?);
        }
        Ok(rows)
    }

    /// The same of one kind only, so that a look for stops waits for no sign-up.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn waiting_in(
        &self,
        lane: Lane,
        limit: u16,
        now: Timestamp,
    ) -> Result<Vec<InboxRow>, StoreError> {
        let (limit, now) = (i64::from(limit), columns::moment(now));
        // Two statements, since a plan for either would look for a stop among all sign-ups.
        match lane {
            Lane::Stops => {
                sqlx::query_as!(
                    WaitingRow,
                    "SELECT spool_id, seq, stop,
                            substring(envelope FROM 1 FOR $3) AS \"envelope!\"
                     FROM request_inbox
                     WHERE stop AND (not_before IS NULL OR not_before <= $2) ORDER BY id LIMIT $1",
                    limit,
                    now,
                    LONGEST,
                )
                .fetch_all(&self.database.pool)
                .await?
            }
            Lane::Others => {
                sqlx::query_as!(
                    WaitingRow,
                    "SELECT spool_id, seq, stop,
                            substring(envelope FROM 1 FOR $3) AS \"envelope!\"
                     FROM request_inbox
                     WHERE NOT stop AND (not_before IS NULL OR not_before <= $2)
                     ORDER BY id LIMIT $1",
                    limit,
                    now,
                    LONGEST,
                )
                .fetch_all(&self.database.pool)
                .await?
            }
        }
        .into_iter()
        .map(WaitingRow::read)
        .collect()
    }

    /// Starts a batch over these requests, when no other batch runs. They may come from the inbox or
    /// from a queue; the same place twice is one request. Dropping the turn undoes it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another turn took longer than 10 seconds;
    /// [`StoreError::WentBack`] where the database is older than the one that was seen.
    pub async fn take_turn(
        &self,
        places: impl IntoIterator<Item = Place>,
    ) -> Result<Turn, StoreError> {
        let mut fresh: BTreeSet<Place> = places.into_iter().collect();
        let (spools, seqs) = columns_of(&fresh);
        let mut tx = self.database.pool.begin_with(BEGIN).await?;
        let head = sqlx::query_scalar!("SELECT seq FROM ledger_head FOR UPDATE")
            .fetch_one(&mut *tx)
            .await?;
        refuse_older(&mut tx, &self.seen).await?;
        // Read after the turn was taken, so it sees all that earlier turns applied. A mark and the
        // rows below it change places in one statement: each request is in exactly one of them.
        let rows = sqlx::query!(
            "SELECT p.spool_id AS \"spool_id!\", p.seq AS \"seq!\"
             FROM unnest($1::bytea[], $2::bigint[]) AS p (spool_id, seq)
             LEFT JOIN spool s ON s.spool_id = p.spool_id
             LEFT JOIN applied_request a ON a.spool_id = p.spool_id AND a.seq = p.seq
             WHERE p.seq <= s.applied_upto OR a.seq IS NOT NULL",
            &spools,
            &seqs,
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut repeated = Vec::with_capacity(rows.len());
        for row in rows {
            let place = Place {
                spool_id: columns::id(&row.spool_id, "applied_request")?,
                seq: columns::number(row.seq, "applied_request")?,
            };
            fresh.remove(&place);
            repeated.push(place);
        }
        Ok(Turn {
            tx,
            head: columns::number(head, "ledger_head")?,
            fresh,
            repeated,
        })
    }
}

/// The first entry after a restore says that there was one: no turn is given before.
async fn refuse_older(tx: &mut PgConnection, seen: &SeenTick) -> Result<(), StoreError> {
    let now = sqlx::query!(
        "SELECT coalesce((SELECT tick FROM installation), 0) AS \"tick!\",
                EXISTS (SELECT FROM restore WHERE ended_at IS NULL AND recorded_seq IS NULL)
                    AS \"unrecorded!\""
    )
    .fetch_one(tx)
    .await?;
    let tick: u64 = columns::number(now.tick, "installation")?;
    if now.unrecorded || tick < seen.get() {
        return Err(StoreError::WentBack);
    }
    Ok(())
}

/// Appends entries that no request brought. The caller holds the turn's lock. Gives the last one's seq.
pub(crate) async fn append_under_lock(
    tx: &mut PgConnection,
    entries: &[LedgerEntry],
) -> Result<u64, StoreError> {
    let head = sqlx::query_scalar!("SELECT seq FROM ledger_head FOR UPDATE")
        .fetch_one(&mut *tx)
        .await?;
    let head = columns::number(head, "ledger_head")?;
    ledger::append(tx, head, entries).await?;
    Ok(head + entries.len() as u64)
}

/// A row of `request_inbox`.
struct WaitingRow {
    spool_id: Vec<u8>,
    seq: i64,
    stop: bool,
    envelope: Vec<u8>,
}

impl WaitingRow {
    fn read(self) -> Result<InboxRow, StoreError> {
        const TABLE: &str = "request_inbox";
        Ok(InboxRow {
            spool_id: columns::id(&self.spool_id, TABLE)?,
            seq: columns::number(self.seq, TABLE)?,
            stop: self.stop,
            envelope: self.envelope,
        })
    }
}

/// The two columns of these places.
fn columns_of<'a>(places: impl IntoIterator<Item = &'a Place>) -> (Vec<Vec<u8>>, Vec<i64>) {
    places
        .into_iter()
        .map(|place| {
            (
                place.spool_id.as_bytes().to_vec(),
                columns::bigint(place.seq),
            )
        })
        .unzip()
}

/// One batch: a transaction that holds the turn.
#[derive(Debug)]
pub struct Turn {
    tx: Transaction<'static, Postgres>,
    head: u64,
    fresh: BTreeSet<Place>,
    repeated: Vec<Place>,
}

impl Turn {
    /// Those of the requests that were never applied.
    #[must_use]
    pub fn fresh(&self) -> &BTreeSet<Place> {
        &self.fresh
    }

    /// How many of them were applied before: they have no effect again, and leave the inbox.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.repeated.len()
    }

    /// The seq of the ledger's last entry; 0 before the first. The entries of this turn follow it.
    #[must_use]
    pub fn ledger_head(&self) -> u64 {
        self.head
    }

    /// Marks an erasure from a worker's journal as applied again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn erased_again(
        &mut self,
        event_id: domain::EventId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE restore_erasure SET applied_at = $2 WHERE event_id = $1",
            event_id.as_bytes(),
            columns::moment(now),
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
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
    /// next turn sees which. [`StoreError::Unexpected`] where a request is none of [`Self::fresh`], or
    /// is there twice.
    pub async fn finish(mut self, changes: &Changes, now: Timestamp) -> Result<(), StoreError> {
        // No row's key refuses what the marks pass over, so this does.
        if requests::done(changes).any(|place| !self.fresh.remove(place)) {
            let why = "a request is not for this turn to apply".to_owned();
            return Err(StoreError::Unexpected(sqlx::Error::Protocol(why)));
        }
        write::people(&mut self.tx, changes, now).await?;
        write_facts::all(&mut self.tx, changes).await?;
        write::mails(&mut self.tx, changes, now).await?;
        ledger::append(&mut self.tx, self.head, &changes.ledger).await?;
        requests::all(&mut self.tx, changes, &self.repeated, now).await?;
        Ok(self.tx.commit().await?)
    }
}

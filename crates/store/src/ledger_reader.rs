//! The ledger, read in order (`FORMATS.md`, Ledger).

use domain::{
    Actor, BodyId, Effect, EventId, IssueNumber, KeyId, KeyState, LedgerEntry, Method,
    NewsletterNumber, Restored, Timestamp, TokenKey,
};
use ledger::{Hash, Head};

use crate::{Database, StoreError, columns};

const TABLE: &str = "ledger_entry";

/// Reads the ledger, and keeps its checkpoints.
#[derive(Debug, Clone)]
pub struct LedgerReader {
    pub(crate) database: Database,
}

/// An entry as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its seq.
    pub seq: u64,
    /// What it says; none where a column holds what has no meaning, so somebody changed it.
    pub entry: Option<LedgerEntry>,
    /// The hash that is said to be its own.
    pub leaf: Hash,
    /// The one that is said to be the chain's.
    pub h: Hash,
}

impl Database {
    /// For commands and checks.
    #[must_use]
    pub fn ledger(&self) -> LedgerReader {
        LedgerReader {
            database: self.clone(),
        }
    }
}

/// The columns of a row, as the statements below name them.
struct Row {
    seq: i64,
    event_id: Vec<u8>,
    occurred_ms: i64,
    recorded_ms: i64,
    newsletter_id: Option<i64>,
    subscription_id: Option<Vec<u8>>,
    issue: i64,
    method: i16,
    effect: i16,
    token_version: Option<i16>,
    kid: Option<i32>,
    key_state: Option<i16>,
    actor: i16,
    staff_reference: Option<Vec<u8>>,
    decision_id: Option<Vec<u8>>,
    spool_id: Option<Vec<u8>>,
    restored_seq: Option<i64>,
    restored_h: Option<Vec<u8>>,
    leaf: Vec<u8>,
    h: Vec<u8>,
}

impl Row {
    fn read(self) -> LedgerRow {
        let hash = |bytes: &[u8]| bytes.try_into().unwrap_or_default();
        LedgerRow {
            // A number below 0 is no seq, and none that any entry has.
            seq: self.seq.try_into().unwrap_or(0),
            entry: self.entry().ok(),
            leaf: hash(&self.leaf),
            h: hash(&self.h),
        }
    }

    fn entry(&self) -> Result<LedgerEntry, StoreError> {
        let token = match (self.token_version, self.kid, self.key_state) {
            (Some(version), Some(kid), Some(state)) => Some(TokenKey {
                version: columns::number(version, TABLE)?,
                kid: KeyId(columns::number(kid, TABLE)?),
                state: known(state, KeyState::from_number)?,
            }),
            (None, None, None) => None,
            _ => return Err(StoreError::Inconsistent(TABLE)),
        };
        let restored = match (self.restored_seq, self.restored_h.as_deref()) {
            (Some(seq), Some(h)) => Some(Restored {
                checkpoint_seq: columns::number(seq, TABLE)?,
                checkpoint_h: columns::bytes(h, TABLE)?,
            }),
            _ => None,
        };
        Ok(LedgerEntry {
            event_id: columns::id(&self.event_id, TABLE)?,
            occurred_at: Timestamp::from_millis(columns::number(self.occurred_ms, TABLE)?),
            recorded_at: Timestamp::from_millis(columns::number(self.recorded_ms, TABLE)?),
            newsletter: self
                .newsletter_id
                .map(|id| columns::number(id, TABLE).map(NewsletterNumber))
                .transpose()?,
            subscription_id: opt_id(self.subscription_id.as_deref())?,
            issue: IssueNumber(columns::number(self.issue, TABLE)?),
            method: known(self.method, Method::from_number)?,
            effect: known(self.effect, Effect::from_number)?,
            token,
            actor: known(self.actor, Actor::from_number)?,
            staff_reference: opt_id(self.staff_reference.as_deref())?,
            decision_id: opt_id(self.decision_id.as_deref())?,
            spool_id: opt_id(self.spool_id.as_deref())?,
            restored,
        })
    }
}

impl LedgerReader {
    /// Whose ledger it is.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`] where it is nobody's yet.
    pub async fn body_id(&self) -> Result<BodyId, StoreError> {
        let body_id =
            sqlx::query_scalar!("SELECT body_id AS \"body_id!\" FROM catalogue_installation")
                .fetch_optional(&self.database.pool)
                .await?
                .ok_or(StoreError::NotMigrated(None))?;
        columns::id(&body_id, "installation")
    }

    /// Where the ledger ends; none before its first entry.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn head(&self) -> Result<Option<Head>, StoreError> {
        let row = sqlx::query!("SELECT seq, h FROM ledger_head")
            .fetch_one(&self.database.pool)
            .await?;
        row.h
            .map(|h| {
                Ok(Head {
                    seq: columns::number(row.seq, "ledger_head")?,
                    h: columns::bytes(&h, "ledger_head")?,
                })
            })
            .transpose()
    }

    /// Up to `limit` rows after this seq, in order, as they stand.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rows_after(&self, seq: u64, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT seq, event_id, occurred_ms, recorded_ms, newsletter_id, subscription_id, issue,
                    method, effect, token_version, kid, key_state, actor, staff_reference,
                    decision_id, spool_id, restored_seq, restored_h, leaf, h
             FROM ledger_entry WHERE seq > $1 ORDER BY seq LIMIT $2",
            columns::bigint(seq),
            i64::from(limit),
        )
        .fetch_all(&self.database.pool)
        .await?;
        Ok(rows.into_iter().map(Row::read).collect())
    }

    /// Up to `limit` entries after this seq, each with its own, in order.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] where a row holds a number that has no meaning.
    pub async fn entries_after(
        &self,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LedgerEntry)>, StoreError> {
        let rows = self.rows_after(seq, limit).await?.into_iter();
        rows.map(|row| {
            let entry = row.entry.ok_or(StoreError::Inconsistent(TABLE))?;
            Ok((row.seq, entry))
        })
        .collect()
    }

    /// The entry of an event, if it is recorded.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn of_event(&self, event_id: EventId) -> Result<Option<LedgerRow>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT seq, event_id, occurred_ms, recorded_ms, newsletter_id, subscription_id, issue,
                    method, effect, token_version, kid, key_state, actor, staff_reference,
                    decision_id, spool_id, restored_seq, restored_h, leaf, h
             FROM ledger_entry WHERE event_id = $1 ORDER BY seq LIMIT 1",
            event_id.as_bytes(),
        )
        .fetch_optional(&self.database.pool)
        .await?;
        Ok(row.map(Row::read))
    }

    /// The first seq whose event an entry before it has too; the table's key refuses that, unless somebody
    /// took the key away.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn first_repeated(&self, upto: u64) -> Result<Option<u64>, StoreError> {
        // Sorted by the server, beyond its memory on its disk: nothing here grows with the ledger.
        let seq = sqlx::query_scalar!(
            "SELECT min(seq) FROM (
                 SELECT seq, lag(event_id) OVER (ORDER BY event_id, seq) = event_id AS again
                 FROM ledger_entry WHERE seq <= $1
             ) AS events WHERE again",
            columns::bigint(upto),
        )
        .fetch_one(&self.database.pool)
        .await?;
        seq.map(|seq| columns::number(seq, TABLE)).transpose()
    }

    /// The first seq that stands past the head: no append leaves one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn first_past_head(&self) -> Result<Option<u64>, StoreError> {
        let seq = sqlx::query_scalar!(
            "SELECT min(seq) FROM ledger_entry WHERE seq > (SELECT seq FROM ledger_head)"
        )
        .fetch_one(&self.database.pool)
        .await?;
        seq.map(|seq| columns::number(seq, TABLE)).transpose()
    }

    /// The chain's hash at this seq, as the row has it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hash_at(&self, seq: u64) -> Result<Option<Hash>, StoreError> {
        let h = sqlx::query_scalar!(
            "SELECT h FROM ledger_entry WHERE seq = $1",
            columns::bigint(seq)
        )
        .fetch_optional(&self.database.pool)
        .await?;
        h.map(|h| columns::bytes(&h, TABLE)).transpose()
    }
}

fn known<T>(number: i16, read: impl Fn(u8) -> Option<T>) -> Result<T, StoreError> {
    read(columns::number(number, TABLE)?).ok_or(StoreError::Inconsistent(TABLE))
}

fn opt_id<'a, I: TryFrom<&'a [u8]>>(column: Option<&'a [u8]>) -> Result<Option<I>, StoreError> {
    column.map(|bytes| columns::id(bytes, TABLE)).transpose()
}

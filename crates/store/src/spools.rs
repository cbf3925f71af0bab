//! The spools of web roles, as the barrier sees them: how far each is applied, whether it still
//! reports, and how old its oldest waiting stop is (`DESIGN.md` 2, Barrier).
//!
//! A web role has no right to this table: two functions of the migrations write its own row for it,
//! which it names by the 16 random bytes of its spool's id.

use domain::{BodyId, SpoolId, Timestamp};

use crate::{Database, StoreError, columns};

const TABLE: &str = "spool";

/// A spool as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStanding {
    /// Which.
    pub spool_id: SpoolId,
    /// Whose; empty for one that was retired before this database knew it.
    pub role: String,
    /// Whether bulk waits for it.
    pub holds_stops: bool,
    /// When it last reported.
    pub reported_at: Timestamp,
    /// When the oldest request that is not applied was accepted.
    pub oldest_waiting: Option<Timestamp>,
    /// Every seq up to this one is applied.
    pub applied_upto: u64,
    /// Since when nobody waits for it.
    pub retired_at: Option<Timestamp>,
}

/// The table of spools.
#[derive(Debug, Clone)]
pub struct SpoolTable {
    database: Database,
    body: Option<BodyId>,
}

impl Database {
    /// For shippers and the registrar.
    #[must_use]
    pub fn spools(&self) -> SpoolTable {
        SpoolTable {
            database: self.clone(),
            body: None,
        }
    }
}

impl SpoolTable {
    /// The same table, which takes spools of this body only: one that another installation has heard of
    /// and never hears of again would keep its barrier closed.
    #[must_use]
    pub fn of_body(self, body: BodyId) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// Makes a spool known, again with each start of its role. Gives its `applied_upto`: the role
    /// ships from the seq after it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: try again later; the role works without.
    /// [`StoreError::Forbidden`] where the database user does not act for `role`, or the spool
    /// belongs to another one. [`StoreError::OtherBody`] where the database is not that of
    /// [`Self::of_body`].
    pub async fn register(
        &self,
        spool_id: SpoolId,
        role: &str,
        holds_stops: bool,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        if let Some(body) = self.body {
            self.database.belongs_to(body).await?;
        }
        let applied_upto = sqlx::query_scalar!(
            "SELECT spool_register($1, $2, $3, $4) AS \"applied_upto!\"",
            spool_id.as_bytes(),
            role,
            holds_stops,
            columns::moment(now),
        )
        .fetch_one(&self.database.pool)
        .await?;
        columns::number(applied_upto, TABLE)
    }

    /// A heartbeat, every 2 s: the spool's role is alive and `oldest_waiting` is when its oldest request
    /// that is not applied was accepted. Of a spool of stops that closes the barrier, and of any spool
    /// it keeps sign-ups whose confirmation may be under way. Gives `applied_upto`; none where the table does not know
    /// the spool, as after a restored backup: register it again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: try again later; the role works without.
    pub async fn beat(
        &self,
        spool_id: SpoolId,
        oldest_waiting: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let applied_upto = sqlx::query_scalar!(
            "SELECT spool_beat($1, $2, $3)",
            spool_id.as_bytes(),
            oldest_waiting.map(columns::moment),
            columns::moment(now),
        )
        .fetch_one(&self.database.pool)
        .await?;
        applied_upto
            .map(|upto| columns::number(upto, TABLE))
            .transpose()
    }

    /// All of them, those that are waited for first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self) -> Result<Vec<SpoolStanding>, StoreError> {
        sqlx::query!(
            "SELECT spool_id, role, holds_stops, moved_at, oldest_stop_at, applied_upto, retired_at
             FROM spool ORDER BY retired_at NULLS FIRST, role, spool_id LIMIT 10000"
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok(SpoolStanding {
                spool_id: columns::id(&row.spool_id, TABLE)?,
                role: row.role,
                holds_stops: row.holds_stops,
                reported_at: Timestamp::from_date_time(row.moved_at),
                oldest_waiting: row.oldest_stop_at.map(Timestamp::from_date_time),
                applied_upto: columns::number(row.applied_upto, TABLE)?,
                retired_at: row.retired_at.map(Timestamp::from_date_time),
            })
        })
        .collect()
    }

    /// Moves `applied_upto` of every spool over the rows that are applied without a gap, and removes
    /// their rows of `applied_request`: what a turn leaves, since it came before its neighbours or its
    /// spool was not known. Gives the number of rows removed.
    ///
    /// # Errors
    /// Those of the database; nothing is lost, it is done again next time.
    pub async fn advance_marks(&self) -> Result<u64, StoreError> {
        // The places count 1, 2, 3 … after the mark; as long as seq - mark counts along, there is
        // no gap. The rows are locked in order, or left to whoever has them: two workers that do
        // this at once never wait for each other in a circle.
        let removed = sqlx::query!(
            "WITH held AS (
                 SELECT spool_id, applied_upto FROM spool
                 ORDER BY spool_id FOR UPDATE SKIP LOCKED
             ), placed AS (
                 SELECT a.spool_id, a.seq, s.applied_upto,
                        row_number() OVER (PARTITION BY a.spool_id ORDER BY a.seq) AS place
                 FROM applied_request a JOIN held s ON s.spool_id = a.spool_id
                 WHERE a.seq > s.applied_upto
             ), reached AS (
                 SELECT spool_id, max(seq) AS seq FROM placed
                 WHERE seq = applied_upto + place GROUP BY spool_id
             ), moved AS (
                 UPDATE spool SET applied_upto = reached.seq FROM reached
                 WHERE spool.spool_id = reached.spool_id AND spool.applied_upto < reached.seq
                 RETURNING spool.spool_id, spool.applied_upto
             )
             DELETE FROM applied_request a USING moved
             WHERE a.spool_id = moved.spool_id AND a.seq <= moved.applied_upto"
        )
        .execute(&self.database.pool)
        .await?;
        Ok(removed.rows_affected())
    }
}

//! What an operator says to the barrier (`DESIGN.md` 2): that a spool is gone for good, or that bulk goes
//! out for a while whatever the barrier says. Both stand in the ledger before they have an effect.

use domain::{Actor, Effect, EventId, IssueNumber, LedgerEntry, Method, SpoolId, Timestamp};

use crate::registrar::{BEGIN, append_under_lock};
use crate::{Database, StoreError, columns};

const TABLE: &str = "barrier_act";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarrierAct {
    /// This spool is not waited for any more, unless it reports again.
    Retire(SpoolId),
    /// Bulk goes out until then, restores excepted.
    Override {
        /// Until when.
        until: Timestamp,
    },
}

/// The table of such acts.
#[derive(Debug, Clone)]
pub struct BarrierActs {
    database: Database,
}

impl Database {
    /// For operator commands, and for the registrar that records them.
    #[must_use]
    pub fn barrier_acts(&self) -> BarrierActs {
        BarrierActs {
            database: self.clone(),
        }
    }
}

impl BarrierActs {
    /// Asks for one, under an id of its own.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ask(
        &self,
        event_id: EventId,
        act: BarrierAct,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (spool_id, until) = match act {
            BarrierAct::Retire(spool_id) => (Some(spool_id), None),
            BarrierAct::Override { until } => (None, Some(until)),
        };
        sqlx::query!(
            "INSERT INTO barrier_act (event_id, spool_id, until, reason, asked_at)
             VALUES ($1, $2, $3, $4, $5)",
            event_id.as_bytes(),
            spool_id.as_ref().map(|id| &id.as_bytes()[..]),
            until.map(columns::moment),
            reason,
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// The ledger's entry of an act; none while it waits for a registrar.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recorded(&self, event_id: EventId) -> Result<Option<u64>, StoreError> {
        let seq = sqlx::query_scalar!(
            "SELECT recorded_seq FROM barrier_act WHERE event_id = $1",
            event_id.as_bytes(),
        )
        .fetch_optional(&self.database.pool)
        .await?;
        seq.flatten()
            .map(|seq| columns::number(seq, TABLE))
            .transpose()
    }

    /// Until when an override is in force; none without one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn overridden_until(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let until = sqlx::query_scalar!(
            "SELECT max(until) FROM barrier_act WHERE until > $1 AND recorded_seq IS NOT NULL",
            columns::moment(now),
        )
        .fetch_one(&self.database.pool)
        .await?;
        Ok(until.map(Timestamp::from_date_time))
    }

    /// Records what waits, the oldest first, and puts it into effect. A spool is retired once all that was
    /// shipped of it is applied. How many it recorded.
    ///
    /// # Errors
    /// Those of the database; what waits is recorded by the next call.
    pub async fn record(&self, now: Timestamp) -> Result<usize, StoreError> {
        let is_due = sqlx::query_scalar!(
            "SELECT EXISTS (SELECT FROM barrier_act WHERE recorded_seq IS NULL) AS \"due!\""
        )
        .fetch_one(&self.database.pool)
        .await?;
        if !is_due {
            return Ok(0);
        }
        let mut tx = self.database.pool.begin_with(BEGIN).await?;
        sqlx::query_scalar!("SELECT seq FROM ledger_head FOR UPDATE")
            .fetch_one(&mut *tx)
            .await?;
        let waiting = sqlx::query!(
            "SELECT id, event_id, spool_id, asked_at FROM barrier_act a
             WHERE recorded_seq IS NULL
               AND NOT EXISTS (SELECT FROM restore WHERE ended_at IS NULL AND recorded_seq IS NULL)
               AND NOT EXISTS (SELECT FROM request_inbox i WHERE i.spool_id = a.spool_id)
             ORDER BY id LIMIT 100"
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut entries = Vec::new();
        let (mut ids, mut retired) = (Vec::new(), Vec::new());
        for row in waiting {
            let spool_id = row.spool_id.as_deref();
            entries.push(LedgerEntry {
                event_id: columns::id(&row.event_id, TABLE)?,
                occurred_at: Timestamp::from_date_time(row.asked_at),
                recorded_at: now,
                newsletter: None,
                subscription_id: None,
                issue: IssueNumber::NONE,
                method: Method::Override,
                effect: Effect::None,
                token: None,
                actor: Actor::Staff,
                staff_reference: None,
                decision_id: None,
                spool_id: spool_id.map(|id| columns::id(id, TABLE)).transpose()?,
                restored: None,
            });
            ids.push(row.id);
            retired.extend(row.spool_id);
        }
        if entries.is_empty() {
            return Ok(0);
        }
        let last = append_under_lock(&mut tx, &entries).await?;
        let first = columns::bigint(last + 1 - entries.len() as u64);
        sqlx::query!(
            "UPDATE barrier_act a SET recorded_seq = $2 + new.place - 1
             FROM unnest($1::bigint[]) WITH ORDINALITY AS new (id, place) WHERE a.id = new.id",
            &ids,
            first,
        )
        .execute(&mut *tx)
        .await?;
        // One that the database does not know was in the database that was lost.
        sqlx::query!(
            "INSERT INTO spool (spool_id, role, holds_stops, moved_at, retired_at)
             SELECT spool_id, '', true, $2, $2 FROM unnest($1::bytea[]) AS gone (spool_id)
             ON CONFLICT (spool_id) DO UPDATE SET retired_at = EXCLUDED.retired_at",
            &retired,
            columns::moment(now),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(entries.len())
    }
}

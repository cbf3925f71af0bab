//! The ledger's rows: appended under the lock on its head, without a gap, each event once; and read
//! in order (`FORMATS.md`, Ledger).

use domain::{
    Actor, Effect, IssueNumber, KeyId, KeyState, LedgerEntry, Method, NewsletterNumber, Timestamp,
    TokenKey,
};
use sqlx::PgConnection;

use crate::{Database, StoreError, columns};

const TABLE: &str = "ledger_entry";

/// Appends entries after `head`. The caller's transaction holds the lock on the head's row.
pub(super) async fn append(
    tx: &mut PgConnection,
    head: u64,
    entries: &[LedgerEntry],
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let column = |of: &dyn Fn(&LedgerEntry) -> i16| entries.iter().map(of).collect::<Vec<_>>();
    let opt_small =
        |of: &dyn Fn(&LedgerEntry) -> Option<i16>| entries.iter().map(of).collect::<Vec<_>>();
    let opt_bytes = |of: &dyn Fn(&LedgerEntry) -> Option<[u8; 16]>| -> Vec<Option<Vec<u8>>> {
        entries
            .iter()
            .map(|entry| of(entry).map(Vec::from))
            .collect()
    };
    let millis = |of: &dyn Fn(&LedgerEntry) -> Timestamp| -> Vec<i64> {
        entries
            .iter()
            .map(|entry| columns::bigint(of(entry).as_millis()))
            .collect()
    };
    let first = columns::bigint(head + 1);
    let last = columns::bigint(head + entries.len() as u64);
    let seqs: Vec<i64> = (first..=last).collect();
    let event_ids: Vec<Vec<u8>> = entries
        .iter()
        .map(|entry| entry.event_id.as_bytes().to_vec())
        .collect();
    let newsletters: Vec<Option<i64>> = entries
        .iter()
        .map(|entry| entry.newsletter.map(|number| columns::bigint(number.0)))
        .collect();
    let issues: Vec<i64> = entries
        .iter()
        .map(|entry| i64::from(entry.issue.0))
        .collect();
    let kids: Vec<Option<i32>> = entries
        .iter()
        .map(|entry| entry.token.map(|token| i32::from(token.kid.0)))
        .collect();
    sqlx::query!(
        "INSERT INTO ledger_entry (seq, event_id, occurred_ms, recorded_ms, newsletter_id,
                                   subscription_id, issue, method, effect, token_version, kid,
                                   key_state, actor, staff_reference, decision_id, spool_id)
         SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
                              $6::bytea[], $7::bigint[], $8::smallint[], $9::smallint[],
                              $10::smallint[], $11::integer[], $12::smallint[], $13::smallint[],
                              $14::bytea[], $15::bytea[], $16::bytea[])",
        &seqs,
        &event_ids,
        &millis(&|entry| entry.occurred_at),
        &millis(&|entry| entry.recorded_at),
        &newsletters as &[Option<i64>],
        &opt_bytes(&|entry| entry.subscription_id.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
        &issues,
        &column(&|entry| entry.method.number().into()),
        &column(&|entry| entry.effect.number().into()),
        &opt_small(&|entry| entry.token.map(|token| token.version.into())) as &[Option<i16>],
        &kids as &[Option<i32>],
        &opt_small(&|entry| entry.token.map(|token| token.state.number().into()))
            as &[Option<i16>],
        &column(&|entry| entry.actor.number().into()),
        &opt_bytes(&|entry| entry.staff_reference.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
        &opt_bytes(&|entry| entry.decision_id.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
        &opt_bytes(&|entry| entry.spool_id.map(|id| *id.as_bytes())) as &[Option<Vec<u8>>],
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("UPDATE ledger_head SET seq = $1", last)
        .execute(tx)
        .await?;
    Ok(())
}

/// Reads the ledger.
#[derive(Debug, Clone)]
pub struct LedgerReader {
    database: Database,
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

impl LedgerReader {
    /// Up to `limit` entries after this seq, each with its own, in order.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] where a row holds a number that has no meaning.
    pub async fn entries_after(
        &self,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<(u64, LedgerEntry)>, StoreError> {
        let rows = sqlx::query!(
            "SELECT seq, event_id, occurred_ms, recorded_ms, newsletter_id, subscription_id, issue,
                    method, effect, token_version, kid, key_state, actor, staff_reference,
                    decision_id, spool_id
             FROM ledger_entry WHERE seq > $1 ORDER BY seq LIMIT $2",
            columns::bigint(seq),
            i64::from(limit),
        )
        .fetch_all(&self.database.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let token = match (row.token_version, row.kid, row.key_state) {
                    (Some(version), Some(kid), Some(state)) => Some(TokenKey {
                        version: columns::number(version, TABLE)?,
                        kid: KeyId(columns::number(kid, TABLE)?),
                        state: known(state, KeyState::from_number)?,
                    }),
                    _ => None,
                };
                let entry = LedgerEntry {
                    event_id: columns::id(&row.event_id, TABLE)?,
                    occurred_at: Timestamp::from_millis(columns::number(row.occurred_ms, TABLE)?),
                    recorded_at: Timestamp::from_millis(columns::number(row.recorded_ms, TABLE)?),
                    newsletter: row
                        .newsletter_id
                        .map(|id| columns::number(id, TABLE).map(NewsletterNumber))
                        .transpose()?,
                    subscription_id: opt_id(row.subscription_id.as_deref())?,
                    issue: IssueNumber(columns::number(row.issue, TABLE)?),
                    method: known(row.method, Method::from_number)?,
                    effect: known(row.effect, Effect::from_number)?,
                    token,
                    actor: known(row.actor, Actor::from_number)?,
                    staff_reference: opt_id(row.staff_reference.as_deref())?,
                    decision_id: opt_id(row.decision_id.as_deref())?,
                    spool_id: opt_id(row.spool_id.as_deref())?,
                    restored: None,
                };
                Ok((columns::number(row.seq, TABLE)?, entry))
            })
            .collect()
    }
}

fn known<T>(number: i16, read: impl Fn(u8) -> Option<T>) -> Result<T, StoreError> {
    read(columns::number(number, TABLE)?).ok_or(StoreError::Inconsistent(TABLE))
}

fn opt_id<'a, I: TryFrom<&'a [u8]>>(column: Option<&'a [u8]>) -> Result<Option<I>, StoreError> {
    column.map(|bytes| columns::id(bytes, TABLE)).transpose()
}

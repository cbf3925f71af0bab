//! The inbox that web roles ship their requests into, where no broker carries them.

use domain::{SpoolId, Timestamp};

use crate::{Database, Place, StoreError, columns};

/// Takes shipped requests. All that a web role may write about anybody.
#[derive(Debug, Clone)]
pub struct RequestInbox {
    database: Database,
}

/// One request as shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// The spool that accepted it.
    pub spool_id: SpoolId,
    /// Its place there, from 1.
    pub seq: u64,
    /// Whether it is served first.
    pub stop: bool,
    /// The spool record's body and the spool's id (`FORMATS.md`, Requests).
    pub envelope: Vec<u8>,
}

impl InboxRow {
    /// The place under which it is applied exactly once.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            spool_id: self.spool_id,
            seq: self.seq,
        }
    }
}

impl Database {
    /// For shippers.
    #[must_use]
    pub fn sign_up_inbox(&self) -> RequestInbox {
        RequestInbox {
            database: self.clone(),
        }
    }
}

impl RequestInbox {
    /// Puts requests in. One that is in there already stays as it is; one that was applied already
    /// has no effect again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: ship them again later.
    pub async fn ship(&self, rows: &[InboxRow], now: Timestamp) -> Result<(), StoreError> {
        let spools: Vec<Vec<u8>> = rows
            .iter()
            .map(|row| row.spool_id.as_bytes().to_vec())
            .collect();
        let seqs: Vec<i64> = rows.iter().map(|row| columns::bigint(row.seq)).collect();
        let stops: Vec<bool> = rows.iter().map(|row| row.stop).collect();
        let envelopes: Vec<Vec<u8>> = rows.iter().map(|row| row.envelope.clone()).collect();
        // No conflict target: naming columns would need the right to read them, which a web role
        // has not.
        sqlx::query!(
            "INSERT INTO request_inbox (spool_id, seq, stop, envelope, received_at)
             SELECT row.spool_id, row.seq, row.stop, row.envelope, $5
             FROM unnest($1::bytea[], $2::bigint[], $3::boolean[], $4::bytea[])
                  WITH ORDINALITY AS row (spool_id, seq, stop, envelope, place)
             ORDER BY row.place
             ON CONFLICT DO NOTHING",
            &spools,
            &seqs,
            &stops,
            &envelopes,
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// How many requests of this spool wait in the inbox. For an operator: no web role may ask.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn waiting_of(&self, spool_id: SpoolId) -> Result<u64, StoreError> {
        let waiting = sqlx::query_scalar!(
            "SELECT count(seq) AS \"n!\" FROM request_inbox WHERE spool_id = $1",
            spool_id.as_bytes(),
        )
        .fetch_one(&self.database.pool)
        .await?;
        columns::number(waiting, "request_inbox")
    }
}

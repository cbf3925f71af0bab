//! The mark that changes whenever somebody who had left may come back: all that a web role can know of
//! that, and nothing about anybody.

use crate::{Database, StoreError, columns};

/// Reads the mark.
#[derive(Debug, Clone)]
pub struct ResumptionReader {
    database: Database,
}

/// Sixteen random bytes; the same ones as before mean that nobody came back meanwhile.
pub type ResumptionMark = [u8; 16];

impl Database {
    /// For the role that takes unsubscribes.
    #[must_use]
    pub fn resumptions(&self) -> ResumptionReader {
        ResumptionReader {
            database: self.clone(),
        }
    }
}

impl ResumptionReader {
    /// The mark now.
    ///
    /// # Errors
    /// Those of the database: nobody knows then.
    pub async fn mark(&self) -> Result<ResumptionMark, StoreError> {
        let mark = sqlx::query_scalar!("SELECT mark AS \"mark!\" FROM catalogue_resumption")
            .fetch_one(&self.database.pool)
            .await?;
        columns::bytes(&mark, "resumption")
    }
}

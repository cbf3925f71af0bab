//! Brings the tables up to date, and ties a database to one body.

use domain::{BodyId, Timestamp};

use crate::{Database, StoreError, columns};

/// The tables, as files of the top-level folder `migrations`, in order.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

impl Database {
    /// Creates the tables or brings them up to date, one caller at a time, and ties the database to
    /// this body. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::OtherBody`] where it belongs to another installation,
    /// [`StoreError::Migration`] where a step fails.
    pub async fn migrate(&self, body_id: BodyId, now: Timestamp) -> Result<(), StoreError> {
        MIGRATOR
            .run(&self.pool)
            .await
            .map_err(|error| match error {
                sqlx::migrate::MigrateError::Execute(error) => StoreError::from(error),
                other => StoreError::Migration(other),
            })?;
        sqlx::query!(
            "INSERT INTO installation (body_id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            body_id.as_bytes(),
            columns::moment(now),
        )
        .execute(&self.pool)
        .await?;
        self.belongs_to(body_id).await
    }

    /// Checks that this is the database of this body, with tables: before a role works with it.
    ///
    /// # Errors
    /// [`StoreError::OtherBody`] where it is another's, [`StoreError::NotMigrated`] where it has no
    /// tables yet.
    pub async fn belongs_to(&self, body_id: BodyId) -> Result<(), StoreError> {
        let found = sqlx::query_scalar!("SELECT body_id FROM installation")
            .fetch_optional(&self.pool)
            .await?
            .ok_or(StoreError::NotMigrated(None))?;
        let found: BodyId = columns::id(&found, "installation")?;
        if found == body_id {
            Ok(())
        } else {
            Err(StoreError::OtherBody {
                expected: body_id,
                found,
            })
        }
    }
}

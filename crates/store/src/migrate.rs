//! Brings the tables up to date, and ties a database to one body.

use domain::{BodyId, Timestamp};

use crate::{Database, StoreError, columns};

/// The tables, as files of the top-level folder `migrations`, in order.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Makes the roles below; the same file is for operators to run.
const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");
/// The groups that rights are granted to.
const ROLE_NAMES: [&str; 4] = [
    "letterbox_intake",
    "letterbox_unsubscribe",
    "letterbox_deliver",
    "letterbox_operator",
];

impl Database {
    /// Creates the tables or brings them up to date, one caller at a time, and ties the database to
    /// this body. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::OtherBody`] where it belongs to another installation,
    /// [`StoreError::RolesMissing`] where the cluster has not our roles and this user may not make
    /// them, [`StoreError::Migration`] where a step fails.
    pub async fn migrate(&self, body_id: BodyId, now: Timestamp) -> Result<(), StoreError> {
        self.make_roles().await?;
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

    /// Makes the group roles that the migrations grant rights to, if this user may; they may be there
    /// already.
    async fn make_roles(&self) -> Result<(), StoreError> {
        let may_make = sqlx::query_scalar!(
            "SELECT (rolsuper OR rolcreaterole) AS \"may!\" FROM pg_roles
             WHERE rolname = current_user"
        )
        .fetch_one(&self.pool)
        .await?;
        if may_make {
            sqlx::raw_sql(ROLES).execute(&self.pool).await?;
        }
        let there = sqlx::query_scalar!(
            "SELECT count(*) AS \"n!\" FROM pg_roles WHERE rolname = ANY($1)",
            &ROLE_NAMES.map(str::to_owned),
        )
        .fetch_one(&self.pool)
        .await?;
        if usize::try_from(there) == Ok(ROLE_NAMES.len()) {
            Ok(())
        } else {
            Err(StoreError::RolesMissing)
        }
    }

    /// Checks that this is the database of this body, with tables: before a role works with it.
    ///
    /// # Errors
    /// [`StoreError::OtherBody`] where it is another's, [`StoreError::NotMigrated`] where it has no
    /// tables yet.
    pub async fn belongs_to(&self, body_id: BodyId) -> Result<(), StoreError> {
        let found =
            sqlx::query_scalar!("SELECT body_id AS \"body_id!\" FROM catalogue_installation")
                .fetch_optional(&self.pool)
                .await
                .map_err(|error| match &error {
                    // undefined_table, invalid_schema_name
                    sqlx::Error::Database(refusal)
                        if matches!(refusal.code().as_deref(), Some("42P01" | "3F000")) =>
                    {
                        StoreError::NotMigrated(Some(error))
                    }
                    _ => StoreError::from(error),
                })?
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

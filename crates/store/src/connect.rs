//! The way to the database, and bringing its tables up to date.

use std::path::PathBuf;
use std::time::Duration;

use domain::{BodyId, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};

use crate::{StoreError, columns};

/// The tables, as files of the top-level folder `migrations`, in order.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Longer waits mean that the database is down, and the caller has a way to go on without it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is replaced after this, so that a failover is noticed and memory returned.
const MAX_LIFETIME: Duration = Duration::from_mins(5);
/// A connection idle for longer is asked whether it still leads to a server that takes writes.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// How long that question may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// Where PostgreSQL listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The folder of its unix socket.
    Socket(PathBuf),
    /// A name or an IP address.
    Name(String),
}

/// How to reach the database. Its `Debug` form hides the password.
#[derive(Clone)]
pub struct ConnectSettings {
    /// Where it listens.
    pub host: Host,
    /// Its port; also part of a unix socket's name.
    pub port: u16,
    /// The database role.
    pub user: String,
    /// The role's password, if it needs one.
    pub password: Option<String>,
    /// The database's name.
    pub database: String,
    /// At most this many connections at once.
    pub max_connections: u32,
}

impl std::fmt::Debug for ConnectSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

impl ConnectSettings {
    fn options(&self) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            .application_name("letterbox")
            .options([
                ("statement_timeout", "30s"),
                // a lock held for longer is a stuck transaction: give way and try again
                ("lock_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "60s"),
                // ends transactions whose client vanished without a word
                ("tcp_user_timeout", "30s"),
            ]);
        options = match &self.host {
            Host::Socket(folder) => options.socket(folder),
            Host::Name(name) => options.host(name),
        };
        match &self.password {
            Some(password) => options.password(password),
            None => options,
        }
    }
}

/// The database. Cheap to clone; hands each caller the one small part that it needs.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) pool: PgPool,
}

impl Database {
    /// Connects once, to fail early, and keeps a pool.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where nobody answers within 3 seconds.
    pub async fn connect(settings: &ConnectSettings) -> Result<Self, StoreError> {
        let database = Self::connect_later(settings);
        database.ping().await?;
        Ok(database)
    }

    /// A pool that connects when first used: the database may be down now.
    #[must_use]
    pub fn connect_later(settings: &ConnectSettings) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            // replaced by the check below, which does not cost a round trip each time
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for < TRUSTED_IDLE {
                        return Ok(true);
                    }
                    let question =
                        sqlx::query_scalar!("SELECT pg_is_in_recovery() AS \"replica!\"")
                            .fetch_one(connection);
                    // false, an error and silence alike: this connection is thrown away
                    Ok(matches!(
                        tokio::time::timeout(CHECK_TIMEOUT, question).await,
                        Ok(Ok(false))
                    ))
                })
            })
            .connect_lazy_with(settings.options());
        Self { pool }
    }

    /// The database behind a pool that somebody else made: for `#[sqlx::test]`.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Asks whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!("SELECT true")
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }

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
        let found = sqlx::query_scalar!("SELECT body_id FROM installation")
            .fetch_one(&self.pool)
            .await?;
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

    /// Closes all connections, after what is running.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        Ok(self.pool.begin().await?)
    }
}

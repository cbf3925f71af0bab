//! The way to the database, and its time limits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Postgres, Transaction};

use crate::primary::{LastMove, Watch};
use crate::registrar::SeenTick;
use crate::silent_line::Listener;
use crate::timeline::{self, Timeline};
use crate::{ConnectSettings, Host, StoreError};

/// Longer waits mean that the database is down, and the caller has a way to go on without it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is replaced after this, so that a failover is noticed and memory returned.
const MAX_LIFETIME: Duration = Duration::from_mins(5);
/// A connection idle for longer is asked whether it still leads to a server that takes writes.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// How long that question may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The database. Cheap to clone; hands each caller the one small part that it needs.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) pool: PgPool,
    /// Ends with the last clone; none with a single server.
    watch: Option<Arc<Watch>>,
    /// Ends with the last clone; none on a socket of this machine.
    _listener: Option<Arc<Listener>>,
    pub(crate) timeline: Timeline,
    /// An older database than the one that was seen gives nothing to send.
    pub(crate) seen: SeenTick,
}

impl Database {
    /// The same database, which lets nothing be claimed, and closes the barrier, while it is older than
    /// what was seen.
    #[must_use]
    pub fn not_before(&self, seen: SeenTick) -> Self {
        Self {
            seen,
            ..self.clone()
        }
    }

    /// Connects once, to fail early, and keeps a pool.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where nobody answers within 3 seconds, or 2 for each of several
    /// servers.
    pub async fn connect(settings: &ConnectSettings) -> Result<Self, StoreError> {
        let database = Self::connect_later(settings);
        if let Some(watch) = &database.watch {
            watch.first_look().await;
        }
        database.ping().await?;
        Ok(database)
    }

    /// A pool that connects when first used: the database may be down now.
    #[must_use]
    pub fn connect_later(settings: &ConnectSettings) -> Self {
        let last_move = LastMove::default();
        let moved = last_move.clone();
        // a list without a host is libpq's: the standard port on this machine
        let first = settings
            .hosts
            .first()
            .cloned()
            .unwrap_or_else(Host::standard);
        let timeline = Timeline::default();
        let seen = timeline.clone();
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            // replaced by the check below, which does not cost a round trip each time
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let seen = seen.clone();
                Box::pin(async move {
                    match timeline::read(connection).await {
                        Ok(Some(timeline)) => seen.note(timeline),
                        // It may take over one day, and we would not notice that its history is another.
                        Ok(None) => return Err(sqlx::Error::protocol("a standby")),
                        Err(error) => tracing::debug!(%error, "no timeline"),
                    }
                    Ok(())
                })
            })
            .before_acquire(move |connection, meta| {
                let stale = moved.is_after(meta.age);
                Box::pin(async move {
                    if stale {
                        return Ok(false);
                    }
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
            .connect_lazy_with(settings.options(&first));
        let watch = Watch::start(settings, &pool, &last_move);
        let listener = Listener::start(settings, &pool);
        Self {
            pool,
            watch,
            _listener: listener,
            timeline,
            seen: SeenTick::default(),
        }
    }

    /// The database behind a pool that somebody else made: for `#[sqlx::test]`.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        Self {
            pool,
            watch: None,
            _listener: None,
            timeline: Timeline::default(),
            seen: SeenTick::default(),
        }
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

    /// Closes all connections, after what is running.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        Ok(self.pool.begin().await?)
    }
}

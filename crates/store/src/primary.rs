//! Of several servers, the one that takes writes: found, watched and found again after a failover.
//! sqlx knows one address at a time (`reliability.md` 1.12).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::watch;

use crate::{ConnectSettings, Host};

/// How often the server in use is asked whether it still takes writes.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long a server may take to let us in and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// When connections began to lead to another server.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastMove(Arc<Mutex<Option<Instant>>>);

impl LastMove {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection of this age was made before it.
    pub(crate) fn is_after(&self, age: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < age)
    }
}

/// Watches the servers for as long as a handle on the database is left.
#[derive(Debug)]
pub(crate) struct Watch {
    task: tokio::task::AbortHandle,
    looked: watch::Receiver<bool>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Starts watching. There is nothing to watch with a single server.
    #[expect(
        clippy::disallowed_methods,
        reason = "like the pool's own tasks: it holds nothing that a stop could lose, and ends with the pool"
    )]
    pub(crate) fn start(
        settings: &ConnectSettings,
        pool: &PgPool,
        last_move: &LastMove,
    ) -> Option<Arc<Self>> {
        if settings.hosts.len() < 2 {
            return None;
        }
        let (looked, has_looked) = watch::channel(false);
        let search = Search {
            servers: settings
                .hosts
                .iter()
                .map(|host| (named(host), settings.options(host)))
                .collect(),
            at: 0,
            pool: pool.clone(),
            last_move: last_move.clone(),
            looked,
        };
        Some(Arc::new(Self {
            task: tokio::spawn(search.run()).abort_handle(),
            looked: has_looked,
        }))
    }

    /// Waits until all servers were asked once, or one was found.
    pub(crate) async fn first_look(&self) {
        // an error: the watch has ended, and so there is nothing to wait for
        let _ = self.looked.clone().wait_for(|looked| *looked).await;
    }
}

fn named((host, port): &(Host, u16)) -> String {
    match host {
        Host::Socket(folder) => format!("{}:{port}", folder.display()),
        Host::Name(name) => format!("{name}:{port}"),
    }
}

struct Search {
    servers: Vec<(String, PgConnectOptions)>,
    /// Where the pool's connections lead.
    at: usize,
    pool: PgPool,
    last_move: LastMove,
    looked: watch::Sender<bool>,
}

impl Search {
    async fn run(mut self) {
        let mut watched = None;
        let mut missing = false;
        while !self.pool.is_closed() {
            if let Some(connection) = watched.take() {
                watched = still_primary(connection).await;
            }
            if watched.is_none() {
                watched = self.find().await;
                self.looked.send_replace(true);
                if watched.is_none() != missing {
                    missing = !missing;
                    if missing {
                        tracing::warn!("none of the database's servers takes writes");
                    }
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Asks all servers, the one in use first, and turns to the first that takes writes.
    async fn find(&mut self) -> Option<PgConnection> {
        for step in 0..self.servers.len() {
            let server = (self.at + step) % self.servers.len();
            let (name, options) = &self.servers[server];
            let connecting = async { still_primary(options.connect().await.ok()?).await };
            let found = tokio::time::timeout(PATIENCE, connecting).await;
            if let Ok(Some(connection)) = found {
                if server != self.at {
                    tracing::warn!(
                        server = name,
                        "the database is written to at another server"
                    );
                    self.at = server;
                    self.pool.set_connect_options(options.clone());
                    self.last_move.now();
                }
                return Some(connection);
            }
        }
        None
    }
}

/// The connection, if it leads to a server that answers in time and takes writes.
async fn still_primary(mut connection: PgConnection) -> Option<PgConnection> {
    let question = sqlx::query_scalar!("SELECT pg_is_in_recovery() AS \"replica!\"")
        .fetch_one(&mut connection);
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(false)) => Some(connection),
        Ok(Ok(true)) => {
            let _ = tokio::time::timeout(PATIENCE, connection.close()).await;
            None
        }
        _ => None,
    }
}

//! Which history of the database we talk to. A standby that takes over begins a new timeline, and has not
//! what it had not received: commits that we saw may be gone (`reliability.md` 1.12).
//!
//! A server can only change under us with a new connection, so the timeline is read on each one, before
//! anything else is asked on it; behind a proxy that keeps our end open, by [`Database::read_timeline`].

use sqlx::{Executor, Postgres};
use tokio::sync::watch;

use crate::{Database, StoreError};

/// The newest timeline seen. Clones see the same one.
#[derive(Debug, Clone)]
pub struct Timeline(watch::Sender<u32>);

impl Default for Timeline {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Timeline {
    /// Its number; 0 before the first connection.
    #[must_use]
    pub fn seen(&self) -> u32 {
        *self.0.borrow()
    }

    /// Waits until it is another than this one. May be dropped at any time.
    pub async fn until_not(&self, known: u32) {
        // an error would mean that the sender, which we are, is gone
        let _ = self
            .0
            .subscribe()
            .wait_for(|timeline| *timeline != known)
            .await;
    }

    /// Notes what a server answered.
    pub(crate) fn note(&self, timeline: u32) {
        self.0.send_if_modified(|seen| {
            // a connection that is slow to come may still lead to the server before
            let is_newer = timeline > *seen;
            if is_newer {
                *seen = timeline;
            }
            is_newer
        });
    }
}

/// Asks a server for its timeline; none where it is a standby.
///
/// # Errors
/// Those of the database.
pub(crate) async fn read<'e>(
    executor: impl Executor<'e, Database = Postgres>,
) -> Result<Option<u32>, sqlx::Error> {
    let timeline = sqlx::query_scalar!(
        "SELECT CASE WHEN NOT pg_is_in_recovery()
                     THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
    )
    .fetch_one(executor)
    .await?;
    Ok(timeline.and_then(|digits| u32::from_str_radix(&digits, 16).ok()))
}

impl Database {
    /// The timeline, as far as any connection has seen.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        self.timeline.clone()
    }

    /// Asks for it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn read_timeline(&self) -> Result<(), StoreError> {
        if let Some(timeline) = read(&self.pool).await? {
            self.timeline.note(timeline);
        }
        Ok(())
    }
}

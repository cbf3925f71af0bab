//! Takes chunks, and claims their recipients as fast as the lanes send: the next ones while those before
//! are prepared, sent and written down.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use domain::{DeliveryState, IssueNumber, MailKind};
use service_runtime::Shutdown;
use store::{OwnedChunk, StoreError};

use super::desk::{Claimed, Desk};
use super::settlement::{complain, count};
use super::{IssueInHand, Sender};
use crate::work_source::WorkSource;

/// While bulk may not go, it is asked again after this.
const BULK_WAITS: Duration = Duration::from_millis(250);

/// Claims for all lanes of a worker.
pub(crate) struct Claimer {
    sender: Arc<Sender>,
    desk: Arc<Desk>,
    source: WorkSource,
    shutdown: Shutdown,
}

/// Closes the desk when the claimer is gone, by a panic too: the flusher waits for nobody else then.
struct Closes(Arc<Desk>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What to do after a claim.
enum Next {
    /// There may be more in the chunk.
    More,
    /// The chunk has nothing for now.
    Over,
    /// The answer was lost.
    Unknown,
}

impl Claimer {
    pub(super) const fn new(
        sender: Arc<Sender>,
        desk: Arc<Desk>,
        source: WorkSource,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            sender,
            desk,
            source,
            shutdown,
        }
    }

    /// Works until the process stops; then nothing that has not begun is begun.
    pub(super) async fn run(mut self) {
        let _closes = Closes(Arc::clone(&self.desk));
        while !self.shutdown.is_stopping() {
            if !self.may_go() {
                self.wait_for_leave().await;
                continue;
            }
            let now = self.sender.clock.now();
            match self.source.next_chunk(self.sender.worker, now).await {
                Ok(Some(chunk)) => self.work(chunk).await,
                Ok(None) => self.source.wait(&self.shutdown).await,
                Err(error) => complain(&error, "no chunk can be taken", &self.shutdown).await,
            }
        }
    }

    fn may_go(&self) -> bool {
        self.sender.may_send_bulk() && !self.shutdown.is_stopping()
    }

    /// Nobody stays claimed while bulk may not go: it can be long.
    async fn wait_for_leave(&self) {
        self.desk.give_back_unsent();
        crate::pause(BULK_WAITS, &self.shutdown).await;
    }

    async fn work(&mut self, chunk: OwnedChunk) {
        self.sender.take_in_hand(&chunk);
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P5", |_| std::process::abort());
        let mut has_unknown = false;
        match self.issue(chunk.issue).await {
            Ok(Some(issue)) => loop {
                match self.claim(&chunk, &issue).await {
                    Next::More => {}
                    Next::Over => break,
                    Next::Unknown => {
                        has_unknown = true;
                        break;
                    }
                }
            },
            Ok(None) => {}
            Err(error) => complain(&error, "an issue cannot be read", &self.shutdown).await,
        }
        self.desk.finish(chunk, has_unknown);
    }

    /// One claim, once there is room for it.
    async fn claim(&self, chunk: &OwnedChunk, issue: &Arc<IssueInHand>) -> Next {
        let room = loop {
            if !self.may_go() {
                return Next::Over;
            }
            let way = self.sender.route.room(usize::MAX);
            match self.desk.room(way) {
                0 => self.room_or_a_while().await,
                room => break room,
            }
        };
        let asked = u16::try_from(room).unwrap_or(u16::MAX);
        let looked_at = self.sender.boot_clock.now();
        let now = self.sender.clock.now();
        let claim = match self.sender.deliveries.claim(chunk, asked, now).await {
            Ok(claim) => claim,
            Err(error) => {
                complain(&error, "no recipient can be claimed", &self.shutdown).await;
                return Next::Unknown;
            }
        };
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P6", |_| std::process::abort());
        count(MailKind::Issue, DeliveryState::Suppressed, claim.suppressed);
        let came = claim.deliveries.len() as u64 + claim.suppressed;
        let rows = claim.deliveries.into_iter();
        let claimed = rows.map(|row| Claimed {
            chunk: *chunk,
            issue: Arc::clone(issue),
            row,
            looked_at,
        });
        self.desk.add(*chunk, claimed.collect());
        if came < u64::from(asked) {
            Next::Over
        } else {
            Next::More
        }
    }

    /// Waits for room, and not so long that a barrier or a stop is missed.
    async fn room_or_a_while(&self) {
        tokio::select! {
            () = self.desk.until_room() => {}
            () = crate::pause(BULK_WAITS, &self.shutdown) => {}
        }
    }

    /// The issue, compiled; none, and the issue held, where it cannot be.
    async fn issue(&self, number: IssueNumber) -> Result<Option<Arc<IssueInHand>>, StoreError> {
        let cached = {
            let cache = &self.sender.issue;
            cache.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        if let Some(issue) = cached
            && issue.number == number
        {
            return Ok(Some(issue));
        }
        let Some(issue) = self.sender.issues.to_send(number).await? else {
            return Ok(None);
        };
        let catalogue = self.sender.catalogue.read().await?;
        let base_url = self.sender.base_url.clone();
        let compiled = tokio::task::spawn_blocking(move || {
            IssueInHand::compile(&issue, &catalogue, &base_url)
        })
        .await;
        match compiled {
            Ok(Ok(issue)) => {
                let issue = Arc::new(issue);
                let cache = &self.sender.issue;
                *cache.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&issue));
                Ok(Some(issue))
            }
            Ok(Err(why)) => {
                self.sender.hold(number, &why.to_string()).await?;
                Ok(None)
            }
            Err(_) => {
                self.sender
                    .hold(number, "its text broke the renderer")
                    .await?;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_claimer_that_panics_lets_the_flusher_end() {
        let shutdown = Shutdown::new();
        let desk = Arc::new(Desk::new(1, 1));
        let closes = Closes(Arc::clone(&desk));
        shutdown.spawn("claimer", async move {
            let _closes = closes;
            panic!("planted");
        });
        let ended = tokio::time::timeout(Duration::from_secs(20), desk.next_tray()).await;
        assert!(ended.unwrap().is_none());
    }
}

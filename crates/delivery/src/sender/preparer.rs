//! Opens addresses and renders mails in threads of their own, a few recipients at a time; as many
//! preparers as there are cores.

use std::sync::Arc;

use domain::{DeliveryState, MailKind};
use service_runtime::Shutdown;
use store::{AttemptResult, DeliveryAttempt, OwnedChunk};

use super::Sender;
use super::desk::{Claimed, Desk, Letter};
use super::prepare::{self, Unmailable};
use super::settlement::{alarm, complain, without_reply};

/// Recipients prepared together: a hand-over to a thread costs as much as a quarter of one.
const TOGETHER: usize = 16;

/// One of the preparers.
pub(super) struct Preparer {
    sender: Arc<Sender>,
    desk: Arc<Desk>,
    shutdown: Shutdown,
}

/// What came of some recipients.
#[derive(Default)]
struct Prepared {
    letters: Vec<Letter>,
    failed: Vec<(OwnedChunk, DeliveryAttempt, AttemptResult)>,
}

impl Preparer {
    pub(super) const fn new(sender: Arc<Sender>, desk: Arc<Desk>, shutdown: Shutdown) -> Self {
        Self {
            sender,
            desk,
            shutdown,
        }
    }

    /// Works until the process stops.
    pub(super) async fn run(self) {
        loop {
            let claimed = tokio::select! {
                biased;
                () = self.shutdown.token().cancelled() => return,
                claimed = self.desk.next_claimed(TOGETHER) => claimed,
            };
            self.prepare(claimed).await;
        }
    }

    async fn prepare(&self, claimed: Vec<Claimed>) {
        let number = claimed.len();
        self.sender.opens.wait(number).await;
        let rows: Vec<_> = claimed.iter().map(|row| (row.chunk, row.row.key)).collect();
        let issue = claimed.first().map(|row| row.issue.number);
        let sender = Arc::clone(&self.sender);
        let prepared = tokio::task::spawn_blocking(move || all(&sender, claimed)).await;
        if let Ok(prepared) = prepared {
            self.desk.prepared(prepared.letters, prepared.failed);
            return;
        }
        // it panicked
        if let Some(issue) = issue
            && let Err(error) = self.sender.hold(issue, "a mail broke the renderer").await
        {
            complain(&error, "an issue cannot be held", &self.shutdown).await;
        }
        self.desk.unprepared(&rows);
    }
}

fn all(sender: &Sender, claimed: Vec<Claimed>) -> Prepared {
    let mut prepared = Prepared::default();
    let (bounces, now) = (sender.return_path_domain.as_deref(), sender.clock.now());
    for Claimed {
        chunk,
        issue,
        row,
        looked_at,
    } in claimed
    {
        let key = row.key;
        let (keys, base_url) = (&sender.keys, sender.base_url.as_str());
        match prepare::delivery(keys, base_url, bounces, &issue, &row, now) {
            Ok(ready) => prepared.letters.push(Letter {
                chunk,
                key,
                ready,
                looked_at,
            }),
            Err(why) => prepared.failed.push((chunk, key, refused(&why))),
        }
    }
    prepared
}

fn refused(why: &Unmailable) -> AttemptResult {
    alarm(MailKind::Issue, why);
    without_reply(DeliveryState::FailedInternal)
}

//! Sending: lanes of connections for issues, one for one-to-one mail, and one way for both to the
//! relay.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `bulk` | the tasks that send issues, around one desk |
//! | `desk`, `window` | recipients from claim to commit; how many at once |
//! | `claimer` | takes chunks and claims recipients |
//! | `preparer` | threads that open and render, a few recipients at a time |
//! | `lane` | a connection that sends one letter after another |
//! | `flusher` | writes results down, hands chunks back |
//! | `mail_sender` | the lane for one-to-one mail |
//! | `prepare` | from a claimed row to a finished message, or why there is none |
//! | `letters` | one-to-one mails with their links |
//! | `opens` | how many addresses may be opened in a second |
//! | `issue_in_hand` | an issue's templates, compiled once |
//! | `line` | one connection, opened when needed |
//! | `attempt` | one message: last look from memory, journal, dot, journal |
//! | `after_stop` | whether mail went to somebody who had left, found after the fact |
//! | `settlement` | what must reach the database before anything else |

mod after_stop;
mod attempt;
pub(crate) mod bulk;
mod claimer;
mod desk;
mod flusher;
mod issue_in_hand;
mod lane;
mod letters;
mod line;
pub(crate) mod mail_sender;
mod opens;
mod prepare;
mod preparer;
mod settlement;
mod window;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, Entropy, IssueNumber, MailKind, SubscriptionId, WorkerId};
use mail::Transport;
use store::{
    Barrier, CatalogueReader, ChunkTable, DeliveryStore, HoldReason, IssueDesk, MailStore,
    OwnedChunk, Reassertion, StoreError,
};
use tokio::time::Instant;

use crate::Keys;
use crate::boot_clock::{BootClock, Moment};
use crate::fence::Fence;
use crate::journal::Journal;
use crate::lookout::Lookout;
use crate::route::Route;
pub(crate) use after_stop::AfterStop;
pub(crate) use issue_in_hand::IssueInHand;
pub(crate) use opens::Opens;
pub(crate) use settlement::count;

/// Reasons to send that were read longer ago are read again immediately before `MAIL FROM`.
const REASONS_LAST: Duration = Duration::from_secs(1);

/// Pause of a lane after the database or the journal failed it.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What all lanes of a worker share.
pub(crate) struct Sender {
    pub(crate) worker: WorkerId,
    pub(crate) issues: IssueDesk,
    pub(crate) chunks: ChunkTable,
    pub(crate) deliveries: DeliveryStore,
    pub(crate) mails: MailStore,
    pub(crate) reassertion: Reassertion,
    pub(crate) catalogue: CatalogueReader,
    pub(crate) keys: Arc<Keys>,
    pub(crate) transport: Transport,
    pub(crate) base_url: String,
    pub(crate) return_path_domain: Option<String>,
    /// The claim window: so many recipients are in doubt at most if the journal is lost.
    pub(crate) window: u16,
    pub(crate) opens: Opens,
    pub(crate) clock: Arc<dyn Clock>,
    /// How old a claim, a look and a heartbeat are.
    pub(crate) boot_clock: Arc<dyn BootClock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) journal: Journal,
    pub(crate) fence: Arc<Fence>,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) after_stop: AfterStop,
    pub(crate) route: Arc<Route>,
    /// The issue compiled last: lanes usually work on the same one.
    pub(crate) issue: Mutex<Option<Arc<IssueInHand>>>,
    /// The chunks that lanes have: one that is ours in the database and not here was taken by a
    /// statement whose answer was lost.
    pub(crate) in_hand: Mutex<HashSet<OwnedChunk>>,
}

impl Sender {
    /// Whether mail of this kind may be sent at all: the heart beats, the database has forgotten nothing,
    /// and the way to the relay is open.
    fn may_send(&self, kind: MailKind) -> bool {
        self.fence.may_send()
            && !self.lookout.is_restoring()
            && self.route.may_send(kind, Instant::now())
    }

    /// Whether issues may be sent: that, and the barrier is open.
    fn may_send_bulk(&self) -> bool {
        self.may_send(MailKind::Issue) && self.lookout.bulk() == Barrier::Open
    }

    /// Whether reasons to mail somebody that were read then are to be read again: they are old, or the
    /// person, or somebody without a name, left since.
    fn reasons_are_old(&self, subscription: Option<SubscriptionId>, looked_at: Moment) -> bool {
        self.boot_clock.now().since(looked_at) > REASONS_LAST
            || self.has_news(subscription, looked_at)
    }

    /// Whether the look-out heard of a stop since then, or may have missed one.
    fn has_news(&self, subscription: Option<SubscriptionId>, looked_at: Moment) -> bool {
        match subscription {
            Some(id) => self.lookout.changed_since(id, looked_at),
            None => self.lookout.unnamed_since(looked_at),
        }
    }

    /// Holds an issue whose mails cannot be made.
    async fn hold(&self, issue: IssueNumber, why: &str) -> Result<(), StoreError> {
        tracing::error!(issue = issue.0, why, "the issue cannot be sent: held");
        metrics::counter!("letterbox_issue_held_total", "reason" => "render").increment(1);
        self.issues.hold(issue, HoldReason::Unrenderable).await?;
        Ok(())
    }

    fn take_in_hand(&self, chunk: &OwnedChunk) {
        self.in_hand().insert(*chunk);
    }

    fn put_down(&self, chunk: &OwnedChunk) {
        self.in_hand().remove(chunk);
    }

    /// The chunks that lanes have.
    pub(crate) fn in_hand(&self) -> MutexGuard<'_, HashSet<OwnedChunk>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The domain of Message-IDs: the part of a sender's mailbox after the `@`.
pub(crate) fn sending_domain(sender_address: &str) -> &str {
    sender_address
        .rsplit_once('@')
        .map_or(sender_address, |(_, domain)| domain)
}

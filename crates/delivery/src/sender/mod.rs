//! Sending: lanes of connections for issues, one for one-to-one mail, and one way for both to the
//! relay.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `prepare` | from a claimed row to a finished message, or why there is none |
//! | `issue_in_hand` | an issue's templates, compiled once |
//! | `line` | one connection, opened when needed |
//! | `attempt` | one message: last look from memory, journal, dot, journal |
//! | `settlement` | results on their way to the database |
//! | `chunk_sender` | a lane for issues |
//! | `mail_sender` | the lane for confirmations |

mod attempt;
pub(crate) mod chunk_sender;
mod issue_in_hand;
mod line;
pub(crate) mod mail_sender;
mod prepare;
mod settlement;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, Entropy, WorkerId};
use mail::Transport;
use store::{CatalogueReader, ChunkTable, DeliveryStore, IssueDesk, MailStore, OwnedChunk};
use tokio::time::Instant;

use crate::Keys;
use crate::breaker::Breaker;
use crate::heartbeat::Fence;
use crate::journal::Journal;
use crate::lookout::Lookout;
pub(crate) use issue_in_hand::IssueInHand;
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
    pub(crate) catalogue: CatalogueReader,
    pub(crate) keys: Arc<Keys>,
    pub(crate) transport: Transport,
    pub(crate) base_url: String,
    pub(crate) return_path_domain: Option<String>,
    /// The claim window: so many rows of a chunk are in doubt at most if the journal is lost.
    pub(crate) window: u16,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) journal: Journal,
    pub(crate) fence: Arc<Fence>,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) breaker: Breaker,
    /// The issue compiled last: lanes usually work on the same one.
    pub(crate) issue: Mutex<Option<Arc<IssueInHand>>>,
    /// The chunks that lanes have: one that is ours in the database and not here was taken by a
    /// statement whose answer was lost.
    pub(crate) in_hand: Mutex<HashSet<OwnedChunk>>,
}

impl Sender {
    /// Whether anything may be sent at all: the heart beats, and the relay is not left in peace.
    fn may_send(&self, now: Instant) -> bool {
        self.fence.may_send(now) && !self.breaker.is_closed(now)
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

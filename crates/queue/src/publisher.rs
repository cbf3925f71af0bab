//! The handle that publishes.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::{Link, Queue};

/// How long the broker has for all messages of one call.
pub(crate) const PUBLISH_LIMIT: Duration = Duration::from_secs(10);
/// How long a call may wait for its turn besides; the calls before it have their limits too.
const TURN_LIMIT: Duration = Duration::from_secs(2);
/// Calls that wait for their turn.
pub(crate) const WAITING_CALLS: usize = 64;

/// A message to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// What the broker calls it when it sends it back: not empty, at most 255 bytes, and different
    /// for each message of a call.
    pub message_id: String,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Why messages may not have arrived. In both cases the caller publishes them again: a message that
/// arrives twice is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker is not there, or takes nothing at present: nothing was sent.
    #[error("the broker cannot be reached")]
    Down,
    /// The broker did not confirm some of them in time, or could not take them.
    #[error("the broker did not confirm all messages")]
    Unconfirmed,
}

/// Publishes messages over a connection of its own.
#[derive(Debug, Clone)]
pub struct Publisher {
    calls: mpsc::Sender<Call>,
    link: watch::Receiver<Link>,
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To their queue at once.
    Now,
    /// By the delay queue.
    Later,
}

/// One call of a publisher, as its connection sees it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) queue: Queue,
    pub(crate) way: Way,
    pub(crate) messages: Vec<Message>,
    pub(crate) until: Instant,
    pub(crate) answer: oneshot::Sender<Result<(), PublishError>>,
}

impl Publisher {
    pub(crate) const fn new(calls: mpsc::Sender<Call>, link: watch::Receiver<Link>) -> Self {
        Self { calls, link }
    }

    /// Whether the connection works; changes can be waited for.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Publishes all of them and waits until the broker has each safe on disk: about ten seconds at
    /// most, also when the broker blocks or no longer answers.
    ///
    /// # Errors
    /// It is not known that all arrived.
    pub async fn publish(&self, queue: Queue, messages: Vec<Message>) -> Result<(), PublishError> {
        self.call(queue, Way::Now, messages).await
    }

    /// Publishes all of them so that they come to `queue` in 30 seconds.
    ///
    /// # Errors
    /// It is not known that all arrived.
    pub async fn publish_later(
        &self,
        queue: Queue,
        messages: Vec<Message>,
    ) -> Result<(), PublishError> {
        self.call(queue, Way::Later, messages).await
    }

    async fn call(
        &self,
        queue: Queue,
        way: Way,
        messages: Vec<Message>,
    ) -> Result<(), PublishError> {
        if !self.link.borrow().is_up() {
            return Err(PublishError::Down);
        }
        if messages.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let call = Call {
            queue,
            way,
            messages,
            until: Instant::now() + PUBLISH_LIMIT,
            answer,
        };
        let asking = async {
            self.calls
                .send(call)
                .await
                .map_err(|_| PublishError::Down)?;
            answered.await.unwrap_or(Err(PublishError::Unconfirmed))
        };
        timeout(PUBLISH_LIMIT + TURN_LIMIT, asking)
            .await
            .unwrap_or(Err(PublishError::Unconfirmed))
    }
}

impl std::fmt::Debug for Message {
    // The body is a request or a hint: sealed or numbers, yet nobody needs it in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("message_id", &self.message_id)
            .field("bytes", &self.body.len())
            .finish()
    }
}

//! The handle that publishes.

use std::time::Instant;

use tokio::sync::watch;

use crate::{Link, Queue};

/// A message to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// What the broker calls it when it sends it back; not empty, and different within one call.
    pub message_id: String,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Why messages may not have arrived. In both cases the caller publishes them again: a message that
/// arrives twice is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker is not there: nothing was sent.
    #[error("the broker cannot be reached")]
    Down,
    /// The broker did not confirm some of them in time, or could not take them.
    #[error("the broker did not confirm all messages")]
    Unconfirmed,
}

/// Publishes messages over a connection of its own.
#[derive(Debug, Clone)]
pub struct Publisher {
    link: watch::Receiver<Link>,
}

impl Publisher {
    pub(crate) fn unconnected() -> Self {
        let since = Instant::now();
        Self {
            link: watch::channel(Link::Down { since }).1,
        }
    }

    /// Whether the connection works; changes can be waited for.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Publishes all of them and waits until the broker has each safe on disk: about ten seconds at most.
    ///
    /// # Errors
    /// It is not known that all arrived.
    pub async fn publish(&self, queue: Queue, messages: Vec<Message>) -> Result<(), PublishError> {
        let _ = (queue, messages);
        Err(PublishError::Down)
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
        let _ = (queue, messages);
        Err(PublishError::Down)
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

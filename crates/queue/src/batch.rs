//! What a consumer gives: a run of messages that are settled together.

/// A message as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// What its sender called it, if anything.
    pub message_id: Option<String>,
    /// The bytes.
    pub body: Vec<u8>,
    /// Whether it may have been delivered before. Never to be relied on: a wiped broker forgets.
    pub redelivered: bool,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("message_id", &self.message_id)
            .field("bytes", &self.body.len())
            .field("redelivered", &self.redelivered)
            .finish()
    }
}

/// Whether the broker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Yes.
    Yes,
    /// The connection was gone: the messages come again.
    Lost,
}

/// The oldest messages that were not given out yet, in their order. One that is dropped unsettled
/// comes again, as a new delivery.
#[derive(Debug)]
#[must_use = "messages come again until they are settled"]
pub struct Batch {
    messages: Vec<Received>,
}

impl Batch {
    /// The messages.
    #[must_use]
    pub fn messages(&self) -> &[Received] {
        &self.messages
    }

    /// Tells the broker that all of them are done.
    pub async fn ack(self) -> Settled {
        self.settle(&[]).await
    }

    /// Tells the broker that all are done but these (positions in [`Self::messages`]), which it moves
    /// to the dead letter queue.
    pub async fn settle(self, dead: &[usize]) -> Settled {
        let _ = dead;
        Settled::Lost
    }
}

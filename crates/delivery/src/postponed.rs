//! Messages that only a newer version can read: put back, to come again in half a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use queue::{Link, Message, Publisher, Queue, Received};
use service_runtime::Shutdown;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// Pause after they could not be put back.
const AGAIN: Duration = Duration::from_secs(1);

/// Messages to put back, by name.
#[derive(Debug, Default)]
pub(crate) struct Postponed(BTreeMap<String, Vec<u8>>);

impl Postponed {
    /// Adds a message under its own name; where it has none, or shares it with another, under one made
    /// of its bytes.
    pub(crate) fn add(&mut self, message: &Received) {
        if let Some(name) = &message.message_id {
            match self.0.get(name) {
                Some(body) if *body == message.body => return,
                Some(_) => {}
                None => {
                    self.0.insert(name.clone(), message.body.clone());
                    return;
                }
            }
        }
        let hash = Sha256::digest(&message.body);
        let name = HEXLOWER.encode(&hash[..16]);
        self.0.insert(name, message.body.clone());
    }

    /// Puts them back, which has to be done before the broker is told that they are. False where that
    /// makes no sense any more, because the connection that brought them is gone and they come again by
    /// themselves, or the process stops.
    pub(crate) async fn put_back(
        self,
        queue: Queue,
        publisher: &Publisher,
        brought_by: Link,
        link: &watch::Receiver<Link>,
        shutdown: &Shutdown,
    ) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let messages: Vec<Message> = self
            .0
            .into_iter()
            .map(|(message_id, body)| Message { message_id, body })
            .collect();
        loop {
            if publisher
                .publish_later(queue, messages.clone())
                .await
                .is_ok()
            {
                return true;
            }
            if shutdown.is_stopping() || *link.borrow() != brought_by {
                return false;
            }
            crate::pause(AGAIN, shutdown).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_messages_are_never_taken_for_one() {
        let message = |name: Option<&str>, body: &[u8]| Received {
            message_id: name.map(str::to_owned),
            body: body.to_vec(),
            redelivered: false,
        };
        let mut postponed = Postponed::default();
        for (name, body) in [
            (Some("a"), b"1"),
            (Some("a"), b"1"),
            (Some("a"), b"2"),
            (Some("b"), b"1"),
            (None, b"3"),
            (None, b"3"),
        ] {
            postponed.add(&message(name, body));
        }
        let bodies: Vec<&[u8]> = postponed.0.values().map(Vec::as_slice).collect();
        assert_eq!(bodies.len(), 4);
        for body in [b"1", b"2", b"3"] {
            assert!(bodies.contains(&&body[..]));
        }
    }
}

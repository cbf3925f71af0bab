//! Hints from the broker: each says only that it is worth looking into the tables now.
//!
//! A lane that has nothing to do waits for a hint, takes what the tables have, and comes back when they
//! have no more; so many hints at once need wake no more lanes than there are, and a lane that is busy
//! needs none. A hint is acknowledged once a look has begun after it came: if the process dies before,
//! another worker gets it.

use std::sync::Arc;
use std::time::Duration;

use queue::{Consumer, Link, Publisher, Queue};
use serde::Deserialize;
use service_runtime::Shutdown;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::postponed::Postponed;

/// Hints taken together.
const TOGETHER: usize = 256;
/// A hint is kept for so long if nobody can look, because all lanes are busy or bulk may not go: they
/// look as soon as they can, and the broker does not like to wait for half an hour.
const PATIENCE: Duration = Duration::from_secs(30);
/// The tables are looked at this often without a hint: for retries that fall due, and for hints that
/// were lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// The same while no hint can come.
const LOOK_ALONE: Duration = Duration::from_secs(1);
/// No hint is nearly as long.
const LONGEST: usize = 1024;

/// The lanes' end.
#[derive(Debug, Clone)]
pub(crate) struct Hints {
    wake: Arc<Semaphore>,
    looked: watch::Sender<Option<Instant>>,
    link: watch::Receiver<Link>,
}

impl Hints {
    /// Waits for a hint, or until it is time to look without one.
    pub(crate) async fn wait(&self, shutdown: &Shutdown) {
        let time = if self.link.borrow().is_up() {
            LOOK_ANYWAY
        } else {
            LOOK_ALONE
        };
        tokio::select! {
            woken = self.wake.acquire() => {
                if let Ok(permit) = woken {
                    permit.forget();
                }
            }
            () = tokio::time::sleep(time) => {}
            () = shutdown.token().cancelled() => {}
        }
    }

    /// Somebody has looked into the tables, from this moment on.
    pub(crate) fn looked(&self, began: Instant) {
        self.looked
            .send_modify(|last| *last = (*last).max(Some(began)));
    }
}

/// The broker's end.
pub(crate) struct HintFeed {
    consumer: Consumer,
    publisher: Publisher,
    hints: Hints,
    lanes: usize,
}

/// Hints of a queue for so many lanes.
pub(crate) fn hints(consumer: Consumer, publisher: Publisher, lanes: usize) -> (Hints, HintFeed) {
    let hints = Hints {
        wake: Arc::new(Semaphore::new(0)),
        looked: watch::channel(None).0,
        link: consumer.link(),
    };
    let feed = HintFeed {
        consumer,
        publisher,
        hints: hints.clone(),
        lanes,
    };
    (hints, feed)
}

impl HintFeed {
    /// Wakes lanes until the process stops.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let queue = self.consumer.queue();
        let mut looked = self.hints.looked.subscribe();
        while let Some(batch) = self.consumer.next(TOGETHER).await {
            let (came, link) = (Instant::now(), *self.hints.link.borrow());
            let (mut number, mut dead, mut later) = (0, Vec::new(), Postponed::default());
            for (position, message) in batch.messages().iter().enumerate() {
                match read(queue, &message.body) {
                    Hint::Look => number += 1,
                    Hint::Later => later.add(message),
                    Hint::Dead => dead.push(position),
                }
            }
            if number > 0 {
                #[cfg(feature = "failpoints")]
                fail::fail_point!("P4", |_| std::process::abort());
                self.wake(number);
                tokio::select! {
                    _ = looked.wait_for(|last| last.is_some_and(|began| began >= came)) => {}
                    () = tokio::time::sleep(PATIENCE) => {}
                    () = shutdown.token().cancelled() => {}
                }
            }
            if !dead.is_empty() {
                tracing::error!(
                    queue = queue.label(),
                    hints = dead.len(),
                    "hints cannot be read"
                );
            }
            let publisher = &self.publisher;
            if later
                .put_back(queue, publisher, link, &self.hints.link, &shutdown)
                .await
            {
                #[cfg(feature = "failpoints")]
                fail::fail_point!("P13", |_| std::process::abort());
                batch.settle(&dead).await;
            }
        }
    }

    /// Wakes as many lanes as there are hints; more than all is not possible.
    fn wake(&self, hints: usize) {
        let awake = self.hints.wake.available_permits();
        let more = hints.min(self.lanes).saturating_sub(awake);
        self.hints.wake.add_permits(more);
    }
}

/// What a message on a work queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    Look,
    /// For a newer version.
    Later,
    /// Nothing that anybody could read.
    Dead,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a hint is checked, and then the tables are asked")]
struct ChunkHint {
    v: u64,
    issue: u64,
    chunk: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a hint is checked, and then the tables are asked")]
struct MailHint {
    v: u64,
    mail: u64,
}

/// Reads a hint (`FORMATS.md`, Work messages). The version is looked at first.
fn read(queue: Queue, body: &[u8]) -> Hint {
    if body.len() > LONGEST {
        return Hint::Dead;
    }
    match serde_json::from_slice::<Version>(body) {
        Ok(Version { v: 1 }) => {}
        Ok(Version { v: 2.. }) => return Hint::Later,
        Ok(Version { v: 0 }) | Err(_) => return Hint::Dead,
    }
    let is_hint = match queue {
        Queue::Bulk => serde_json::from_slice::<ChunkHint>(body).is_ok(),
        Queue::Confirm => serde_json::from_slice::<MailHint>(body).is_ok(),
        Queue::Stops | Queue::Requests => false,
    };
    if is_hint { Hint::Look } else { Hint::Dead }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_read_by_its_version_first() {
        let large = vec![b' '; 1_000_000];
        let cases: [(Queue, &[u8], Hint); 14] = [
            (Queue::Bulk, br#"{"v":1,"issue":3,"chunk":0}"#, Hint::Look),
            (Queue::Bulk, br#"{"v":1,"mail":3}"#, Hint::Dead),
            (Queue::Bulk, br#"{"v":1,"issue":3}"#, Hint::Dead),
            (Queue::Bulk, br#"{"v":1,"issue":3,"chunk":-1}"#, Hint::Dead),
            (
                Queue::Bulk,
                br#"{"v":1,"issue":3,"chunk":0,"x":1}"#,
                Hint::Dead,
            ),
            (Queue::Confirm, br#"{"v":1,"mail":12}"#, Hint::Look),
            (
                Queue::Confirm,
                br#"{"v":1,"issue":3,"chunk":0}"#,
                Hint::Dead,
            ),
            (Queue::Confirm, br#"{"v":2}"#, Hint::Later),
            (
                Queue::Confirm,
                br#"{"v":99,"mail":"any","more":[]}"#,
                Hint::Later,
            ),
            (Queue::Confirm, br#"{"v":0,"mail":12}"#, Hint::Dead),
            (Queue::Confirm, br#"{"mail":12}"#, Hint::Dead),
            (Queue::Confirm, b"", Hint::Dead),
            (Queue::Confirm, b"\xff\x00", Hint::Dead),
            (Queue::Confirm, &large, Hint::Dead),
        ];
        for (queue, body, expected) in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
            assert_eq!(read(queue, body), expected, "{shown}");
        }
    }
}

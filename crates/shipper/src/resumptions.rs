//! Whether somebody who had left may have come back meanwhile: the database's mark of it, read when a role
//! takes an unsubscribe. Nobody waits for the database longer than a quarter of a second, and whoever is
//! not answered does not know.

use std::sync::Arc;
use std::time::Duration;

use store::{ResumptionMark, ResumptionReader};
use tokio::sync::watch;
use tokio::time::Instant;

/// A reading that was begun so long ago is as good as a new one: a flood costs twenty readings a second.
const FRESH: Duration = Duration::from_millis(50);
/// So long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// So long nobody waits after the database did not answer.
const AWAY: Duration = Duration::from_secs(1);

/// Knows it; clones share what they know.
#[derive(Debug, Clone)]
pub struct Resumptions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// None where it is told by hand.
    reader: Option<ResumptionReader>,
    known: watch::Sender<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    seen: Option<Seen>,
    is_reading: bool,
    away_until: Option<Instant>,
}

/// What readings saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    mark: ResumptionMark,
    /// Since when it is there for certain: when the first reading that saw it was begun.
    since: Instant,
    /// When the last one was.
    checked: Instant,
}

impl Resumptions {
    /// Read from the database.
    #[must_use]
    pub fn new(reader: ResumptionReader) -> Self {
        Self::with(Some(reader), Known::default())
    }

    /// Nobody ever comes back, unless it is said: for tests.
    #[must_use]
    pub fn fixed() -> Self {
        let now = Instant::now();
        let seen = Seen {
            mark: [0; 16],
            since: now,
            checked: now,
        };
        let known = Known {
            seen: Some(seen),
            ..Known::default()
        };
        Self::with(None, known)
    }

    /// Nobody ever knows: for tests.
    #[must_use]
    pub fn unknown() -> Self {
        Self::with(None, Known::default())
    }

    fn with(reader: Option<ResumptionReader>, known: Known) -> Self {
        Self {
            inner: Arc::new(Inner {
                reader,
                known: watch::Sender::new(known),
            }),
        }
    }

    /// Says that somebody came back: for tests.
    pub fn somebody_came_back(&self) {
        self.inner.known.send_modify(|known| {
            if let Some(seen) = &mut known.seen {
                seen.since = Instant::now();
            }
        });
    }

    /// Begins a reading in the background, so that what holds at this moment will be known. To be called
    /// before an unsubscribe is accepted.
    #[expect(
        clippy::disallowed_methods,
        reason = "a reading that shutdown does not wait for is a reading that nobody needs"
    )]
    pub fn look(&self) {
        let Some(reader) = self.inner.reader.clone() else {
            return;
        };
        let asked = Instant::now();
        let begins = self.inner.known.send_if_modified(|known| {
            let is_fresh = known
                .seen
                .is_some_and(|seen| asked.duration_since(seen.checked) < FRESH);
            let begins = !known.is_reading && !is_fresh && !known.is_away(asked);
            known.is_reading |= begins;
            begins
        });
        if !begins {
            return;
        }
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let answer = reader.mark().await;
            inner.known.send_modify(|known| {
                known.is_reading = false;
                match answer {
                    Ok(mark) => known.saw(mark, asked, Instant::now()),
                    Err(error) => {
                        tracing::debug!(%error, "nobody knows who came back");
                        known.away_until = Some(Instant::now() + AWAY);
                    }
                }
            });
        });
    }

    /// Whether nobody can have come back since this moment. None where that is not known, as without
    /// the database.
    pub async fn none_since(&self, moment: Instant) -> Option<bool> {
        let begun = Instant::now();
        let mut news = self.inner.known.subscribe();
        loop {
            let known = *news.borrow_and_update();
            let now = Instant::now();
            if let Some(seen) = known.seen
                && (self.inner.reader.is_none() || now.duration_since(seen.checked) < FRESH)
            {
                return Some(seen.since <= moment);
            }
            if self.inner.reader.is_none() || known.is_away(now) {
                return None;
            }
            self.look();
            // Only the wait is given up here: the reading goes on.
            let rest = PATIENCE.saturating_sub(begun.elapsed());
            if tokio::time::timeout(rest, news.changed()).await.is_err() {
                self.inner
                    .known
                    .send_modify(|known| known.away_until = Some(Instant::now() + AWAY));
                return None;
            }
        }
    }
}

impl Known {
    fn is_away(&self, now: Instant) -> bool {
        self.away_until.is_some_and(|until| now < until)
    }

    fn saw(&mut self, mark: ResumptionMark, asked: Instant, answered: Instant) {
        self.away_until = None;
        let since = match self.seen {
            Some(seen) if seen.mark == mark => seen.since,
            // Nobody comes back within so short a time; within a longer one somebody may have.
            _ if answered.duration_since(asked) < FRESH => asked,
            _ => answered,
        };
        self.seen = Some(Seen {
            mark,
            since,
            checked: asked,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mark_that_was_seen_before_means_that_nobody_came_back() {
        let moments: Vec<Instant> = (0..5)
            .map(|n| Instant::now() + Duration::from_millis(n))
            .collect();
        let mut known = Known::default();
        let mut saw = |mark, asked: Instant, took| {
            known.saw([mark; 16], asked, asked + took);
            known.seen.unwrap().since
        };
        let quick = Duration::from_millis(1);
        saw(1, moments[0], quick);
        assert!(saw(1, moments[2], quick) <= moments[1]);
        assert!(saw(2, moments[4], quick) > moments[3]);
        // a restored database may have an old mark again
        assert!(saw(1, moments[4], quick) > moments[3]);
        // while a slow answer was on its way, somebody may have come back
        assert!(saw(3, moments[0], FRESH) > moments[4]);
    }

    #[tokio::test]
    async fn who_is_told_by_hand_knows_at_once_or_never() {
        let told = Resumptions::fixed();
        let moment = Instant::now();
        assert_eq!(told.none_since(moment).await, Some(true));
        told.somebody_came_back();
        assert_eq!(told.none_since(moment).await, Some(false));
        assert_eq!(told.none_since(Instant::now()).await, Some(true));
        assert_eq!(Resumptions::unknown().none_since(moment).await, None);
    }
}

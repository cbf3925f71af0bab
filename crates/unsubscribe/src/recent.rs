//! What this role has just made durable, so that a repeat costs nothing: a mail program that asks again
//! and again, a double click, a flood of one link. It is a convenience and kept in memory: whoever is not
//! remembered is simply written down once more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::{BoxId, EventId, Request, SubscriptionId, Timestamp};
use shipper::Resumptions;

/// For how long a repeat is recognised.
const REMEMBERED: Duration = Duration::from_hours(1);
/// While nobody knows who came back, as without the database, a repeat is written down once in so long:
/// often enough for a person, and too seldom for a flood to fill the disk.
const UNKNOWN: Duration = Duration::from_mins(1);
/// At most so many are remembered, the newest: some ten megabytes.
const MOST: usize = 65_536;

/// What a request stops, or takes back: two that are about the same are repeats of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    Leave(SubscriptionId),
    LeaveAll(SubscriptionId),
    Undo(EventId),
    NotMe(BoxId),
    NeverEmail(BoxId),
}

impl Topic {
    pub(crate) const fn of(request: &Request) -> Option<Self> {
        match request {
            Request::Unsubscribe(leave) => Some(Self::Leave(leave.subscription_id)),
            Request::UnsubscribeAll(leave) => Some(Self::LeaveAll(leave.subscription_id)),
            Request::Undo(undo) => Some(Self::Undo(undo.unsubscribe)),
            Request::NotMe(not_me) => Some(Self::NotMe(not_me.box_id)),
            Request::NeverEmail(not_me) => Some(Self::NeverEmail(not_me.box_id)),
            _ => None,
        }
    }

    /// Whether something can happen after which it has to be said again: an undo, or a new sign-up. What
    /// was taken back or disowned stays so.
    const fn can_be_reversed(self) -> bool {
        matches!(self, Self::Leave(_) | Self::LeaveAll(_))
    }
}

/// One that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) event_id: EventId,
    pub(crate) accepted_at: Timestamp,
    /// When its request came: whoever came back earlier does not count.
    pub(crate) came: Instant,
}

/// The newest of them.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_topic: HashMap<Topic, (u64, Taken)>,
    /// In the order in which they were remembered.
    order: BTreeMap<u64, Topic>,
    by_event: HashMap<EventId, Topic>,
    next: u64,
}

impl Recent {
    /// What was taken of this topic in the last hour, if to take it again would change nothing.
    pub(crate) async fn repeated(
        &self,
        topic: Topic,
        now: Timestamp,
        resumptions: &Resumptions,
    ) -> Option<Taken> {
        let taken = self.inner().get(topic)?;
        let age = now.since(taken.accepted_at);
        if age >= REMEMBERED || now < taken.accepted_at {
            return None;
        }
        if !topic.can_be_reversed() {
            return Some(taken);
        }
        let holds = match resumptions.none_since(taken.came.into()).await {
            Some(none) => none,
            None => age < UNKNOWN,
        };
        // It may have been undone here while that was asked.
        (holds && self.inner().get(topic) == Some(taken)).then_some(taken)
    }

    /// Remembers one that is on disk.
    pub(crate) fn remember(&self, topic: Topic, taken: Taken) {
        let mut inner = self.inner();
        inner.forget(topic);
        if inner.order.len() >= MOST
            && let Some((_, oldest)) = inner.order.first_key_value()
        {
            let oldest = *oldest;
            inner.forget(oldest);
        }
        let place = inner.next;
        inner.next += 1;
        inner.order.insert(place, topic);
        inner.by_topic.insert(topic, (place, taken));
        inner.by_event.insert(taken.event_id, topic);
    }

    /// An undo of this unsubscribe came: from before it is accepted, the unsubscribe is no answer to
    /// anybody any more.
    pub(crate) fn undone(&self, event_id: EventId) {
        let mut inner = self.inner();
        if let Some(topic) = inner.by_event.get(&event_id).copied() {
            inner.forget(topic);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn get(&self, topic: Topic) -> Option<Taken> {
        self.by_topic.get(&topic).map(|(_, taken)| *taken)
    }

    fn forget(&mut self, topic: Topic) {
        if let Some((place, taken)) = self.by_topic.remove(&topic) {
            self.order.remove(&place);
            self.by_event.remove(&taken.event_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_795_521_600_000);

    fn topic(number: u64) -> Topic {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Topic::Leave(SubscriptionId::new(id))
    }

    fn taken(number: u64) -> Taken {
        let mut id = [1; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Taken {
            event_id: EventId::new(id),
            accepted_at: NOON,
            came: Instant::now(),
        }
    }

    #[tokio::test]
    async fn an_hour_is_remembered_and_no_longer() {
        let (recent, resumptions) = (Recent::default(), Resumptions::fixed());
        recent.remember(topic(1), taken(1));
        let minute = Duration::from_mins(1);
        for (after, expected) in [(0, true), (59, true), (60, false), (61, false)] {
            let now = NOON.plus(minute * after);
            let found = recent.repeated(topic(1), now, &resumptions).await;
            assert_eq!(found.is_some(), expected, "{after} minutes");
        }
        let earlier = NOON.minus(minute);
        let found = recent.repeated(topic(1), earlier, &resumptions).await;
        assert_eq!(found, None, "a clock that was set back");
        let other = recent.repeated(topic(2), NOON, &resumptions).await;
        assert_eq!(other, None);
    }

    #[tokio::test]
    async fn an_undo_or_anybody_who_came_back_ends_it() {
        let (recent, resumptions) = (Recent::default(), Resumptions::fixed());
        recent.remember(topic(1), taken(1));
        recent.undone(taken(2).event_id);
        assert!(
            recent
                .repeated(topic(1), NOON, &resumptions)
                .await
                .is_some()
        );
        recent.undone(taken(1).event_id);
        assert_eq!(recent.repeated(topic(1), NOON, &resumptions).await, None);

        let disowned = Topic::NotMe(BoxId::new([3; 16]));
        recent.remember(topic(1), taken(1));
        recent.remember(disowned, taken(2));
        resumptions.somebody_came_back();
        assert_eq!(recent.repeated(topic(1), NOON, &resumptions).await, None);
        let found = recent.repeated(disowned, NOON, &resumptions).await;
        assert!(found.is_some(), "nobody can take that back");
        recent.remember(topic(1), taken(3));
        assert!(
            recent
                .repeated(topic(1), NOON, &resumptions)
                .await
                .is_some()
        );
    }

    #[tokio::test]
    async fn where_nobody_knows_it_is_said_again_each_minute() {
        let (recent, resumptions) = (Recent::default(), Resumptions::unknown());
        recent.remember(topic(1), taken(1));
        for (seconds, expected) in [(0, true), (59, true), (60, false)] {
            let now = NOON.plus(Duration::from_secs(seconds));
            let found = recent.repeated(topic(1), now, &resumptions).await;
            assert_eq!(found.is_some(), expected, "{seconds} s");
        }
    }

    #[tokio::test]
    async fn the_oldest_go_when_there_are_too_many() {
        let (recent, resumptions) = (Recent::default(), Resumptions::fixed());
        let at = async |topic| recent.repeated(topic, NOON, &resumptions).await;
        let all = u64::try_from(MOST).unwrap();
        for number in 0..all {
            recent.remember(topic(number), taken(number));
        }
        recent.remember(topic(1), taken(all));
        assert!(at(topic(0)).await.is_some(), "room");
        recent.remember(topic(all), taken(all + 1));
        assert_eq!(at(topic(0)).await, None);
        assert_eq!(at(topic(1)).await.unwrap().event_id, taken(all).event_id);
        let inner = recent.inner();
        assert_eq!(inner.order.len(), MOST);
        assert_eq!(inner.by_topic.len(), MOST);
        assert_eq!(inner.by_event.len(), MOST);
    }
}

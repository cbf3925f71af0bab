//! The connection behind a publisher. One task owns the channel, since two publishes at once could
//! swap each other's confirms in lapin; calls that wait meanwhile go out together.

use std::collections::HashSet;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Event};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::Queue;
use crate::dial::{Wire, bounded, close_channel};
use crate::link::LinkState;
use crate::metrics;
use crate::publisher::{Call, Message, PublishError, Way};
use crate::supervisor::{Duty, End};
use crate::topology::{DELAY, Topology, TopologyProblem, WORK};

/// Messages that are on their way before the first confirm is waited for, and their bytes: lapin keeps
/// a copy of each until it is written.
const WINDOW_MESSAGES: usize = 1_000;
const WINDOW_BYTES: usize = 4 << 20;
/// Messages that go out together, at least; the call that exceeds it is still taken whole.
const TOGETHER: usize = 2_000;
/// RabbitMQ's word for "on disk".
const PERSISTENT: u8 = 2;

/// What the connection of a publisher does.
pub(crate) struct Publishing {
    pub(crate) calls: mpsc::Receiver<Call>,
    pub(crate) topology: Topology,
    pub(crate) stop: CancellationToken,
}

/// What became of messages that were sent.
#[derive(Default)]
struct Fate {
    /// Confirmed ones, by their place.
    stored: Vec<bool>,
    /// Those that came back, by their message id: lapin hangs a returned message on any confirm.
    returned: HashSet<String>,
    refused: bool,
}

impl Duty for Publishing {
    type Ready = Channel;

    async fn prepare(&mut self, wire: &Wire) -> Result<Channel, TopologyProblem> {
        self.topology.see_to(wire).await?;
        let channel = wire.channel().await?;
        bounded(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    async fn work(&mut self, wire: &Wire, channel: Channel, link: &mut LinkState) -> End {
        // The only listener of this connection: two would share the events, not both hear them.
        let mut events = wire.events();
        let mut gone = pin!(wire.gone());
        let stop = self.stop.clone();
        let mut told_of_refusal = false;
        loop {
            let call = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    close_channel(&channel).await;
                    return End::Stopped;
                }
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        return self.wait_for_room(reason, gone, events, link).await;
                    }
                    Some(Event::Error(error)) => return End::Lost(error.to_string()),
                    None => return End::Lost("the connection ended".to_owned()),
                    Some(_) => continue,
                },
                Some(call) = self.calls.recv() => call,
                reason = &mut gone => return End::Lost(reason.to_owned()),
            };
            let calls = self.together_with(call);
            let Some(oldest) = calls.iter().map(|call| call.until).min() else {
                continue;
            };
            let mut fate = Fate::default();
            let sending = send(&channel, &calls, &mut fate);
            let left = oldest.saturating_duration_since(Instant::now());
            let sent = timeout(left, sending).await;
            match sent {
                Ok(Ok(())) => {}
                // Which came back is known only once all confirms are: nothing is known here.
                Ok(Err(error)) => return End::Lost(error.to_string()),
                Err(_) if wire.is_blocked() => {
                    drop(calls);
                    return self.wait_for_room(String::new(), gone, events, link).await;
                }
                Err(_) => return End::Lost("messages were not confirmed in time".to_owned()),
            }
            if fate.refused && !std::mem::replace(&mut told_of_refusal, true) {
                tracing::warn!("The broker refused messages: a queue is full or cannot store");
            }
            let came_back = !fate.returned.is_empty();
            answer(calls, &fate);
            if came_back {
                return End::Lost("messages came back, for their queue is gone".to_owned());
            }
        }
    }

    fn lost(&mut self) {
        while let Ok(call) = self.calls.try_recv() {
            let _ = call.answer.send(Err(PublishError::Down));
        }
    }
}

impl Publishing {
    /// This call and those that wait, up to a number of messages.
    fn together_with(&mut self, first: Call) -> Vec<Call> {
        let mut messages = first.messages.len();
        let mut calls = vec![first];
        while messages < TOGETHER {
            let Ok(next) = self.calls.try_recv() else {
                break;
            };
            messages += next.messages.len();
            calls.push(next);
        }
        // A caller that no longer waits has been told "unconfirmed"; it publishes again by itself.
        calls.retain(|call| !call.answer.is_closed());
        calls
    }

    /// The broker has run out of memory or disk. lapin writes nothing on a blocked connection, not
    /// even a heartbeat, and RabbitMQ, which reads nothing either, does not expect one. So it is kept,
    /// and made anew once there is room: what still waits in it would be sent late and twice.
    async fn wait_for_room(
        &mut self,
        reason: String,
        mut gone: Pin<&mut impl Future<Output = &'static str>>,
        mut events: impl Stream<Item = Event> + Unpin + Send,
        link: &mut LinkState,
    ) -> End {
        link.blocked();
        self.lost();
        tracing::warn!(reason, "The broker takes no messages at present");
        loop {
            let event = tokio::select! {
                () = self.stop.cancelled() => return End::Stopped,
                event = events.next() => event,
                reason = &mut gone => return End::Lost(reason.to_owned()),
            };
            match event {
                Some(Event::ConnectionUnblocked) => {
                    return End::Lost("it was blocked and is free again".to_owned());
                }
                Some(Event::Error(error)) => return End::Lost(error.to_string()),
                None => return End::Lost("the connection ended".to_owned()),
                Some(_) => {}
            }
        }
    }
}

/// Tells each caller about its own messages.
fn answer(calls: Vec<Call>, fate: &Fate) {
    let mut place = 0;
    for call in calls {
        let fine = call.messages.iter().enumerate().all(|(nth, message)| {
            fate.stored[place + nth] && !fate.returned.contains(&message.message_id)
        });
        place += call.messages.len();
        if fine {
            metrics::published(call.queue, call.messages.len());
        }
        let said = if fine {
            Ok(())
        } else {
            Err(PublishError::Unconfirmed)
        };
        let _ = call.answer.send(said);
    }
}

/// Sends all messages and waits for every confirm.
async fn send(channel: &Channel, calls: &[Call], fate: &mut Fate) -> lapin::Result<()> {
    let messages: Vec<(&Call, &Message)> = calls
        .iter()
        .flat_map(|call| call.messages.iter().map(move |message| (call, message)))
        .collect();
    fate.stored = vec![false; messages.len()];
    let mut start = 0;
    while start < messages.len() {
        let end = start + window(&messages[start..]);
        let written = in_order(
            messages[start..end]
                .iter()
                .map(|(call, message)| Box::pin(publish(channel, call, message)))
                .collect(),
        )
        .await;
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P2", |_| std::process::abort());
        // Each confirm by itself: `wait_for_confirms` waits for the last one only, and hears no "no".
        for (nth, confirm) in written.into_iter().enumerate() {
            let confirmation = confirm?.await?;
            match &confirmation {
                Confirmation::Ack(_) => fate.stored[start + nth] = true,
                Confirmation::Nack(_) => fate.refused = true,
                Confirmation::NotRequested => {
                    tracing::error!("The channel is not in confirm mode");
                }
            }
            if let Some(returned) = confirmation.take_message() {
                let id = returned.delivery.properties.message_id();
                fate.returned.extend(id.as_ref().map(ToString::to_string));
            }
        }
        start = end;
    }
    Ok(())
}

/// How many of these fit into a window: one at least.
fn window(messages: &[(&Call, &Message)]) -> usize {
    let mut bytes = 0;
    let fits = |(_, message): &&(&Call, &Message)| {
        bytes += message.body.len();
        bytes <= WINDOW_BYTES
    };
    messages
        .iter()
        .take(WINDOW_MESSAGES)
        .take_while(fits)
        .count()
        .max(1)
}

async fn publish(
    channel: &Channel,
    call: &Call,
    message: &Message,
) -> lapin::Result<lapin::PublisherConfirm> {
    let (kind, content_type) = match call.queue {
        Queue::Stops | Queue::Requests => ("request.v1", "application/cbor"),
        Queue::Bulk => ("bulk.v1", "application/json"),
        Queue::Confirm => ("confirm.v1", "application/json"),
    };
    let exchange = match call.way {
        Way::Now => WORK,
        Way::Later => DELAY,
    };
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(short(&message.message_id))
        .with_type(kind.into())
        .with_content_type(content_type.into());
    // Mandatory: a message without a queue comes back instead of vanishing.
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    channel
        .basic_publish(
            exchange.into(),
            call.queue.name().into(),
            options,
            &message.body,
            properties,
        )
        .await
}

/// AMQP's short strings end at 255 bytes, and lapin panics at a longer one.
fn short(text: &str) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

/// Runs futures side by side that must begin in this order. lapin takes a message's number and queues
/// its frames when the future is polled first, so this sends without a pause for each message and
/// still cannot swap two.
async fn in_order<F: Future>(futures: Vec<Pin<Box<F>>>) -> Vec<F::Output> {
    enum Step<F: Future> {
        Begun(Pin<Box<F>>),
        Done(F::Output),
    }
    let mut waiting = futures.into_iter();
    let mut begun = Vec::with_capacity(waiting.len());
    std::future::poll_fn(|context| {
        for mut future in waiting.by_ref() {
            begun.push(match future.as_mut().poll(context) {
                Poll::Pending => Step::Begun(future),
                Poll::Ready(output) => Step::Done(output),
            });
        }
        Poll::Ready(())
    })
    .await;
    let mut outputs = Vec::with_capacity(begun.len());
    for step in begun {
        outputs.push(match step {
            Step::Begun(future) => future.await,
            Step::Done(output) => output,
        });
    }
    outputs
}

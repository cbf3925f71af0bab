//! Declares exchanges and queues, with everything said in arguments: a policy that an operator forgets
//! would let RabbitMQ 4 drop messages after 20 deliveries without a word.
//!
//! ```text
//! letterbox.work   direct ──▶ letterbox.{stops,requests,bulk,confirm}.v1
//! letterbox.delay  direct ──▶ letterbox.delay.v1 ──30 s──▶ letterbox.work, same routing key
//! letterbox.dead   fanout ──▶ letterbox.dead.v1   what was refused, for people to look at
//! ```

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};

use crate::Queue;
use crate::dial::{DialProblem, Wire, bounded, close_channel};

/// The exchange of work.
pub(crate) const WORK: &str = "letterbox.work";
/// The exchange of messages that come back later.
pub(crate) const DELAY: &str = "letterbox.delay";
/// The exchange of refused messages.
const DEAD: &str = "letterbox.dead";
const DELAY_QUEUE: &str = "letterbox.delay.v1";
const DEAD_QUEUE: &str = "letterbox.dead.v1";

/// Refused messages that are kept; older ones make room.
const DEAD_LIMIT: i64 = 100_000;
/// A request is never given up by counting: a worker that crashes often is no reason to lose a stop.
/// RabbitMQ 4 counts to 20 where nothing is said, and 3.10 knows no word for "never", so this is a
/// number that never comes.
const NEVER: i64 = 1_000_000_000;
/// A hint may be lost: the tables have the work. One that kills its workers goes away.
const HINT_DELIVERIES: i64 = 50;

/// Channel errors of AMQP 0-9-1 that say something about us.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const PRECONDITION_FAILED: u16 = 406;

/// Why the queues are not as they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopologyProblem {
    /// It exists with other arguments.
    #[error(
        "{0} was declared with other arguments than Letterbox's: remove it on the broker, and Letterbox makes it anew"
    )]
    Misdeclared(&'static str),
    /// It does not exist, and this user may not make it.
    #[error(
        "{0} does not exist and this user may not make it: start `letterbox deliver`, which does, or give the user the right to configure it"
    )]
    Missing(&'static str),
    /// The connection failed meanwhile.
    #[error(transparent)]
    Dial(#[from] DialProblem),
}

/// Numbers among the arguments; tests choose smaller ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many hints a queue holds before further ones are refused, so that an audience of millions
    /// with no worker about does not fill the broker's disk: the outbox keeps them.
    pub(crate) hints: i64,
    /// How long a message stays in the delay queue, in milliseconds.
    pub(crate) delay: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hints: 200_000,
            delay: 30_000,
        }
    }
}

/// One thing to declare.
enum Part {
    Exchange(&'static str, ExchangeKind),
    Queue(&'static str, FieldTable),
    Binding {
        exchange: &'static str,
        queue: &'static str,
        key: &'static str,
    },
}

impl Part {
    /// What an operator has to look for.
    const fn name(&self) -> &'static str {
        match self {
            Self::Exchange(name, _) | Self::Queue(name, _) => name,
            Self::Binding { queue, .. } => queue,
        }
    }
}

/// What one connection needs of the broker.
#[derive(Debug)]
pub(crate) struct Topology {
    /// A consumer needs its own queue: a wrong one elsewhere is not its business.
    only: Option<Queue>,
    limits: Limits,
    /// Whether the user may declare, as far as is known. A refusal stands in the broker's log each
    /// time, so it is believed until the process starts again.
    may_declare: bool,
}

impl Topology {
    /// What a publisher needs: everything.
    pub(crate) const fn whole(limits: Limits) -> Self {
        Self {
            only: None,
            limits,
            may_declare: true,
        }
    }

    /// What a consumer of this queue needs.
    pub(crate) const fn of(queue: Queue, limits: Limits) -> Self {
        Self {
            only: Some(queue),
            limits,
            may_declare: true,
        }
    }

    /// Makes what is missing; where the user may not, looks whether everything is there.
    pub(crate) async fn see_to(&mut self, wire: &Wire) -> Result<(), TopologyProblem> {
        let parts = parts(self.only, self.limits);
        if self.may_declare {
            self.may_declare = declare(wire, &parts).await?;
        }
        if !self.may_declare {
            look(wire, &parts).await?;
        }
        Ok(())
    }
}

/// Makes what is missing. False if the user may not: a web role's may publish and nothing else.
async fn declare(wire: &Wire, parts: &[Part]) -> Result<bool, TopologyProblem> {
    // A channel of its own, since whatever the broker refuses closes it.
    let channel = wire.channel().await?;
    for part in parts {
        if let Err(problem) = bounded(make(&channel, part)).await {
            return match refusal(&problem) {
                Some(PRECONDITION_FAILED | RESOURCE_LOCKED) => {
                    Err(TopologyProblem::Misdeclared(part.name()))
                }
                Some(ACCESS_REFUSED) => Ok(false),
                _ => Err(problem.into()),
            };
        }
    }
    close_channel(&channel).await;
    Ok(true)
}

/// Looks whether everything is there, which needs no right.
async fn look(wire: &Wire, parts: &[Part]) -> Result<(), TopologyProblem> {
    let channel = wire.channel().await?;
    for part in parts {
        if let Err(problem) = bounded(find(&channel, part)).await {
            return match refusal(&problem) {
                Some(NOT_FOUND) => Err(TopologyProblem::Missing(part.name())),
                _ => Err(problem.into()),
            };
        }
    }
    close_channel(&channel).await;
    Ok(())
}

async fn make(channel: &Channel, part: &Part) -> lapin::Result<()> {
    match part {
        Part::Exchange(name, kind) => {
            let options = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            channel
                .exchange_declare((*name).into(), kind.clone(), options, FieldTable::default())
                .await
        }
        Part::Queue(name, arguments) => {
            let options = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            let declared = channel.queue_declare((*name).into(), options, arguments.clone());
            declared.await.map(drop)
        }
        Part::Binding {
            exchange,
            queue,
            key,
        } => {
            channel
                .queue_bind(
                    (*queue).into(),
                    (*exchange).into(),
                    (*key).into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
        }
    }
}

async fn find(channel: &Channel, part: &Part) -> lapin::Result<()> {
    match part {
        Part::Exchange(name, kind) => {
            let options = ExchangeDeclareOptions {
                passive: true,
                ..ExchangeDeclareOptions::default()
            };
            channel
                .exchange_declare((*name).into(), kind.clone(), options, FieldTable::default())
                .await
        }
        Part::Queue(name, _) => {
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let found = channel.queue_declare((*name).into(), options, FieldTable::default());
            found.await.map(drop)
        }
        // There is no way to look for a binding. A missing one sends messages back, which is seen.
        Part::Binding { .. } => Ok(()),
    }
}

/// The reply code with which the broker refused, if that is what happened.
fn refusal(problem: &DialProblem) -> Option<u16> {
    match problem {
        DialProblem::Refused(error) => match error.kind() {
            ErrorKind::ProtocolError(error) => Some(error.get_id()),
            _ => None,
        },
        DialProblem::Silent => None,
    }
}

fn parts(only: Option<Queue>, limits: Limits) -> Vec<Part> {
    let mut parts = vec![
        Part::Exchange(DEAD, ExchangeKind::Fanout),
        Part::Queue(
            DEAD_QUEUE,
            arguments(&[
                ("x-max-length", number(DEAD_LIMIT)),
                ("x-overflow", text("drop-head")),
            ]),
        ),
        Part::Binding {
            exchange: DEAD,
            queue: DEAD_QUEUE,
            key: "",
        },
        Part::Exchange(WORK, ExchangeKind::Direct),
    ];
    let wanted = |queue: &Queue| only.is_none_or(|only| only == *queue);
    for queue in Queue::ALL.into_iter().filter(wanted) {
        parts.push(Part::Queue(queue.name(), work_arguments(queue, limits)));
        parts.push(Part::Binding {
            exchange: WORK,
            queue: queue.name(),
            key: queue.name(),
        });
    }
    if only.is_none() {
        parts.push(Part::Exchange(DELAY, ExchangeKind::Direct));
        // At least once: a stop of a newer version may sit here through an upgrade. It needs an
        // overflow that refuses.
        parts.push(Part::Queue(
            DELAY_QUEUE,
            arguments(&[
                ("x-message-ttl", number(limits.delay)),
                ("x-dead-letter-exchange", text(WORK)),
                ("x-dead-letter-strategy", text("at-least-once")),
                ("x-overflow", text("reject-publish")),
            ]),
        ));
        parts.extend(Queue::ALL.map(|queue| Part::Binding {
            exchange: DELAY,
            queue: DELAY_QUEUE,
            key: queue.name(),
        }));
    }
    parts
}

fn work_arguments(queue: Queue, limits: Limits) -> FieldTable {
    let mut pairs = vec![
        ("x-dead-letter-exchange", text(DEAD)),
        ("x-overflow", text("reject-publish")),
    ];
    match queue {
        Queue::Stops | Queue::Requests => pairs.push(("x-delivery-limit", number(NEVER))),
        Queue::Bulk | Queue::Confirm => {
            pairs.push(("x-delivery-limit", number(HINT_DELIVERIES)));
            pairs.push(("x-max-length", number(limits.hints)));
        }
    }
    arguments(&pairs)
}

/// Every queue is a quorum queue: on disk at a confirm, and with a copy on each node of a cluster.
fn arguments(pairs: &[(&'static str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    for (name, value) in pairs {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

const fn number(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}

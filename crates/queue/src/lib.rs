//! Carries messages to and from RabbitMQ, and says at any moment whether it can.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `names` | the queues and exchanges, and what a message on each is called |
//! | `settings` | broker addresses as an operator writes them, checked |
//! | `tls` | the certificate authorities that a broker is checked against |
//! | `broker` | the way in: makes publishers and consumers |
//! | `link` | up, down or misdeclared, for whoever waits |
//! | `dial` | one attempt to connect, bounded in time, and a way to cut what came of it |
//! | `supervisor` | connects, reconnects, walks the addresses |
//! | `topology` | declares the queues, and tells a wrong one by name |
//! | `publisher`, `publishing` | the handle that publishes, and the connection behind it |
//! | `consumer`, `batch`, `consuming` | the handle that receives, what it gives, and the connection behind it |
//! | `metrics` | what an operator can see |
//!
//! A walk: a role makes one [`Broker`] of its settings and asks it for a [`Publisher`]. The future that
//! comes with it is the connection: `supervisor` dials, `topology` declares, `publishing` takes the
//! messages of [`Publisher::publish`], writes them, and answers once the broker has confirmed each.
//! On the other side `consuming` hands what the broker delivers to [`Consumer::next`] as a [`Batch`];
//! the caller commits to its database and only then says [`Batch::ack`].

mod batch;
mod broker;
mod consumer;
mod consuming;
mod dial;
mod link;
mod metrics;
mod names;
mod publisher;
mod publishing;
mod settings;
mod supervisor;
mod tls;
mod topology;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Received, Settled};
pub use broker::Broker;
pub use consumer::Consumer;
pub use link::Link;
pub use names::Queue;
pub use publisher::{Message, PublishError, Publisher};
pub use settings::{BrokerSettings, SettingsProblem};

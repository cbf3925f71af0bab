//! The relay: hints from the outbox to the broker's work queues.
//!
//! A hint is claimed for a while, published, and deleted once the broker has it. A relay that dies in
//! between leaves hints whose claim runs out: they are published again, and a hint twice is harmless.
//! Several relays share the outbox.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use queue::{Message, Publisher, Queue};
use service_runtime::Shutdown;
use store::{Outbox, OutboxRow, StoreError, Topic};
use tokio::time::Instant;

/// Hints of one claim.
pub(crate) const LIMIT: u16 = 1_000;
/// Longer than the broker may take for them.
const LEASE: Duration = Duration::from_secs(30);
/// How often an empty outbox is looked at: so long a hint waits at most.
const IDLE: Duration = Duration::from_millis(200);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often it is counted what waits.
const COUNT: Duration = Duration::from_secs(10);

/// Carries hints.
pub(crate) struct Relay {
    pub(crate) outbox: Outbox,
    pub(crate) publisher: Publisher,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Relay {
    /// Works until the process stops. Without a broker the hints wait, and nobody waits for them: the
    /// lanes look into the tables by themselves.
    pub(crate) async fn run(self, shutdown: &Shutdown) {
        metrics::describe_gauge!("letterbox_outbox_rows", "Hints that wait for the broker.");
        metrics::describe_gauge!(
            "letterbox_outbox_oldest_age_seconds",
            metrics::Unit::Seconds,
            "For how long the oldest hint has been waiting for the broker."
        );
        let mut link = self.publisher.link();
        let mut counted: Option<Instant> = None;
        while !shutdown.is_stopping() {
            if counted.is_none_or(|at| at.elapsed() >= COUNT) {
                counted = Some(Instant::now());
                self.count().await;
            }
            if !link.borrow_and_update().is_up() {
                tokio::select! {
                    _ = link.changed() => {}
                    () = tokio::time::sleep(COUNT) => {}
                    () = shutdown.token().cancelled() => {}
                }
                continue;
            }
            match self.step().await {
                Ok(Step::Idle) => crate::pause(IDLE, shutdown).await,
                Ok(Step::Carried) => {}
                Ok(Step::NotTaken) => crate::pause(AFTER_FAILURE, shutdown).await,
                Err(error) => {
                    if !error.is_temporary() {
                        tracing::error!(%error, "the outbox cannot be emptied");
                    }
                    crate::pause(AFTER_FAILURE, shutdown).await;
                }
            }
        }
    }

    /// Carries one claim's hints.
    pub(crate) async fn step(&self) -> Result<Step, StoreError> {
        let rows = self.outbox.claim(LIMIT, self.clock.now(), LEASE).await?;
        if rows.is_empty() {
            return Ok(Step::Idle);
        }
        let (chunks, mails): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.topic == Topic::Bulk);
        // Confirmations first: somebody waits for them.
        let mut step = Step::Carried;
        for (queue, rows) in [(Queue::Confirm, mails), (Queue::Bulk, chunks)] {
            if rows.is_empty() {
                continue;
            }
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            let messages = rows.into_iter().map(message).collect();
            if self.publisher.publish(queue, messages).await.is_ok() {
                #[cfg(feature = "failpoints")]
                fail::fail_point!("P3", |_| std::process::abort());
                self.outbox.done(&ids).await?;
            } else {
                step = Step::NotTaken;
                self.outbox.release(&ids).await?;
            }
        }
        Ok(step)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and need not be right to the last of 2^52 rows"
    )]
    async fn count(&self) {
        // without an answer the gauges stand still, as the outbox does
        if let Ok(backlog) = self.outbox.backlog(self.clock.now()).await {
            metrics::gauge!("letterbox_outbox_rows").set(backlog.rows as f64);
            metrics::gauge!("letterbox_outbox_oldest_age_seconds")
                .set(backlog.oldest_age.as_secs_f64());
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There was nothing.
    Idle,
    /// The broker has them.
    Carried,
    /// The broker did not confirm some: they were given back.
    NotTaken,
}

fn message(row: OutboxRow) -> Message {
    Message {
        message_id: format!("outbox:{}", row.id),
        body: row.body.into_bytes(),
    }
}

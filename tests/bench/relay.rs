//! The relay of `letterbox deliver`: hints read from the outbox, published, confirmed by RabbitMQ and
//! deleted, while the worker takes them from the queue again; beside a bare lapin publisher that sends as
//! many bytes to a quorum queue with a window of a thousand confirms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use serde_json::json;
use support::{BrokerNode, Roles, RolesPlan, Vhost};

use crate::table::{self, Sample, Side};
use crate::{ROUNDS, yard};

/// Hints of a round.
const HINTS: u32 = 20_000;
const WINDOW: usize = 1_000;
const PATIENCE: Duration = Duration::from_mins(2);
/// A relay for mail that nobody answers for.
const NO_RELAY: &str = "smtp://127.0.0.1:9";
/// What a hint says.
const HINT: &str = r#"{"v":1,"mail":1000000}"#;
/// Where the bare publisher publishes to.
const QUEUE: &str = "bare";

pub(crate) fn run() -> Result<()> {
    let node = BrokerNode::start()?;
    let vhost = Vhost::of(&node)?;
    let roles = Roles::start(RolesPlan {
        unsubscribes: 0,
        broker: Some(vhost.clone()),
        smtp: Some(NO_RELAY.to_owned()),
        postgres: yard::SETTINGS,
        log: "warn",
        ..RolesPlan::default()
    })?;
    vhost.declare_queue(QUEUE, &json!({ "x-queue-type": "quorum" }))?;
    let address = format!(
        "amqp://guest:guest@127.0.0.1:{}/{}",
        node.port(),
        vhost.name()
    );
    let mut bare = Side::new("lapin alone, window 1,000");
    let mut ours = Side::new("letterbox deliver, outbox to broker");
    for _ in 0..ROUNDS {
        bare.samples.push(Sample::rate(publish(&address)?));
        ours.samples.push(Sample::rate(carry(&roles, &vhost)?));
    }
    table::print("Hints a second", &[bare], &[(ours, Some(0.5))]);
    Ok(())
}

/// Hints a second of the relay, from their commit to an empty outbox.
fn carry(roles: &Roles, vhost: &Vhost) -> Result<f64> {
    roles.sql(&format!(
        "INSERT INTO outbox (topic, body, created_at)
         SELECT 2, '{HINT}', now() FROM generate_series(1, {HINTS})"
    ))?;
    let began = Instant::now();
    while roles.sql("SELECT EXISTS (SELECT FROM outbox)")? != "f" {
        ensure!(began.elapsed() < PATIENCE, "the outbox is never empty");
        std::thread::sleep(Duration::from_millis(10));
    }
    let time = began.elapsed();
    vhost.wait_for_depth("letterbox.confirm.v1", PATIENCE, 0)?;
    Ok(f64::from(HINTS) / time.as_secs_f64())
}

/// Messages a second of lapin alone.
fn publish(address: &str) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let connection = Connection::connect(address, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let began = Instant::now();
        let mut waiting = VecDeque::with_capacity(WINDOW);
        for _ in 0..HINTS {
            if waiting.len() == WINDOW
                && let Some(oldest) = waiting.pop_front()
            {
                confirmed(oldest).await?;
            }
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            let exchange = String::new().into();
            let published = channel
                .basic_publish(exchange, QUEUE.into(), options, HINT.as_bytes(), properties)
                .await?;
            waiting.push_back(published);
        }
        for last in waiting {
            confirmed(last).await?;
        }
        let time = began.elapsed();
        // Best effort: the process ends the connection anyway.
        let _ = connection.close(200, "done".into()).await;
        Ok(f64::from(HINTS) / time.as_secs_f64())
    })
}

async fn confirmed(published: impl Future<Output = lapin::Result<Confirmation>>) -> Result<()> {
    ensure!(published.await?.is_ack(), "the broker refused a message");
    Ok(())
}

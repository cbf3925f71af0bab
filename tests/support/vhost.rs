//! What an operator does at a broker by its management API: looks at queues, publishes, deletes,
//! declares, closes connections.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::broker_node::{AUTHORITY, Vhost};
use crate::{Answer, wait_until};

/// A message to publish.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Its body.
    pub body: Vec<u8>,
    /// Its `message_id`, if any.
    pub id: Option<String>,
    /// Its `type`, if any.
    pub kind: Option<&'static str>,
}

impl Vhost {
    fn api(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer =
            self.node()
                .web()
                .send(method, &format!("/api/{path}"), &AUTHORITY, body.as_bytes())?;
        ensure!(
            (200..300).contains(&answer.status) || answer.status == 404,
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        Ok(answer)
    }

    /// What the broker says about a queue; none if it is not there.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn queue(&self, queue: &str) -> Result<Option<Value>> {
        let answer = self.api(
            "GET",
            &format!("queues/{}/{queue}", self.name()),
            &Value::Null,
        )?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.json().map(Some)
    }

    /// Messages in a queue, ready or with a consumer; at most half a second old.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn depth(&self, queue: &str) -> Result<u64> {
        let found = self.queue(queue)?;
        Ok(found
            .and_then(|queue| queue["messages"].as_u64())
            .unwrap_or_default())
    }

    /// Waits until a queue holds so many messages.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_for_depth(&self, queue: &str, deadline: Duration, depth: u64) -> Result<()> {
        let mut last = None;
        wait_until("the queue to have that length", deadline, || {
            last = self.queue(queue).ok().flatten();
            Ok(last.as_ref().and_then(|queue| queue["messages"].as_u64()) == Some(depth))
        })
        .with_context(|| format!("{queue} should hold {depth}: {last:?}"))
    }

    /// Consumers of a queue.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn consumers(&self, queue: &str) -> Result<u64> {
        let found = self.queue(queue)?;
        Ok(found
            .and_then(|queue| queue["consumers"].as_u64())
            .unwrap_or_default())
    }

    /// Publishes to a queue, by the default exchange.
    ///
    /// # Errors
    /// The broker did not take it, or no such queue is there.
    pub fn publish(&self, queue: &str, message: &Message) -> Result<()> {
        let mut properties = json!({ "delivery_mode": 2 });
        if let Some(id) = &message.id {
            properties["message_id"] = json!(id);
        }
        if let Some(kind) = message.kind {
            properties["type"] = json!(kind);
        }
        let request = json!({
            "properties": properties,
            "routing_key": queue,
            "payload": BASE64.encode(&message.body),
            "payload_encoding": "base64",
        });
        let path = format!("exchanges/{}/amq.default/publish", self.name());
        let answer = self.api("POST", &path, &request)?;
        ensure!(
            answer.json()?["routed"] == json!(true),
            "{queue} did not take it: {}",
            answer.body
        );
        Ok(())
    }

    /// Looks at messages of a queue and leaves them there.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn look(&self, queue: &str, at_most: u32) -> Result<Vec<Vec<u8>>> {
        let request = json!({
            "count": at_most, "ackmode": "ack_requeue_true", "encoding": "base64",
        });
        let path = format!("queues/{}/{queue}/get", self.name());
        let answer = self.api("POST", &path, &request)?.json()?;
        answer
            .as_array()
            .into_iter()
            .flatten()
            .map(|message| {
                let text = message["payload"].as_str().context("no payload")?;
                Ok(BASE64.decode(text.as_bytes())?)
            })
            .collect()
    }

    /// Deletes a queue, full or not.
    ///
    /// # Errors
    /// The broker refuses.
    pub fn delete_queue(&self, queue: &str) -> Result<()> {
        let answer = self.api(
            "DELETE",
            &format!("queues/{}/{queue}", self.name()),
            &Value::Null,
        )?;
        ensure!(answer.status != 404, "there is no {queue}");
        Ok(())
    }

    /// Declares a durable queue with these arguments.
    ///
    /// # Errors
    /// The broker refuses.
    pub fn declare_queue(&self, queue: &str, arguments: &Value) -> Result<()> {
        let request = json!({ "durable": true, "auto_delete": false, "arguments": arguments });
        self.api("PUT", &format!("queues/{}/{queue}", self.name()), &request)?;
        Ok(())
    }

    /// Names and blocked states of the connections to this vhost.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn connections(&self) -> Result<Vec<Value>> {
        let path = format!("vhosts/{}/connections", self.name());
        let answer = self.api("GET", &path, &Value::Null)?.json()?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }
}

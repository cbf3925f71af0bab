//! What follows from mail that came back: judged a moment after the result is written down, and where
//! mail to somebody is in vain, a stop in the inbox that the registrar applies like an unsubscribe
//! (`privacy.md` EML-44).

use std::sync::Arc;

use domain::{Bounce, BounceRule, Clock, Entropy, EventId, Request, SpoolId, Timestamp, WorkerId};
use service_runtime::Shutdown;
use spool::record;
use store::{BounceRequest, BounceTable, BouncedOut, StoreError};

/// Judges bounces.
pub(crate) struct Bounces {
    pub(crate) table: BounceTable,
    pub(crate) worker: WorkerId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Bounces {
    /// Judges all that came back since the last time. Returns how many subscriptions end by it.
    pub(crate) async fn judge(&self, shutdown: &Shutdown) -> Result<u64, StoreError> {
        let issues = self.table.issues().await?;
        left_alone(issues.left_alone.len());
        for issue in &issues.left_alone {
            tracing::warn!(
                issue = issue.0,
                "so much of it came back that the relay may be at fault: nobody is unsubscribed for it, \
                 unless it is held and an operator resumes it"
            );
        }
        if issues.to_judge.is_empty() {
            return Ok(0);
        }
        let request = |end: &BouncedOut, seq: u64| self.request(end, seq);
        let mut number = 0;
        loop {
            let now = self.clock.now();
            let (ended, is_full) = self
                .table
                .judge(self.worker, &issues.to_judge, now, &request)
                .await?;
            for end in &ended {
                count(end.rule, 1);
                tracing::info!(
                    issue = end.issue.0,
                    rule = end.rule.label(),
                    "mail to a subscription is in vain: it ends"
                );
            }
            number += ended.len() as u64;
            if !is_full || shutdown.is_stopping() {
                return Ok(number);
            }
        }
    }

    /// Forgets what no rule looks at any more.
    pub(crate) async fn forget(&self, now: Timestamp) -> Result<(), StoreError> {
        let forgotten = self.table.forget(now).await?;
        metrics::counter!("letterbox_purged_total", "what" => "bounces").increment(forgotten);
        Ok(())
    }

    /// The request that ends a subscription, under the worker's id as its spool's.
    fn request(&self, end: &BouncedOut, seq: u64) -> BounceRequest {
        let decision_id = EventId::new(self.entropy.sixteen());
        let request = Request::Bounce(Bounce {
            subscription_id: end.subscription_id,
            issue: end.issue,
            decision_id,
        });
        let event_id = EventId::new(self.entropy.sixteen());
        let body = record::encode_body(seq, event_id, end.at, &request);
        BounceRequest {
            decision_id,
            envelope: record::envelope(&body, SpoolId::new(*self.worker.as_bytes())),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and this number is small"
)]
fn left_alone(issues: usize) {
    metrics::gauge!("letterbox_bounced_issues_left_alone").set(issues as f64);
}

/// Every rule has a value from the start, so that an increase can be seen.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "letterbox_bounce_stops_total",
        "Subscriptions that ended because mail to them is in vain, by rule."
    );
    metrics::describe_gauge!(
        "letterbox_bounced_issues_left_alone",
        "Issues of which so much came back that nobody is unsubscribed for it."
    );
    for rule in BounceRule::ALL {
        count(rule, 0);
    }
}

fn count(rule: BounceRule, number: u64) {
    metrics::counter!("letterbox_bounce_stops_total", "rule" => rule.label()).increment(number);
}

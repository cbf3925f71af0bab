//! Looks after the fact whether a mail went to somebody who had left when it was sent: what claims, last
//! looks and the barrier are for, measured where none of them is asked (P5).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, Timestamp};
use service_runtime::Shutdown;
use store::{MailAfterStop, STOP_EFFECT_LIMIT, SentMail};
use tokio::time::Instant;

/// So long after a mail is asked who had left: a stop that was being applied is committed by then.
const AFTER: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_secs(1);
const FORGET: Duration = Duration::from_hours(1);
/// Mails of one question.
const AT_ONCE: usize = 5_000;
/// More than a worker sends while the database is away: it stops sending within seconds.
const MOST: usize = 200_000;

/// Mails that went out to their end and were not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct AfterStop(Mutex<VecDeque<SentMail>>);

impl AfterStop {
    /// A mail went out.
    pub(crate) fn sent(&self, mail: SentMail) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST {
            waiting.pop_front();
            metrics::counter!("letterbox_mail_after_unsubscribe_unchecked_total").increment(1);
        }
        waiting.push_back(mail);
    }

    /// Looks until the process stops.
    pub(crate) async fn run(&self, table: &MailAfterStop, clock: &dyn Clock, shutdown: &Shutdown) {
        describe();
        let mut forgotten_at: Option<Instant> = None;
        while !shutdown.is_stopping() {
            self.check(table, clock.now().minus(AFTER)).await;
            if forgotten_at.is_none_or(|last| last.elapsed() >= FORGET)
                && table.forget(clock.now()).await.is_ok()
            {
                forgotten_at = Some(Instant::now());
            }
            crate::pause(EVERY, shutdown).await;
        }
    }

    /// Looks at every mail that was sent before this moment.
    pub(crate) async fn check(&self, table: &MailAfterStop, before: Timestamp) {
        loop {
            let batch = self.take(before);
            if batch.is_empty() {
                return;
            }
            match table.note(&batch).await {
                Ok(late) => count(&late),
                Err(error) => {
                    if !error.is_temporary() {
                        tracing::error!(%error, "nobody can say whether mail went to people who had left");
                    }
                    self.put_back(batch);
                    return;
                }
            }
        }
    }

    fn take(&self, before: Timestamp) -> Vec<SentMail> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = waiting
            .iter()
            .take(AT_ONCE)
            .take_while(|mail| mail.data_at <= before)
            .count();
        waiting.drain(..due).collect()
    }

    fn put_back(&self, batch: Vec<SentMail>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for mail in batch.into_iter().rev() {
            waiting.push_front(mail);
        }
    }
}

fn describe() {
    metrics::describe_counter!(
        "letterbox_mail_after_unsubscribe_total",
        "Mails of issues whose DATA went out later than 2 s after their recipient's stop was applied: 0 for ever"
    );
    metrics::describe_histogram!(
        "letterbox_mail_after_unsubscribe_seconds",
        metrics::Unit::Seconds,
        "Time from the stop to DATA of those mails that crossed a stop"
    );
    metrics::describe_counter!(
        "letterbox_mail_after_unsubscribe_unchecked_total",
        "Mails that nobody looked at afterwards, because the database was away for too long"
    );
    metrics::counter!("letterbox_mail_after_unsubscribe_total").increment(0);
}

fn count(late: &[Duration]) {
    for time in late {
        metrics::histogram!("letterbox_mail_after_unsubscribe_seconds").record(time.as_secs_f64());
    }
    let broken = late
        .iter()
        .filter(|time| **time > STOP_EFFECT_LIMIT)
        .count();
    if broken > 0 {
        metrics::counter!("letterbox_mail_after_unsubscribe_total").increment(broken as u64);
        tracing::error!(
            mails = broken,
            "mail went to people who had left more than two seconds before: `letterbox ledger audit` lists it"
        );
    }
}

//! One message to one recipient: the same steps for an issue and for a confirmation.
//!
//! `MAIL FROM`, `RCPT TO`, a look from memory, `DATA`, the text, another look, the journal, the dot.
//! What happens before the dot can be cut at any time; after it the reply is waited for, however long
//! it takes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{DeliveryState, MailKind, Outcome, Reply, Timestamp, decide};
use mail::Envelope;
use service_runtime::Shutdown;
use store::{AttemptResult, Barrier, SentMail};
use tokio::time::Instant;

use super::Sender;
use super::line::Line;
use super::prepare::Ready;
use crate::boot_clock::Moment;
use crate::journal::Attempt;

/// What a message that is being handed over may still take when the process is to stop.
const CUT_AFTER: Duration = Duration::from_secs(5);

/// Nobody is mailed on reasons that were read before this; they are read again before `MAIL`.
const LOOK_LASTS: Duration = Duration::from_secs(2);

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// There is a result for the database; the journal has it.
    Settled(AttemptResult),
    /// No connection: nobody was tried.
    RelayAway,
    /// We closed the connection before the dot: nothing was sent, and the row goes back.
    Cut(Cut),
}

/// Why we cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The person left in the meantime or the issue was stopped, or nobody can say.
    Stop,
    /// The reasons to mail them are old: the connection was long in coming. It stands now.
    Old,
    /// An unsubscribe may wait unapplied.
    Barrier,
    /// No heartbeat, or the database went back.
    Fence,
    /// The issue's deadline passed.
    Deadline,
    /// The journal does not take the record.
    Journal,
    /// The process stops.
    Stopping,
}

/// Sends one message. `looked_at` is when the row's reasons were last read from the database.
pub(super) async fn send(
    sender: &Sender,
    line: &mut Line,
    ready: &Ready,
    looked_at: Moment,
    shutdown: &Shutdown,
) -> Sent {
    loop {
        match try_once(sender, line, ready, looked_at, shutdown).await {
            // closed by the peer between two messages, most likely: a fresh connection tells
            Tried::Ended(Outcome::NotSent(_)) if line.is_used() => line.cut(),
            Tried::Ended(outcome) => return Sent::Settled(settle(sender, ready, &outcome)),
            Tried::RelayAway => return Sent::RelayAway,
            Tried::Cut(why) => return Sent::Cut(why),
        }
    }
}

enum Tried {
    Ended(Outcome),
    RelayAway,
    Cut(Cut),
}

async fn try_once(
    sender: &Sender,
    line: &mut Line,
    ready: &Ready,
    looked_at: Moment,
    shutdown: &Shutdown,
) -> Tried {
    let Some(connection) = line.open(sender, ready.kind).await else {
        return Tried::RelayAway;
    };
    if sender.boot_clock.now().since(looked_at) > LOOK_LASTS {
        line.not_begun();
        return Tried::Cut(Cut::Old);
    }
    let envelope = Envelope {
        return_path: &ready.return_path,
        recipient: &ready.address,
    };
    let dotted = AtomicBool::new(false);
    let cut = OnceLock::new();
    let unless_cut = |look: Result<(), Cut>| match look {
        Ok(()) => true,
        Err(why) => {
            cut.get_or_init(|| why);
            false
        }
    };
    let data_at = OnceLock::new();
    let before_data = || {
        let go = unless_cut(may_go_on(sender, ready, looked_at));
        data_at.get_or_init(|| sender.clock.now());
        go
    };
    let before_dot = || {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P7", |_| std::process::abort());
        let go =
            unless_cut(may_go_on(sender, ready, looked_at).and_then(|()| write_dot(sender, ready)));
        dotted.store(go, Ordering::SeqCst);
        if let (true, Some(data_at)) = (go, data_at.get()) {
            note_sent(sender, ready, *data_at);
        }
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P8", |_| std::process::abort());
        go
    };
    let outcome = {
        let sending =
            connection.send_unless_stopped(&envelope, &ready.text, before_data, before_dot);
        tokio::pin!(sending);
        tokio::select! {
            biased;
            outcome = &mut sending => Some(outcome),
            () = time_to_cut(shutdown) => {
                if dotted.load(Ordering::SeqCst) {
                    Some(sending.await)
                } else {
                    None
                }
            }
        }
    };
    let Some(outcome) = outcome else {
        line.cut();
        return Tried::Cut(Cut::Stopping);
    };
    if let Some(why) = cut.get() {
        return Tried::Cut(*why);
    }
    Tried::Ended(outcome)
}

/// Whether `DATA`, and then the dot, may go out: asked from memory in the last moment before each,
/// however long the relay took until then.
fn may_go_on(sender: &Sender, ready: &Ready, looked_at: Moment) -> Result<(), Cut> {
    if !sender.fence.open_since(looked_at) {
        return Err(Cut::Fence);
    }
    if sender.clock.now() >= ready.deadline {
        return Err(Cut::Deadline);
    }
    if sender.has_news(ready.subscription, looked_at) {
        return Err(Cut::Stop);
    }
    let Attempt::Delivery(key) = ready.attempt else {
        return Ok(());
    };
    if sender.lookout.is_stopped(key.issue) || !sender.route.issue_may_go(key.issue) {
        return Err(Cut::Stop);
    }
    if sender.lookout.bulk() != Barrier::Open {
        return Err(Cut::Barrier);
    }
    Ok(())
}

/// Has it looked at afterwards whether the recipient had left by then.
fn note_sent(sender: &Sender, ready: &Ready, data_at: Timestamp) {
    if let (Attempt::Delivery(key), Some(subscription)) = (ready.attempt, ready.subscription) {
        sender.after_stop.sent(SentMail {
            issue: key.issue,
            subscription,
            data_at,
        });
    }
}

/// Writes down that the dot goes out; only then may it.
fn write_dot(sender: &Sender, ready: &Ready) -> Result<(), Cut> {
    sender
        .journal
        .dot(ready.attempt, ready.subject, sender.clock.now())
        .map_err(|error| {
            tracing::error!(%error, "nothing is sent that cannot be written down first");
            Cut::Journal
        })
}

async fn time_to_cut(shutdown: &Shutdown) {
    shutdown.token().cancelled().await;
    tokio::time::sleep(CUT_AFTER).await;
}

/// Turns an outcome into a result and writes it into the journal. An outcome in doubt is not
/// written: the dot alone says it, and a restart looks for evidence. Nor is one that does not count:
/// without a record it is queued again all the same.
fn settle(sender: &Sender, ready: &Ready, outcome: &Outcome) -> AttemptResult {
    let now = sender.clock.now();
    let decision = decide(
        outcome,
        ready.attempts_before,
        now,
        ready.deadline,
        jitter(sender),
    );
    sender.route.told(ready.kind, outcome, Instant::now());
    if let Attempt::Delivery(key) = &ready.attempt {
        sender.route.told_of_issue(key.issue, outcome);
    }
    #[cfg(feature = "failpoints")]
    fail::fail_point!("P10", |_| std::process::abort());
    if ready.kind == MailKind::Issue && decision.state == DeliveryState::Accepted {
        metrics::histogram!("letterbox_issue_accepted_seconds")
            .record(now.since(ready.created_at).as_secs_f64());
    }
    let reply = reply_of(outcome);
    let result = AttemptResult {
        state: decision.state,
        code: reply.map(|reply| reply.code),
        enhanced: reply.and_then(|reply| reply.enhanced),
        not_before: decision.not_before,
        counts: decision.counts,
    };
    if result.state != DeliveryState::InDoubt
        && result.counts
        && let Err(error) = sender
            .journal
            .result(ready.attempt, ready.subject, result, now)
    {
        // the database gets the result in a moment; only a crash before that leaves a doubt
        tracing::error!(%error, "a result is not in the journal");
    }
    result
}

fn reply_of(outcome: &Outcome) -> Option<Reply> {
    match outcome {
        Outcome::Deferred(reply) | Outcome::Rejected(reply) => Some(*reply),
        Outcome::Accepted => Some(Reply {
            code: 250,
            enhanced: None,
        }),
        Outcome::NotSent(_) | Outcome::InDoubt | Outcome::CannotDeliver(_) => None,
    }
}

/// 0.0 to 1.0, so that what was deferred together does not come back together.
fn jitter(sender: &Sender) -> f64 {
    let mut bytes = [0; 2];
    sender.entropy.fill(&mut bytes);
    f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
}

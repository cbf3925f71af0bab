//! F36 of `reliability.md` 8.2: whatever a relay does to the order and the form of its replies, what
//! the client takes for the verdict on a message is the relay's verdict on that message.

use std::collections::HashMap;

use domain::{EmailAddress, Outcome};
use mail::{Connection, Envelope, SmtpSettings, Transport, WireText};

use crate::desync_relay::{Verdict, start};

const MESSAGES: u32 = 10_000;

/// What the client makes of a message.
#[derive(Debug)]
enum Heard {
    Ended(Outcome),
    /// The relay kept silent, and the future was dropped.
    Cancelled,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verdict_is_the_relays() {
    let (port, ledger, mut silences) = start();
    // The usual patience: a timeout here would be the machine's fault and not the relay's.
    let settings = SmtpSettings::parse(&format!("smtp://127.0.0.1:{port}"), None).unwrap();
    let transport = Transport::smtp(settings).unwrap();
    let mut connection: Option<Connection> = None;
    let mut heard = Vec::new();
    for number in 0..MESSAGES {
        let mut open = match connection.take() {
            Some(open) if open.may_take_more() => open,
            Some(open) => {
                open.close().await;
                transport.connect().await.unwrap()
            }
            None => transport.connect().await.unwrap(),
        };
        let address = EmailAddress::parse(&format!("m{number}@example.org")).unwrap();
        let envelope = Envelope {
            return_path: "b-abc@bounces.example.gov.uk",
            recipient: &address,
        };
        let text = WireText::new(format!("m{number}@\r\n\r\n.a\r\n").into());
        let ended = tokio::select! {
            biased;
            outcome = open.send(&envelope, &text, || true) => Heard::Ended(outcome),
            Some(()) = silences.recv() => Heard::Cancelled,
        };
        if matches!(ended, Heard::Cancelled) {
            assert!(!open.is_usable(), "a connection in doubt may be used again");
        }
        connection = Some(open);
        heard.push((number, ended));
    }
    drop(connection);
    let ledger = ledger.lock().unwrap();
    let mut kinds = HashMap::<_, u32>::new();
    for (number, heard) in &heard {
        let verdict = ledger.get(number).copied();
        assert!(agree(heard, verdict), "{number}: {heard:?}, {verdict:?}");
        *kinds.entry(format!("{verdict:?}")).or_default() += 1;
    }
    // The dice must have shown every side.
    assert!(kinds.len() >= 9, "{kinds:?}");
    assert!(ledger.keys().all(|number| *number < MESSAGES));
}

fn agree(heard: &Heard, verdict: Option<Verdict>) -> bool {
    use Outcome::{Accepted, Deferred, InDoubt, NotSent, Rejected};
    let outcome = match heard {
        // What it would have said is not known to either side.
        Heard::Cancelled => {
            return matches!(verdict, None | Some(Verdict::Unfinished | Verdict::Unsaid));
        }
        Heard::Ended(outcome) => outcome,
    };
    match (outcome, verdict) {
        (Accepted, Some(Verdict::Accepted))
        | (InDoubt, Some(Verdict::Unsaid))
        | (
            NotSent(_),
            None | Some(Verdict::Unfinished | Verdict::Leaving | Verdict::RefusedAdrift(_)),
        ) => true,
        (Deferred(reply), Some(Verdict::Leaving)) => reply.code == 421,
        // In lock-step a refused sender ends a message before the relay learns its number.
        (Deferred(reply), None) => reply.code == 451,
        (
            Deferred(reply) | Rejected(reply),
            Some(Verdict::Refused(code) | Verdict::RefusedAdrift(code)),
        ) => reply.code == code && (code < 500) == matches!(outcome, Deferred(_)),
        _ => false,
    }
}

//! Our client against a relay that does what relays should not (`reliability.md` F34 to F36).

use std::sync::Arc;
use std::time::Duration;

use domain::{EmailAddress, Outcome, Reply};
use mail::{Connection, Envelope, SmtpSettings, Transport, WireText};

use crate::server::{Act, Relay, Step, say, usual};
use crate::together::usual_together;

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.dot\r\nlast\r\n";
const ON_THE_WIRE: &[u8] = b"Subject: x\r\n\r\n..dot\r\nlast\r\n.\r\n";

pub(crate) fn transport(relay: &Relay) -> Transport {
    let mut settings =
        SmtpSettings::parse(&format!("smtp://127.0.0.1:{}", relay.port), None).unwrap();
    let short = Duration::from_millis(300);
    settings.patience.banner = short;
    settings.patience.command = short;
    settings.patience.reset = short;
    settings.patience.after_dot = short;
    Transport::smtp(settings).unwrap()
}

pub(crate) fn text() -> WireText {
    WireText::new(MESSAGE.to_vec())
}

pub(crate) fn resident() -> EmailAddress {
    EmailAddress::parse("resident@example.org").unwrap()
}

async fn send(connection: &mut Connection) -> Outcome {
    send_unless(connection, || true).await
}

async fn send_unless(
    connection: &mut Connection,
    before_dot: impl FnOnce() -> bool + Send,
) -> Outcome {
    let envelope = Envelope {
        return_path: "b-abc@bounces.example.gov.uk",
        recipient: &resident(),
    };
    connection.send(&envelope, &text(), before_dot).await
}

pub(crate) async fn connect_and_send(relay: &Relay) -> (Outcome, bool) {
    match transport(relay).connect().await {
        Ok(mut connection) => {
            let outcome = send(&mut connection).await;
            (outcome, connection.is_usable())
        }
        Err(outcome) => (outcome, false),
    }
}

fn refusal(code: u16, enhanced: [u8; 3]) -> Reply {
    Reply {
        code,
        enhanced: Some(enhanced),
    }
}

#[tokio::test]
async fn two_messages_go_in_lock_step_over_one_connection() {
    let relay = Relay::start(usual);
    let mut connection = transport(&relay).connect().await.unwrap();
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
    assert!(connection.is_usable());
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
    connection.close().await;
    let one = [
        "MAIL FROM:<b-abc@bounces.example.gov.uk>",
        "RCPT TO:<resident@example.org>",
        "DATA",
        ".",
    ];
    let mut expected = vec!["EHLO localhost"];
    expected.extend(one);
    expected.push("RSET");
    expected.extend(one);
    expected.push("QUIT");
    assert_eq!(relay.commands(), expected);
    assert_eq!(relay.messages(), [ON_THE_WIRE, ON_THE_WIRE]);
}

/// What a stage makes of a relay's misbehaviour: the outcome, whether the connection lives, and how
/// many dots the relay saw.
#[tokio::test]
async fn each_stage_knows_what_a_fault_means() {
    use Outcome::{Deferred, InDoubt, NotSent, Rejected};
    let lost = |act: Act, step: Step, label: &'static str| (step, act, NotSent(label), false, 0);
    let mut cases = vec![];
    for (step, label) in [
        (Step::Connected, "banner"),
        (Step::Ehlo, "ehlo"),
        (Step::Mail, "mail"),
        (Step::Rcpt, "rcpt"),
        (Step::Data, "data"),
    ] {
        for act in [
            Act::Close,
            Act::Silence,
            say("what?"),
            say("250-a\r\n251 b"),
        ] {
            cases.push(lost(act, step, label));
        }
    }
    for (step, label) in [(Step::Connected, "banner"), (Step::Ehlo, "ehlo")] {
        for text in [
            "421 4.3.2 busy",
            "451 4.3.0 later",
            "554 5.7.1 no",
            "221 bye",
        ] {
            cases.push(lost(say(text), step, label));
        }
    }
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        let dots = usize::from(step == Step::Dot);
        let busy = Deferred(refusal(421, [4, 3, 2]));
        cases.push((
            step,
            Act::SayAndClose("421 4.3.2 busy".into()),
            busy.clone(),
            false,
            dots,
        ));
        cases.push((step, say("421 4.3.2 busy"), busy, false, dots));
        let later = Deferred(refusal(450, [4, 2, 1]));
        cases.push((step, say("450 4.2.1 later"), later, true, dots));
        let outcome = match step {
            Step::Mail => NotSent(domain::SENDER_REFUSED),
            _ => Rejected(refusal(550, [5, 1, 1])),
        };
        cases.push((
            step,
            say("550 5.1.1 <resident@example.org> unknown"),
            outcome,
            step != Step::Mail,
            dots,
        ));
    }
    for act in [
        Act::Close,
        Act::Silence,
        say("what?"),
        say("221 bye"),
        say("354 again"),
    ] {
        cases.push((Step::Dot, act, InDoubt, false, 1));
    }
    for is_together in [false, true] {
        let answers = if is_together { usual_together } else { usual };
        for (step, act, outcome, is_usable, dots) in &cases {
            // What comes after a refusal differs: `together` has that.
            let is_refusal = matches!(outcome, Deferred(_) | Rejected(_)) && *step != Step::Dot;
            if is_refusal && is_together {
                continue;
            }
            let (wrong, act_again) = (*step, act.clone());
            let relay = Relay::start(move |step| {
                if step == wrong {
                    act_again.clone()
                } else {
                    answers(step)
                }
            });
            let seen = connect_and_send(&relay).await;
            assert_eq!(seen, (outcome.clone(), *is_usable), "{step:?} {act:?}");
            assert_eq!(relay.messages().len(), *dots, "{step:?} {act:?}");
        }
    }
}

#[tokio::test]
async fn a_relay_that_speaks_unasked_gets_no_dot() {
    // The 354 and the farewell come in one segment, so both are there before the text goes out.
    let relay = Relay::start(|step| match step {
        Step::Data => say("354 go on\r\n421 4.3.2 going down"),
        step => usual(step),
    });
    let mut connection = transport(&relay).connect().await.unwrap();
    let outcome = send_unless(&mut connection, || panic!("there must be no last look")).await;
    assert_eq!(outcome, Outcome::NotSent("body"));
    assert!(!connection.is_usable());
    relay.wait_for("closed", 1);
    assert!(relay.messages().is_empty());
}

#[tokio::test]
async fn a_relay_that_goes_within_the_text_has_no_message() {
    let relay = Relay::start(|step| match step {
        Step::Body => Act::Close,
        step => usual(step),
    });
    let mut connection = transport(&relay).connect().await.unwrap();
    let envelope = Envelope {
        return_path: "b-abc@bounces.example.gov.uk",
        recipient: &resident(),
    };
    // More than all buffers between the two hold.
    let text = WireText::new(b"a line that is quite long\r\n".repeat(1 << 20));
    let outcome = connection
        .send(&envelope, &text, || panic!("there must be no last look"))
        .await;
    assert_eq!(outcome, Outcome::NotSent("body"));
    assert!(!connection.is_usable());
    assert!(relay.messages().is_empty());
}

#[tokio::test]
async fn nothing_listens() {
    let mut settings = SmtpSettings::parse("smtp://127.0.0.1:1", None).unwrap();
    settings.patience.connect = Duration::from_millis(500);
    let refused = Transport::smtp(settings).unwrap().connect().await;
    assert_eq!(refused.err(), Some(Outcome::NotSent("connect")));
}

#[tokio::test]
async fn the_last_look_can_stop_a_message_without_the_dot() {
    let relay = Relay::start(usual);
    let mut connection = transport(&relay).connect().await.unwrap();
    let outcome = send_unless(&mut connection, || false).await;
    assert_eq!(outcome, Outcome::NotSent("stopped"));
    assert!(!connection.is_usable());
    relay.wait_for("closed", 1);
    assert!(relay.messages().is_empty());
}

#[tokio::test]
async fn the_last_look_comes_after_the_text_and_before_the_dot() {
    let relay = Arc::new(Relay::start(usual));
    let mut connection = transport(&relay).connect().await.unwrap();
    let looker = Arc::clone(&relay);
    let outcome = send_unless(&mut connection, move || {
        looker.wait_for("DATA", 1);
        looker.messages().is_empty()
    })
    .await;
    assert_eq!(outcome, Outcome::Accepted);
    assert_eq!(relay.messages().len(), 1);
}

#[tokio::test]
async fn a_dropped_future_closes_the_connection() {
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        let relay = Relay::start(move |now| {
            if now == step {
                Act::Silence
            } else {
                usual(now)
            }
        });
        let settings =
            SmtpSettings::parse(&format!("smtp://127.0.0.1:{}", relay.port), None).unwrap();
        let mut connection = Transport::smtp(settings).unwrap().connect().await.unwrap();
        let command = match step {
            Step::Mail => "MAIL FROM:<b-abc@bounces.example.gov.uk>",
            Step::Rcpt => "RCPT TO:<resident@example.org>",
            Step::Data => "DATA",
            _ => ".",
        };
        let relay = Arc::new(relay);
        let waiting = Arc::clone(&relay);
        let seen = tokio::task::spawn_blocking(move || waiting.wait_for(command, 1));
        // The future of the losing branch is dropped, and the relay sees it.
        tokio::select! {
            outcome = send(&mut connection) => panic!("{step:?}: {outcome:?}"),
            seen = seen => seen.unwrap(),
        }
        relay.wait_for("closed", 1);
        assert!(!connection.is_usable(), "{step:?}");
        assert_eq!(send(&mut connection).await, Outcome::NotSent("closed"));
    }
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_costs_nothing() {
    for farewell in [Some("421 4.4.2 idle"), Some("221 bye"), None] {
        let relay = Relay::start(move |step| match (step, farewell) {
            (Step::Dot, Some(text)) => Act::SayAndClose(format!("250 2.0.0 taken\r\n{text}")),
            (Step::Dot, None) => Act::SayAndClose("250 2.0.0 taken".into()),
            (step, _) => usual(step),
        });
        let transport = transport(&relay);
        let mut connection = transport.connect().await.unwrap();
        assert_eq!(send(&mut connection).await, Outcome::Accepted);
        if connection.is_usable() {
            assert_eq!(send(&mut connection).await, Outcome::NotSent("reset"));
        }
        assert!(!connection.is_usable());
        let mut fresh = transport.connect().await.unwrap();
        assert_eq!(send(&mut fresh).await, Outcome::Accepted);
        assert_eq!(relay.messages().len(), 2);
    }
}

#[tokio::test]
async fn a_late_reply_is_never_taken_for_the_next() {
    // RCPT is answered after the patience, by an answer that DATA would mistake for its own.
    let relay = Relay::start(|step| match step {
        Step::Rcpt => Act::Silence,
        step => usual(step),
    });
    let (outcome, is_usable) = connect_and_send(&relay).await;
    assert_eq!((outcome, is_usable), (Outcome::NotSent("rcpt"), false));
    relay.wait_for("closed", 1);
    assert!(relay.messages().is_empty());
}

//! Commands in one write, to a relay that takes them so (RFC 2920).

use domain::{Outcome, Reply};
use mail::{Connection, Envelope};

use crate::faults::{resident, text, transport};
use crate::server::{Act, Relay, Step, say, usual};

/// As [`usual`], of a relay that offers it.
pub(crate) fn usual_together(step: Step) -> Act {
    match step {
        Step::Ehlo => say("250-relay.example\r\n250 PIPELINING"),
        step => usual(step),
    }
}

async fn send_unless(
    connection: &mut Connection,
    before_data: impl FnOnce() -> bool + Send,
    before_dot: impl FnOnce() -> bool + Send,
) -> Outcome {
    let envelope = Envelope {
        return_path: "b-abc@bounces.example.gov.uk",
        recipient: &resident(),
    };
    connection
        .send_unless_stopped(&envelope, &text(), before_data, before_dot)
        .await
}

async fn send(connection: &mut Connection) -> Outcome {
    send_unless(connection, || true, || true).await
}

#[tokio::test]
async fn the_relay_has_all_commands_before_it_answers_one() {
    let relay = Relay::start(|step| match step {
        Step::Rset | Step::Mail | Step::Rcpt => say(""),
        Step::Data => say("250 2.1.0 ok\r\n250-2.1.5\r\n250 2.1.5 ok\r\n354 go on"),
        step => usual_together(step),
    });
    let mut connection = transport(&relay).connect().await.unwrap();
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
    assert!(connection.is_usable());

    let relay = Relay::start(|step| match step {
        Step::Rset | Step::Mail | Step::Rcpt => say(""),
        Step::Data => say("250 2.0.0 reset\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on"),
        step => usual_together(step),
    });
    let mut connection = transport(&relay).connect().await.unwrap();
    // No RSET yet, and so a reply too many.
    assert_eq!(send(&mut connection).await, Outcome::NotSent("data"));
    assert!(!connection.is_usable());
    assert!(relay.messages().is_empty());
}

#[tokio::test]
async fn a_second_message_begins_with_a_reset() {
    let relay = Relay::start(usual_together);
    let mut connection = transport(&relay).connect().await.unwrap();
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
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
    assert_eq!(relay.commands(), expected);
}

#[tokio::test]
async fn the_first_look_comes_before_anything_is_said() {
    let relay = Relay::start(usual_together);
    let mut connection = transport(&relay).connect().await.unwrap();
    let outcome = send_unless(&mut connection, || false, || panic!("there is no dot")).await;
    assert_eq!(outcome, Outcome::NotSent("stopped"));
    assert_eq!(relay.commands(), ["EHLO localhost"]);
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
}

/// What follows the refusal of a message whose `DATA` is already on its way.
#[tokio::test]
async fn a_refusal_is_the_verdict_whatever_comes_after_it() {
    let reply = |code, enhanced| Reply {
        code,
        enhanced: Some(enhanced),
    };
    let unknown = || Outcome::Rejected(reply(550, [5, 1, 1]));
    let later = || Outcome::Deferred(reply(451, [4, 3, 0]));
    let (refuse, defer) = (say("550 5.1.1 unknown"), say("451 4.3.0 later"));
    let ok = || say("250 2.1.0 ok");
    let no = || say("503 5.5.1 no recipient");
    let (go, bye) = (|| say("354 go on"), || say("421 4.3.2 bye"));
    // MAIL, RCPT, DATA, the dot; the verdict; whether the connection lives; messages without a text.
    let cases = [
        (ok(), refuse.clone(), no(), ok(), unknown(), true, 0),
        (ok(), refuse.clone(), go(), no(), unknown(), true, 1),
        (ok(), refuse.clone(), go(), ok(), unknown(), true, 1),
        (ok(), refuse.clone(), go(), bye(), unknown(), false, 1),
        (ok(), refuse.clone(), go(), Act::Close, unknown(), false, 1),
        (ok(), refuse.clone(), bye(), ok(), unknown(), false, 0),
        (ok(), refuse.clone(), Act::Close, ok(), unknown(), false, 0),
        (
            ok(),
            refuse.clone(),
            Act::Silence,
            ok(),
            unknown(),
            false,
            0,
        ),
        (ok(), refuse, say("what?"), ok(), unknown(), false, 0),
        (ok(), defer.clone(), no(), ok(), later(), true, 0),
        (ok(), defer.clone(), go(), no(), later(), true, 1),
        (defer.clone(), no(), no(), ok(), later(), true, 0),
        (defer.clone(), no(), go(), no(), later(), true, 1),
        // This one would send the recipient an empty message.
        (defer.clone(), ok(), go(), ok(), later(), false, 0),
        (ok(), ok(), defer, ok(), later(), true, 0),
        (
            ok(),
            bye(),
            go(),
            ok(),
            Outcome::Deferred(reply(421, [4, 3, 2])),
            false,
            0,
        ),
        (
            say("550 5.7.1 not you"),
            no(),
            no(),
            ok(),
            Outcome::NotSent(domain::SENDER_REFUSED),
            false,
            0,
        ),
    ];
    for (mail, rcpt, data, dot, outcome, lives, empty) in cases {
        let name = format!("{mail:?} {rcpt:?} {data:?} {dot:?}");
        let relay = Relay::start(move |step| match step {
            Step::Mail => mail.clone(),
            Step::Rcpt => rcpt.clone(),
            Step::Data => data.clone(),
            Step::Dot => dot.clone(),
            step => usual_together(step),
        });
        let mut connection = transport(&relay).connect().await.unwrap();
        let heard = send_unless(&mut connection, || true, || panic!("no dot: {name}")).await;
        assert_eq!((heard, connection.is_usable()), (outcome, lives), "{name}");
        drop(connection);
        relay.wait_for_end();
        assert_eq!(relay.messages(), vec![b".\r\n"; empty], "{name}");
    }
}

#[tokio::test]
async fn a_relay_that_is_gone_before_the_next_message_costs_no_attempt() {
    for farewell in ["421 4.4.2 idle", "221 2.0.0 bye", "250 2.0.0 ok"] {
        let relay = Relay::start(move |step| match step {
            Step::Rset => Act::SayAndClose(farewell.into()),
            step => usual_together(step),
        });
        let mut connection = transport(&relay).connect().await.unwrap();
        assert_eq!(send(&mut connection).await, Outcome::Accepted);
        let outcome = send(&mut connection).await;
        let stage = if farewell.starts_with("250") {
            "mail"
        } else {
            "reset"
        };
        assert_eq!(outcome, Outcome::NotSent(stage), "{farewell}");
        assert!(!connection.is_usable());
        assert_eq!(relay.messages().len(), 1);
    }
}

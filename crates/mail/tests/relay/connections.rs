//! How long a connection is used.

use std::time::Duration;

use domain::Outcome;
use mail::{Connection, Envelope, SmtpSettings, Transport};

use crate::faults::{resident, text};
use crate::server::{Relay, Step, say, usual};

fn transport(relay: &Relay, change: impl FnOnce(&mut SmtpSettings)) -> Transport {
    let url = format!("smtp://127.0.0.1:{}", relay.port);
    let mut settings = SmtpSettings::parse(&url, None).unwrap();
    change(&mut settings);
    Transport::smtp(settings).unwrap()
}

async fn send(connection: &mut Connection) -> Outcome {
    let envelope = Envelope {
        return_path: "b-abc@bounces.example.gov.uk",
        recipient: &resident(),
    };
    connection.send(&envelope, &text(), || true).await
}

#[tokio::test]
async fn one_connection_carries_so_many_messages_whatever_became_of_them() {
    let mut answers = ["250 2.0.0 taken", "554 5.6.0 no", "451 4.3.0 later"].iter();
    let relay = Relay::start(move |step| match step {
        Step::Dot => say(answers.next().unwrap()),
        step => usual(step),
    });
    let transport = transport(&relay, |settings| settings.messages = 3);
    let mut connection = transport.connect().await.unwrap();
    for _ in 0..3 {
        assert!(connection.may_take_more());
        send(&mut connection).await;
    }
    assert!(connection.is_usable());
    assert!(!connection.may_take_more());
    connection.close().await;
    assert_eq!(relay.commands().last().unwrap(), "QUIT");
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_not_used() {
    let relay = Relay::start(usual);
    let patient = transport(&relay, |_| {});
    let mut connection = patient.connect().await.unwrap();
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
    assert!(connection.may_take_more());
    drop(connection);

    let impatient = transport(&relay, |settings| settings.patience.idle = Duration::ZERO);
    let mut connection = impatient.connect().await.unwrap();
    assert_eq!(send(&mut connection).await, Outcome::Accepted);
    assert!(connection.is_usable());
    assert!(!connection.may_take_more());
}

#[tokio::test]
async fn a_goodbye_that_nobody_answers_does_not_last() {
    let relay = Relay::start(|step| match step {
        Step::Quit => crate::server::Act::Silence,
        step => usual(step),
    });
    let transport = transport(&relay, |settings| {
        settings.patience.quit = Duration::from_millis(50);
    });
    transport.connect().await.unwrap().close().await;
    relay.wait_for("closed", 1);
}

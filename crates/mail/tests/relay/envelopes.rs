//! Which envelopes a relay is offered, and which no relay.

use domain::{EmailAddress, Outcome};
use mail::{Envelope, WireText};

use crate::faults::{resident, text, transport};
use crate::server::{Relay, Step, say, usual};

#[tokio::test]
async fn an_address_in_utf8_needs_a_relay_that_takes_it() {
    let address = EmailAddress::parse("jôn@example.org").unwrap();
    for is_offered in [false, true] {
        let relay = Relay::start(move |step| match step {
            Step::Ehlo if is_offered => say("250-relay.example\r\n250-8BITMIME\r\n250 SMTPUTF8"),
            step => usual(step),
        });
        let mut connection = transport(&relay).connect().await.unwrap();
        let envelope = Envelope {
            return_path: "b-abc@bounces.example.gov.uk",
            recipient: &address,
        };
        let outcome = connection.send(&envelope, &text(), || true).await;
        assert!(connection.is_usable());
        if is_offered {
            assert_eq!(outcome, Outcome::Accepted);
            let commands = relay.commands();
            assert_eq!(
                commands[1..3],
                [
                    "MAIL FROM:<b-abc@bounces.example.gov.uk> BODY=8BITMIME SMTPUTF8",
                    "RCPT TO:<jôn@example.org>",
                ]
            );
        } else {
            assert_eq!(outcome, Outcome::CannotDeliver("smtputf8"));
            assert_eq!(relay.commands(), ["EHLO localhost"]);
        }
    }
}

#[tokio::test]
async fn no_return_path_can_carry_a_command() {
    let relay = Relay::start(usual);
    let mut connection = transport(&relay).connect().await.unwrap();
    for return_path in [
        "a@b>\r\nRCPT TO:<c@d",
        "a@b> SIZE=1",
        "",
        "no-at",
        "é@example.gov.uk",
    ] {
        let envelope = Envelope {
            return_path,
            recipient: &resident(),
        };
        let outcome = connection.send(&envelope, &text(), || true).await;
        assert_eq!(outcome, Outcome::CannotDeliver("envelope"), "{return_path}");
    }
    assert_eq!(relay.commands(), ["EHLO localhost"]);
}

#[tokio::test]
async fn eight_bits_go_only_to_a_relay_that_takes_them() {
    for is_offered in [false, true] {
        let relay = Relay::start(move |step| match step {
            Step::Ehlo if is_offered => say("250-relay.example\r\n250 8BITMIME"),
            step => usual(step),
        });
        let mut connection = transport(&relay).connect().await.unwrap();
        let envelope = Envelope {
            return_path: "b-abc@bounces.example.gov.uk",
            recipient: &resident(),
        };
        let text = WireText::new("Subject: x\r\n\r\nd\u{175}r\r\n".into());
        let outcome = connection.send(&envelope, &text, || true).await;
        assert!(connection.is_usable());
        if is_offered {
            assert_eq!(outcome, Outcome::Accepted);
            let mail = "MAIL FROM:<b-abc@bounces.example.gov.uk> BODY=8BITMIME";
            assert_eq!(relay.commands()[1], mail);
        } else {
            assert_eq!(outcome, Outcome::CannotDeliver("8bitmime"));
            assert_eq!(relay.commands(), ["EHLO localhost"]);
        }
        // A text that needs seven bits is not announced to need more.
        let outcome = connection
            .send(&envelope, &crate::faults::text(), || true)
            .await;
        assert_eq!(outcome, Outcome::Accepted);
        let mail = "MAIL FROM:<b-abc@bounces.example.gov.uk>";
        assert!(relay.commands().iter().any(|command| command == mail));
    }
}

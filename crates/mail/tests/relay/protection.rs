//! TLS and logins.

use std::path::Path;

use domain::{EmailAddress, Outcome};
use mail::{Credentials, Envelope, Security, SmtpSettings, Transport, WireText};

use crate::server::{Act, Relay, Step, say, usual};

fn settings(relay: &Relay, security: Security, authority: &str) -> SmtpSettings {
    let url = format!("smtp://localhost:{}", relay.port);
    let mut settings = SmtpSettings::parse(&url, None).unwrap();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates"));
    settings.security = security;
    settings.host = "127.0.0.1".into();
    settings.authorities = Some(folder.join(authority));
    settings
}

fn with_login(mut settings: SmtpSettings) -> SmtpSettings {
    settings.credentials = Some(Credentials {
        user: "me".into(),
        password: "secret".to_owned().into(),
    });
    settings
}

async fn send(settings: SmtpSettings) -> Outcome {
    let mut connection = match Transport::smtp(settings).unwrap().connect().await {
        Ok(connection) => connection,
        Err(outcome) => return outcome,
    };
    let envelope = Envelope {
        return_path: "b-abc@bounces.example.gov.uk",
        recipient: &EmailAddress::parse("resident@example.org").unwrap(),
    };
    let text = WireText::new(b"a\r\n".to_vec());
    connection.send(&envelope, &text, || true).await
}

fn offering(lines: &'static str) -> impl FnMut(Step) -> Act + Send + 'static {
    move |step| match step {
        Step::Ehlo => say(&format!("250-relay.example\r\n250 {lines}")),
        step => usual(step),
    }
}

#[tokio::test]
async fn tls_from_the_first_byte() {
    let relay = Relay::start_with_tls(true, usual);
    let outcome = send(settings(&relay, Security::Implicit, "authority.pem")).await;
    assert_eq!(outcome, Outcome::Accepted);
    assert_eq!(relay.messages(), [b"a\r\n.\r\n"]);
}

#[tokio::test]
async fn starttls_greets_again_and_forgets_what_was_said_in_the_clear() {
    let relay = Relay::start(|step| match step {
        Step::Ehlo => say("250-relay.example\r\n250 STARTTLS"),
        // Somebody between could put a reply behind the 220, to be taken as one within TLS.
        Step::StartTls => say("220 2.0.0 go on\r\n554 injected"),
        step => usual(step),
    });
    let outcome = send(settings(&relay, Security::StartTls, "authority.pem")).await;
    assert_eq!(outcome, Outcome::Accepted);

    let relay = Relay::start(offering("STARTTLS"));
    let outcome = send(settings(&relay, Security::StartTls, "authority.pem")).await;
    assert_eq!(outcome, Outcome::Accepted);
    assert_eq!(
        relay.commands()[..4],
        [
            "EHLO localhost",
            "STARTTLS",
            "EHLO localhost",
            "MAIL FROM:<b-abc@bounces.example.gov.uk>",
        ]
    );
}

#[tokio::test]
async fn without_protection_nothing_is_said() {
    let not_offered = Relay::start(usual);
    let outcome = send(settings(&not_offered, Security::StartTls, "authority.pem")).await;
    assert_eq!(outcome, Outcome::NotSent("starttls"));
    assert_eq!(not_offered.commands()[0], "EHLO localhost");

    let refused = Relay::start(|step| match step {
        Step::Ehlo => say("250-relay.example\r\n250 STARTTLS"),
        Step::StartTls => say("454 4.7.0 not now"),
        step => usual(step),
    });
    let outcome = send(settings(&refused, Security::StartTls, "authority.pem")).await;
    assert_eq!(outcome, Outcome::NotSent("starttls"));

    for (relay, security) in [
        (Relay::start(offering("STARTTLS")), Security::StartTls),
        (Relay::start_with_tls(true, usual), Security::Implicit),
    ] {
        let unknown = settings(&relay, security, "stranger.pem");
        assert_eq!(send(unknown).await, Outcome::NotSent("tls"));
        let mut misnamed = settings(&relay, security, "authority.pem");
        misnamed.host = "127.0.0.2".into();
        let outcome = send(misnamed).await;
        assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
        assert!(relay.messages().is_empty());
    }
}

#[tokio::test]
async fn logins_are_said_within_tls() {
    for (offer, expected) in [
        ("AUTH LOGIN PLAIN", vec!["AUTH PLAIN AG1lAHNlY3JldA=="]),
        ("AUTH LOGIN", vec!["AUTH LOGIN", "bWU=", "c2VjcmV0"]),
    ] {
        let relay = Relay::start_with_tls(true, offering(offer));
        let login = with_login(settings(&relay, Security::Implicit, "authority.pem"));
        assert_eq!(send(login).await, Outcome::Accepted);
        let commands = relay.commands();
        assert_eq!(commands[1..=expected.len()], expected[..]);
    }
}

#[tokio::test]
async fn a_refused_login_is_the_routes_fault() {
    let refused = Relay::start_with_tls(true, |step| match step {
        Step::Ehlo => say("250-relay.example\r\n250 AUTH PLAIN"),
        Step::Auth => say("535 5.7.8 no"),
        step => usual(step),
    });
    let not_offered = Relay::start_with_tls(true, offering("AUTH GSSAPI"));
    for relay in [refused, not_offered] {
        let login = with_login(settings(&relay, Security::Implicit, "authority.pem"));
        assert_eq!(send(login).await, Outcome::NotSent("auth"));
        assert!(relay.messages().is_empty());
    }
}

/// Whatever was offered in the clear may be anybody's offer (RFC 3207 section 4.2).
#[tokio::test]
async fn only_what_is_offered_within_tls_counts() {
    for (in_the_clear, within, is_together) in
        [("PIPELINING", "HELP", false), ("HELP", "PIPELINING", true)]
    {
        let mut greetings = [
            format!("250-relay.example\r\n250-STARTTLS\r\n250 {in_the_clear}"),
            format!("250-relay.example\r\n250 {within}"),
        ]
        .into_iter();
        let relay = Relay::start(move |step| match step {
            Step::Ehlo => say(&greetings.next().unwrap()),
            step => usual(step),
        });
        let settings = settings(&relay, Security::StartTls, "authority.pem");
        let mut connection = Transport::smtp(settings).unwrap().connect().await.unwrap();
        let envelope = Envelope {
            return_path: "b-abc@bounces.example.gov.uk",
            recipient: &EmailAddress::parse("resident@example.org").unwrap(),
        };
        let text = WireText::new(b"a\r\n".to_vec());
        // In lock-step the first look comes after the recipient was taken.
        let outcome = connection
            .send_unless_stopped(&envelope, &text, || false, || true)
            .await;
        assert_eq!(outcome, Outcome::NotSent("stopped"));
        let has_recipient = relay.commands().iter().any(|said| said.starts_with("RCPT"));
        assert_eq!(has_recipient, !is_together, "{within}");
        let outcome = connection.send(&envelope, &text, || true).await;
        assert_eq!(outcome, Outcome::Accepted);
    }
}

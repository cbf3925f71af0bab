//! What is counted of a relay.

use domain::Outcome;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::faults::{connect_and_send, transport};
use crate::server::{Act, Relay, Step, say, usual};

#[tokio::test]
async fn replies_times_and_connections_are_counted() {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[1_000.0])
        .unwrap()
        .build_recorder();
    let page = recorder.handle();
    // This thread only, and all of the test runs on it.
    let _guard = metrics::set_default_local_recorder(&recorder);

    let relay = Relay::start(usual);
    let connection = transport(&relay).connect().await.unwrap();
    assert!(page.render().contains("\nletterbox_smtp_connections 1\n"));
    connection.close().await;
    assert!(page.render().contains("\nletterbox_smtp_connections 0\n"));

    let answers = [
        (Step::Dot, say("250 2.0.0 taken"), Outcome::Accepted),
        (Step::Dot, Act::Close, Outcome::InDoubt),
        (Step::Rcpt, Act::Silence, Outcome::NotSent("rcpt")),
        (Step::Mail, say("hello"), Outcome::NotSent("mail")),
        (Step::Connected, say("554 no"), Outcome::NotSent("banner")),
    ];
    for (wrong, act, outcome) in answers {
        let relay = Relay::start(move |step| {
            if step == wrong {
                act.clone()
            } else {
                usual(step)
            }
        });
        assert_eq!(connect_and_send(&relay).await.0, outcome);
    }
    let page = page.render();
    for line in [
        r#"letterbox_smtp_replies_total{class="2xx",stage="dot"} 1"#,
        r#"letterbox_smtp_replies_total{class="eof",stage="dot"} 1"#,
        r#"letterbox_smtp_replies_total{class="timeout",stage="rcpt"} 1"#,
        r#"letterbox_smtp_replies_total{class="nonsense",stage="mail"} 1"#,
        r#"letterbox_smtp_replies_total{class="5xx",stage="banner"} 1"#,
        r#"letterbox_smtp_replies_total{class="3xx",stage="data"} 2"#,
        r#"letterbox_delivery_attempt_duration_seconds_count{stage="connect"} 6"#,
        r#"letterbox_delivery_attempt_duration_seconds_count{stage="body"} 2"#,
        r#"letterbox_delivery_attempt_duration_seconds_count{stage="dot"} 2"#,
        "letterbox_smtp_connections 0",
    ] {
        assert!(page.lines().any(|seen| seen == line), "{line}\n{page}");
    }
}

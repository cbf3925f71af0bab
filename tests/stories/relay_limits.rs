//! What the relay may be sent, and for how long it is tried: the options, seen from outside.

use anyhow::{Context as _, Result, ensure};
use support::{DEADLINE, Letterbox, Rule, SmtpSink, wait_until};

use crate::killed_while_sending::everybody_joins;
use crate::through_a_relay::sending_to;

/// The value of this sample at `/metrics`; none where there is no such line.
pub(crate) fn metric(letterbox: &Letterbox, sample: &str) -> Result<Option<f64>> {
    let text = letterbox.web().get("/metrics")?.body;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map(|value| value.parse().context("no number"))
        .transpose()
}

/// Hands an issue over with more options.
fn hand_over(letterbox: &Letterbox, more: &[&str]) -> Result<support::Ended> {
    let [english, welsh] = letterbox.issue_files("Bins", "Tuesday.")?;
    let words = [
        "issue",
        "send",
        &english,
        "--welsh",
        &welsh,
        "--newsletter",
        "council-news",
        "--no-wait",
    ];
    letterbox.command(&[&words, more].concat())
}

#[test]
fn a_rate_makes_mails_wait_and_loses_none() -> Result<()> {
    const RESIDENTS: usize = 12;
    let sink = SmtpSink::start(Vec::new())?;
    let letterbox = sending_to(&sink, &["--rate", "4"])?;
    everybody_joins(&letterbox, &sink, RESIDENTS)?;
    letterbox.send_issue("Bins", "Tuesday.")?;
    assert_eq!(sink.transcript().taken.len(), 2 * RESIDENTS);
    let waits = metric(&letterbox, "letterbox_route_rate_limit_waits_total")?;
    assert!(waits.is_some_and(|waits| waits > 0.0), "{waits:?}");
    let connections = metric(&letterbox, "letterbox_route_connections")?;
    assert!(connections.is_some(), "how wide the way is");
    assert_eq!(metric(&letterbox, "letterbox_route_hold")?, Some(0.0));
    Ok(())
}

#[test]
fn a_day_has_so_many_mails_and_the_rest_waits() -> Result<()> {
    const RESIDENTS: usize = 10;
    let sink = SmtpSink::start(Vec::new())?;
    let mut letterbox = sending_to(&sink, &["--daily-cap", "26"])?;
    everybody_joins(&letterbox, &sink, RESIDENTS)?;
    letterbox.send_issue("First", "Tuesday.")?;
    letterbox.hand_over_issue("Second", "Friday.")?;
    wait_until("the day to be over", DEADLINE, || {
        Ok(sink.transcript().taken.len() >= 24)
    })?;
    let waiting = letterbox.sql("SELECT count(*) FROM delivery WHERE state IN (0, 1, 3)")?;
    ensure!(waiting.parse::<usize>()? >= 4, "{waiting} wait");
    letterbox.stop()?;
    let taken = sink.transcript().taken.len();
    ensure!(taken <= 26, "{taken} mails on one day");

    // without a cap, or on the next day, the rest goes
    letterbox.set_options(&["--smtp", &sink.url()]);
    letterbox.resume()?;
    letterbox.wait_for_sql("SELECT count(*) FROM delivery WHERE state = 2", "20")?;
    letterbox.stop()?;
    assert_eq!(
        sink.transcript().taken.len(),
        3 * RESIDENTS,
        "one copy each"
    );
    Ok(())
}

#[test]
fn a_new_address_is_warmed_up_from_a_day_that_is_one() -> Result<()> {
    let letterbox = Letterbox::prepare(&[])?;
    let refused = letterbox.command(&["up", "--warm-up", "tomorrow"])?;
    ensure!(refused.code == Some(2), "{refused:?}");
    ensure!(refused.err.contains("2026-11-24"), "{}", refused.err);
    for (option, value) in [("--rate", "0"), ("--daily-cap", "1")] {
        let refused = letterbox.command(&["up", option, value])?;
        ensure!(refused.code == Some(2), "{option} {value}: {refused:?}");
        ensure!(refused.err.contains(option), "{}", refused.err);
    }
    let sink = SmtpSink::start(Vec::new())?;
    let letterbox = sending_to(&sink, &["--warm-up", "2026-01-01", "--daily-cap", "1000"])?;
    everybody_joins(&letterbox, &sink, 3)?;
    letterbox.send_issue("Bins", "Tuesday.")?;
    let counted = letterbox.sql("SELECT sum(granted) >= 6 FROM rate_window")?;
    assert_eq!(counted, "t", "each mail is counted to its day");
    Ok(())
}

#[test]
fn an_issue_is_tried_for_as_long_as_was_said() -> Result<()> {
    let sink = SmtpSink::start(Vec::new())?;
    let letterbox = sending_to(&sink, &[])?;
    everybody_joins(&letterbox, &sink, 2)?;
    for hours in ["0", "721", "a day"] {
        let refused = hand_over(&letterbox, &["--for", hours])?;
        ensure!(refused.code == Some(2), "{hours}: {refused:?}");
        ensure!(refused.err.contains("--for"), "{}", refused.err);
    }
    sink.set_rules(vec![Rule {
        command: "RCPT TO",
        holds: String::new(),
        reply: "451 4.3.0 come back",
    }]);
    hand_over(&letterbox, &["--for", "5"])?.ok()?;
    letterbox.wait_for_sql("SELECT state, count(*) FROM delivery GROUP BY 1", "3|2")?;
    let hours = letterbox
        .sql("SELECT round(extract(epoch FROM deadline - approved_at) / 3600) FROM issue")?;
    assert_eq!(hours, "5");
    // five hours later
    letterbox.sql("UPDATE issue SET deadline = now()")?;
    letterbox.wait_for_sql("SELECT state, count(*) FROM delivery GROUP BY 1", "7|2")?;
    letterbox.wait_for_sql("SELECT state FROM issue", "6")?;
    let status = letterbox.command(&["issue", "status", "1"])?.ok()?;
    assert!(status.replace(" = ", " ").contains("failed 2"), "{status}");
    Ok(())
}

//! What an operator says to an issue: pause, resume, cancel, try again; and reads what was sent.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{DEADLINE, Letterbox, Rule, SmtpSink, wait_until};

use crate::killed_while_sending::everybody_joins;
use crate::through_a_relay::sending_to;

const RESIDENTS: usize = 40;

/// How many copies of the issue each address got.
fn copies(sink: &SmtpSink, subject: &str) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for (recipient, message) in sink.transcript().taken {
        if String::from_utf8_lossy(&message).contains(&format!("\nSubject: {subject}\r\n")) {
            *copies.entry(recipient).or_default() += 1;
        }
    }
    copies
}

/// The numbers of the last equation that a command printed, by their names.
fn equation(said: &str) -> Result<BTreeMap<String, usize>> {
    let line = said
        .lines()
        .rfind(|line| line.contains("audience"))
        .with_context(|| said.to_owned())?;
    let mut numbers = BTreeMap::new();
    for name in [
        "audience",
        "accepted",
        "suppressed",
        "failed",
        "uncertain",
        "waiting",
    ] {
        let number = line
            .split_once(&format!("{name} "))
            .and_then(|(_, rest)| rest.split([' ', ',']).next())
            .with_context(|| format!("no {name} in {line}"))?;
        numbers.insert(name.to_owned(), number.parse()?);
    }
    let parts: usize = numbers.values().sum::<usize>() - numbers["audience"];
    ensure!(numbers["audience"] == parts, "{line}");
    Ok(numbers)
}

fn say(letterbox: &Letterbox, words: &str) -> Result<String> {
    let words: Vec<&str> = words.split(' ').collect();
    letterbox.command(&words)?.ok()
}

/// The command is refused: exit code 2, and it says this.
fn refused(letterbox: &Letterbox, words: &str, part: &str) -> Result<()> {
    let ended = letterbox.command(&words.split(' ').collect::<Vec<_>>())?;
    ensure!(
        ended.code == Some(2) && ended.err.contains(part),
        "{words}: {ended:?}"
    );
    Ok(())
}

#[test]
fn an_issue_is_paused_resumed_cancelled_and_read() -> Result<()> {
    let sink = SmtpSink::start(Vec::new())?;
    let letterbox = sending_to(&sink, &["--connections", "1"])?;
    everybody_joins(&letterbox, &sink, RESIDENTS)?;
    sink.set_slowness(Duration::from_millis(100));
    letterbox.hand_over_issue("Bins", "Tuesday **and** Friday.")?;
    wait_until("some copies", DEADLINE, || {
        Ok(copies(&sink, "Bins").len() >= 3)
    })?;

    let paused = say(&letterbox, "issue pause 1")?;
    assert!(paused.contains("paused"), "{paused}");
    let then = copies(&sink, "Bins").len();
    sleep(Duration::from_millis(700));
    assert_eq!(copies(&sink, "Bins").len(), then, "a mail in a pause");
    let stands = equation(&say(&letterbox, "issue status 1")?)?;
    assert_eq!((stands["audience"], stands["accepted"]), (RESIDENTS, then));
    assert_eq!(stands["waiting"], RESIDENTS - then);

    let resumed = say(&letterbox, "issue resume 1")?;
    assert!(resumed.contains("sending"), "{resumed}");
    wait_until("more copies", DEADLINE, || {
        Ok(copies(&sink, "Bins").len() >= then + 2)
    })?;
    let cancelled = equation(&say(&letterbox, "issue cancel 1")?)?;
    assert_eq!(cancelled["waiting"], 0);
    assert_eq!(cancelled["accepted"], copies(&sink, "Bins").len());
    assert!(cancelled["suppressed"] > 0);
    assert!(copies(&sink, "Bins").values().all(|number| *number == 1));
    refused(&letterbox, "issue resume 1", "cancelled")?;
    refused(&letterbox, "issue retry-failed 1", "cancelled")?;
    refused(&letterbox, "issue pause 7", "no issue 7")?;

    let shown = say(&letterbox, "issue show 1")?;
    assert_eq!(shown.matches("SHA-256").count(), 3, "{shown}");
    let text = say(&letterbox, "issue show 1 --text")?;
    assert!(text.contains("Friday"), "{text}");
    let html = say(&letterbox, "issue show 1 --html --language cy")?;
    for frozen in [&text, &html] {
        assert!(
            frozen.contains("{link}") && !frozen.contains(".invalid"),
            "{frozen}"
        );
    }
    assert!(html.contains("<strong>"), "{html}");
    refused(&letterbox, "issue show 1 --text --language fr", "en or cy")
}

#[test]
fn who_was_refused_is_tried_again_and_nobody_else() -> Result<()> {
    let sink = SmtpSink::start(Vec::new())?;
    let letterbox = sending_to(&sink, &[])?;
    everybody_joins(&letterbox, &sink, 6)?;
    sink.set_rules(vec![Rule {
        command: "RCPT TO",
        holds: "r3@".into(),
        reply: "550 5.7.1 relaying denied",
    }]);
    let sent = equation(&letterbox.send_issue("Bins", "Tuesday.")?)?;
    assert_eq!((sent["accepted"], sent["failed"]), (5, 1));
    refused(&letterbox, "issue pause 1", "finished")?;
    sink.set_rules(Vec::new());
    say(&letterbox, "issue retry-failed 1")?;
    let watched = say(&letterbox, "issue status 1 --watch")?;
    assert_eq!(equation(&watched)?["accepted"], 6, "{watched}");
    let copies = copies(&sink, "Bins");
    assert_eq!(copies.len(), 6);
    assert!(copies.values().all(|number| *number == 1), "{copies:?}");
    let none = say(&letterbox, "issue doubts 1")?;
    assert!(none.contains("0 in doubt"), "{none}");
    Ok(())
}

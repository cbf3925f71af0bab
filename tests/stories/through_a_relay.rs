//! Mail goes to a relay over SMTP, which takes some and refuses some.

use anyhow::{Context as _, Result};
use support::{
    DEADLINE, Letterbox, Resident, Rule, SmtpSink, read_by_python, repository, unsubscribe_link,
    wait_until,
};

/// A new installation that sends to this relay, with the example body and newsletter.
pub(crate) fn sending_to(sink: &SmtpSink, options: &[&str]) -> Result<Letterbox> {
    let url = sink.url();
    let letterbox = Letterbox::start_with(&[&["--smtp", url.as_str()], options].concat())?;
    let examples = repository().join("crates/letterbox/src/examples");
    for (command, action, file) in [
        ("body", "set", "body.toml"),
        ("newsletter", "add", "newsletter.toml"),
    ] {
        let path = examples.join(file).display().to_string();
        letterbox.command(&[command, action, &path])?.ok()?;
    }
    wait_until("the newsletter to open", DEADLINE, || {
        Ok(letterbox.web().get("/newsletters/council-news")?.status == 200)
    })?;
    Ok(letterbox)
}

/// Signs up and confirms by what the relay took.
pub(crate) fn join(letterbox: &Letterbox, sink: &SmtpSink, resident: &Resident) -> Result<()> {
    resident.sign_up(letterbox)?;
    resident.confirm_by(letterbox, &sink.wait_for(&resident.email, "")?)
}

pub(crate) fn refusals() -> Vec<Rule> {
    let rule = |command, holds: &str, reply| Rule {
        command,
        holds: holds.into(),
        reply,
    };
    vec![
        rule(
            "RCPT TO",
            "refused",
            "550 5.1.1 <{}>: no such user here, {}",
        ),
        rule("RCPT TO", "later", "451 4.3.0 <{}>: come back, {}"),
        rule(".", "unwanted", "554 5.7.1 <{}> does not want this"),
    ]
}

#[test]
fn each_recipient_is_sent_one_copy_and_refusals_are_counted() -> Result<()> {
    let sink = SmtpSink::start(Vec::new())?;
    let letterbox = sending_to(&sink, &[])?;
    let names = ["fine", "refused", "later", "unwanted", "siân"];
    for (number, name) in names.iter().enumerate() {
        join(
            &letterbox,
            &sink,
            &Resident::new(&format!("{name}@example.org")),
        )?;
        letterbox.wait_for_active(number + 1)?;
    }
    sink.set_rules(refusals());
    letterbox.hand_over_issue("Bins", "Tuesday.\n\n.dot first")?;
    letterbox.wait_for_sql(
        "SELECT state, count(*) FROM delivery GROUP BY state ORDER BY state",
        "2|2\n3|1\n4|2",
    )?;
    let status = letterbox.command(&["issue", "status", "1"])?.ok()?;
    for part in [
        "audience 5",
        "accepted 2",
        "suppressed 0",
        "failed 2",
        "uncertain 0",
        "waiting 1",
    ] {
        assert!(
            status.replace(" = ", " ").contains(part),
            "{part}: {status}"
        );
    }
    let codes =
        "SELECT code, enhanced FROM delivery WHERE code IS NOT NULL ORDER BY code, enhanced";
    let codes = letterbox.sql(codes)?;
    assert!(
        codes.contains("550|5.1.1") && codes.contains("554|5.7.1"),
        "{codes}"
    );

    let transcript = sink.transcript();
    let issue = sink.wait_for("fine@example.org", "Bins")?;
    let python = read_by_python(&issue.bytes)?;
    assert_eq!(python.list("defects"), Vec::<&str>::new());
    assert!(issue.text.contains("\n.dot first"), "{}", issue.text);
    unsubscribe_link(&issue)?;
    sink.wait_for("siân@example.org", "Bins")?;
    // One recipient a transaction, with a return path of the sending domain.
    let commands: Vec<&String> = transcript
        .lines
        .iter()
        .filter(|line| line.starts_with("C: "))
        .collect();
    let (mut transactions, mut recipients) = (0, 0);
    for line in commands {
        if let Some(path) = line.strip_prefix("C: MAIL FROM:<") {
            let path = path.split('>').next().context("no path")?;
            assert!(path.ends_with("@council.example"), "{path}");
            transactions += 1;
        } else if line.starts_with("C: RCPT TO") {
            recipients += 1;
        }
    }
    // Lines of several connections stand between one another.
    assert_eq!(recipients, transactions, "one recipient a transaction");
    assert_eq!(transactions, 10, "five confirmations and five copies");
    Ok(())
}

#[test]
fn a_relay_that_is_away_delays_mail_and_loses_none() -> Result<()> {
    let rule = Rule {
        command: "CONNECT",
        holds: String::new(),
        reply: "421 4.3.2 shutting down",
    };
    let sink = SmtpSink::start(vec![rule])?;
    let letterbox = sending_to(&sink, &[])?;
    let jo = Resident::new("jo@example.org");
    jo.sign_up(&letterbox)?;
    wait_until("three attempts", DEADLINE, || {
        Ok(sink.transcript().lines.len() >= 3)
    })?;
    assert_eq!(sink.transcript().taken.len(), 0);
    sink.set_rules(Vec::new());
    jo.confirm_by(&letterbox, &sink.wait_for(&jo.email, "")?)?;
    letterbox.wait_for_active(1)
}

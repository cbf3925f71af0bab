//! Somebody's mailbox is gone: the next issue is for everybody else.

use anyhow::Result;
use support::{Resident, Rule, SmtpSink};

use crate::relay_limits::metric;
use crate::through_a_relay::{join, sending_to};

const RULE: &str = "letterbox_bounce_stops_total{rule=\"no_such_mailbox\"}";

#[test]
fn who_is_not_there_any_more_gets_no_second_issue() -> Result<()> {
    let sink = SmtpSink::start(Vec::new())?;
    let letterbox = sending_to(&sink, &[])?;
    for (number, name) in ["gone", "spam", "jo", "siân"].iter().enumerate() {
        let resident = Resident::new(&format!("{name}@example.org"));
        join(&letterbox, &sink, &resident)?;
        letterbox.wait_for_active(number + 1)?;
    }
    let rule = |holds: &str, reply| Rule {
        command: "RCPT TO",
        holds: holds.into(),
        reply,
    };
    sink.set_rules(vec![
        rule("gone", "550 5.1.1 <{}>: no such user here"),
        rule("spam", "550 5.7.1 <{}>: not from you"),
    ]);
    letterbox.send_issue("First", "Tuesday.")?;
    // one entry, by the provider, for the issue that came back
    letterbox.wait_for_sql(
        "SELECT method, effect, actor, issue, kid IS NULL, decision_id IS NOT NULL FROM ledger_entry",
        "5|0|1|1|t|t",
    )?;
    letterbox.wait_for_active(3)?;
    assert_eq!(metric(&letterbox, RULE)?, Some(1.0));

    let before = sink.transcript().taken.len();
    sink.set_rules(Vec::new());
    let said = letterbox.send_issue("Second", "Friday.")?;
    assert!(said.replace(" = ", " ").contains("audience 3"), "{said}");
    let after = sink.transcript().taken;
    assert_eq!(after.len() - before, 3);
    // The relay wanted the text of the mail that it had refused, and got none.
    let gone = after
        .iter()
        .filter(|(to, message)| to == "gone@example.org" && message.len() > 100);
    assert_eq!(gone.count(), 1, "the confirmation");
    Ok(())
}

//! `kill -9` while an issue goes out over SMTP, again and again: nobody gets a second copy, and nobody
//! is lost but those whose mail was on the wire, who are counted as uncertain (`DESIGN.md` P6).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use support::{Letterbox, Seed, SmtpSink, confirm_link, sign_up_form, wait_for, wait_until};

use crate::through_a_relay::sending_to;

const RESIDENTS: usize = 60;
const CONNECTIONS: usize = 3;
const KILLS: usize = 4;
const PATIENCE: Duration = Duration::from_mins(2);

/// So many residents `r0@…` sign up and confirm.
pub(crate) fn everybody_joins(
    letterbox: &Letterbox,
    sink: &SmtpSink,
    residents: usize,
) -> Result<()> {
    let web = letterbox.web();
    let form = sign_up_form(letterbox)?;
    for number in 0..residents {
        let body = json!({
            "email": format!("r{number}@example.org"),
            "newsletter": "council-news",
            "notice": form.field("notice"),
        });
        let answer = web.post_json("/subscriptions", &body)?;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    for number in 0..residents {
        let mail = sink.wait_for(&format!("r{number}@example.org"), "")?;
        let answer = web.post_form(&confirm_link(&mail)?, &[])?;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    letterbox.wait_for_active(residents)
}

/// How many copies each address got.
fn copies(sink: &SmtpSink) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for (recipient, message) in sink.transcript().taken {
        if String::from_utf8_lossy(&message).contains("\nSubject: Bins\r\n") {
            *copies.entry(recipient).or_default() += 1;
        }
    }
    copies
}

#[test]
fn nobody_gets_two_copies_and_only_mail_on_the_wire_is_uncertain() -> Result<()> {
    let seed = crate::killed_at_random::seed();
    eprintln!("LETTERBOX_SEED={seed}");
    let mut seed = Seed::new(seed);
    let sink = SmtpSink::start(Vec::new())?;
    let mut letterbox = sending_to(&sink, &["--connections", &CONNECTIONS.to_string()])?;
    everybody_joins(&letterbox, &sink, RESIDENTS)?;

    // So slow that each kill hits mails that wait for the answer to their dot.
    sink.set_slowness(Duration::from_millis(120));
    let [english, welsh] = letterbox.issue_files("Bins", "Tuesday.")?;
    let words = format!("issue send {english} --welsh {welsh} --newsletter council-news --no-wait");
    letterbox
        .command(&words.split(' ').collect::<Vec<_>>())?
        .ok()?;
    for kill in 1..=KILLS {
        let more = 8 * kill - usize::try_from(seed.below(6))?;
        wait_for("the next copies", PATIENCE, || {
            Ok((copies(&sink).len() >= more).then_some(()))
        })?;
        letterbox.kill()?;
        if seed.below(2) == 0 {
            letterbox.kill_postgres()?;
        }
        letterbox.resume()?;
    }

    let counts = "SELECT count(*), count(*) FILTER (WHERE state = 2),
        count(*) FILTER (WHERE state IN (6, 9)), count(*) FILTER (WHERE state IN (0, 1, 3)) FROM delivery";
    let mut last = String::new();
    wait_until("the issue to end", PATIENCE, || {
        last = letterbox.sql(counts)?;
        Ok(last.ends_with("|0"))
    })
    .with_context(|| format!("audience, accepted, uncertain, waiting: {last}"))?;
    eprintln!("audience, accepted, uncertain, waiting: {last}");
    let numbers: Vec<usize> = last.split('|').map(str::parse).collect::<Result<_, _>>()?;
    assert_eq!(
        (numbers[0], numbers[1] + numbers[2]),
        (RESIDENTS, RESIDENTS),
        "{last}"
    );
    assert!(
        (1..=KILLS * CONNECTIONS).contains(&numbers[2]),
        "uncertain: {last}"
    );

    let copies = copies(&sink);
    let twice: Vec<_> = copies.iter().filter(|(_, number)| **number > 1).collect();
    assert!(twice.is_empty(), "mailed twice: {twice:?}");
    assert!(
        copies.len() >= numbers[1],
        "{last}, yet {} copies",
        copies.len()
    );
    let status = letterbox.command(&["issue", "status", "1"])?.ok()?;
    assert!(
        status
            .replace(" = ", " ")
            .contains(&format!("uncertain {}", numbers[2])),
        "{status}"
    );
    Ok(())
}

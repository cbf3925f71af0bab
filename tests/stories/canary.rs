//! No address in plain text anywhere it must not be (`DESIGN.md` P1; `privacy.md` 5.5 in a small form):
//! addresses that occur nowhere else go every way there is, with everything at its noisiest; then
//! every byte that is left behind is searched for them in every disguise.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::json;
use support::{
    Letterbox, Resident, Scan, Seed, SmtpSink, plant_every_disguise, sign_up_form, unsubscribe_link,
};

use crate::through_a_relay::{join, refusals, sending_to};

/// Addresses, one for each way, and answers that must not name them.
struct Canaries {
    seed: Seed,
    words: Vec<String>,
    answers: Vec<String>,
}

impl Canaries {
    fn new() -> Self {
        Self {
            seed: Seed::new(5_5),
            words: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// A new address for this way.
    fn next(&mut self, way: &str, tag: &str, domain: &str) -> String {
        let (local, host) = (self.seed.letters(12), self.seed.letters(12));
        let word = format!("zqcanary.{way}.{local}{tag}@{domain}{host}.example");
        self.words.push(word.clone());
        word
    }
}

/// As noisy as PostgreSQL gets.
fn make_noise(letterbox: &Letterbox) -> Result<()> {
    for (name, value) in [
        ("log_statement", "all"),
        ("log_min_duration_statement", "0"),
        ("log_parameter_max_length", "-1"),
        ("log_parameter_max_length_on_error", "-1"),
        ("log_min_error_statement", "debug5"),
        ("log_error_verbosity", "verbose"),
        ("wal_compression", "off"),
    ] {
        letterbox.sql(&format!("ALTER SYSTEM SET {name} = '{value}'"))?;
    }
    letterbox.sql("SELECT pg_reload_conf()")?;
    Ok(())
}

/// Sign-ups that fail, and what they were answered.
fn failing(letterbox: &Letterbox, canaries: &mut Canaries) -> Result<()> {
    let web = letterbox.web();
    let form = sign_up_form(letterbox)?;
    let notice = form.field("notice").context("no notice")?.to_owned();
    for (way, change) in [
        ("language", ("language", json!("fr"))),
        ("unknown", ("newsletter", json!("no-such-news"))),
        ("outdated", ("notice", json!("0".repeat(64)))),
        ("key", ("e-mail", json!("x"))),
        ("type", ("notice", json!(5))),
    ] {
        let email = canaries.next(way, "", "");
        let mut body = json!({ "email": email, "newsletter": "council-news", "notice": notice });
        body[change.0] = change.1;
        let answer = web.post_json("/subscriptions", &body)?;
        assert!(
            (400..500).contains(&answer.status),
            "{way}: {}",
            answer.status
        );
        canaries.answers.push(answer.body);
    }
    for (way, bad) in [
        ("invalid", " "),
        ("quoted", "\""),
        ("bidi", "\u{202e}"),
        ("nul", "\0"),
    ] {
        let email = canaries.next(way, "", "");
        let body = json!({ "email": format!("x{bad}{email}"), "newsletter": "council-news", "notice": notice });
        let answer = web.post_json("/subscriptions", &body)?;
        assert_eq!(answer.status, 422, "{way}: {}", answer.body);
        canaries.answers.push(answer.body);
    }
    // An address where none belongs, and a body that breaks off in its middle.
    for place in ["/newsletters/", "/confirm/", "/u/", "/nowhere/"] {
        let email = canaries.next("place", "", "");
        let answer = web.get(&format!("{place}{}", email.replace('@', "%40")))?;
        assert_eq!(answer.status, 404);
        canaries.answers.push(answer.body);
    }
    let email = canaries.next("broken", "", "");
    let kind = [("content-type", "application/json")];
    let broken = format!("{{\"newsletter\":\"council-news\",\"email\":\"{email}");
    canaries.answers.push(
        web.send("POST", "/subscriptions", &kind, broken.as_bytes())?
            .body,
    );
    // The page with the mistake shows the form as it was filled in, to the one who filled it in: the
    // one answer that may hold the address, in that field only.
    let email = canaries.next("page", "", "");
    let typed = form.with("email", &email).with("language", "fr");
    let page = web.post_form(&typed.action, &typed.pairs())?;
    assert_eq!(page.status, 422);
    canaries
        .answers
        .push(page.body.replace(&format!("value=\"{email}\""), ""));
    Ok(())
}

/// Sign-ups, confirmations, copies, refusals and unsubscribes that work.
fn working(letterbox: &Letterbox, sink: &SmtpSink, canaries: &mut Canaries) -> Result<()> {
    let web = letterbox.web();
    let mut residents = Vec::new();
    for (way, tag, domain) in [
        ("ok", "", ""),
        ("refused", "", ""),
        ("later", "", ""),
        ("unwanted", "", ""),
        ("CAPITALS", "+TAG", "News."),
        ("idn", "", "bücher-"),
        ("leaver", "", ""),
    ] {
        residents.push(Resident::new(&canaries.next(way, tag, domain)));
    }
    for (number, resident) in residents.iter().enumerate() {
        resident.sign_up(letterbox)?;
        // The relay sees the domain's A-label.
        let recipient = resident.email.replace("bücher-", "xn--bcher--kva");
        let mail = support::wait_for("a confirmation", support::DEADLINE, || {
            let taken = sink.transcript().taken;
            let local = recipient.split('@').next().unwrap_or_default();
            Ok(taken.into_iter().find(|(path, _)| path.starts_with(local)))
        })?;
        let mail = support::Mail::parse(&letterbox.data(), mail.1)?;
        resident.confirm_by(letterbox, &mail)?;
        letterbox.wait_for_active(number + 1)?;
    }
    // Twice, and with a key.
    residents[0].sign_up(letterbox)?;
    let notice = sign_up_form(letterbox)?
        .field("notice")
        .context("no notice")?
        .to_owned();
    let email = canaries.next("idempotent", "", "");
    let body = json!({ "email": email, "newsletter": "council-news", "notice": notice });
    for _ in 0..2 {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", email.as_str()),
        ];
        let answer = web.send(
            "POST",
            "/subscriptions",
            &headers,
            body.to_string().as_bytes(),
        )?;
        assert_eq!(answer.status, 202, "{}", answer.body);
        canaries.answers.push(answer.body);
    }
    sink.set_rules(refusals());
    letterbox.hand_over_issue("Bins", "Tuesday.")?;
    letterbox.wait_for_sql("SELECT count(*) FROM delivery WHERE state IN (0, 1)", "0")?;
    letterbox.wait_for_sql("SELECT count(*) FROM delivery WHERE state = 4", "2")?;
    let link = unsubscribe_link(&sink.wait_for(&residents[6].email, "Bins")?)?;
    canaries.answers.push(
        web.post_form(&link, &[("List-Unsubscribe", "One-Click")])?
            .body,
    );
    letterbox.wait_for_active(6)
}

#[test]
fn no_byte_left_behind_names_anybody() -> Result<()> {
    let sink = SmtpSink::start(Vec::new())?;
    let mut letterbox = sending_to(&sink, &["--log", "trace"])?;
    let mut canaries = Canaries::new();
    make_noise(&letterbox)?;
    failing(&letterbox, &mut canaries)?;
    working(&letterbox, &sink, &mut canaries)?;
    // While the database is away, and across a crash.
    letterbox.stop_postgres()?;
    let away = Resident::new(&canaries.next("away", "", ""));
    away.sign_up(&letterbox)?;
    letterbox.kill()?;
    letterbox.resume()?;
    join(&letterbox, &sink, &away)?;
    letterbox.wait_for_active(7)?;

    let left = letterbox.folder().join("left");
    fs::create_dir(&left)?;
    let dump = letterbox.postgres_tool("pg_dump", &["--inserts"])?.ok()?;
    assert!(dump.contains("subscriber") && dump.len() > 10_000);
    fs::write(left.join("dump.sql"), dump)?;
    let activity = "SELECT * FROM pg_stat_activity";
    fs::write(left.join("activity"), letterbox.sql(activity)?)?;
    let metrics = letterbox.web().get("/metrics")?;
    assert_eq!(metrics.status, 200);
    fs::write(left.join("metrics"), &metrics.body)?;
    fs::write(left.join("answers"), canaries.answers.join("\n"))?;
    assert!(
        letterbox.log()?.contains(" DEBUG sqlx::query"),
        "the log is at its noisiest"
    );
    let planted = letterbox.folder().join("planted");
    fs::create_dir(&planted)?;
    let number = plant_every_disguise(&canaries.words[..1], &planted)?;

    let scan = Scan {
        words: canaries.words,
        places: vec![letterbox.folder().to_owned()],
    };
    let found = scan.run()?;
    let (of_ours, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|finding| finding.file.starts_with(&planted));
    let files: BTreeSet<_> = of_ours.iter().map(|finding| &finding.file).collect();
    assert_eq!(
        files.len(),
        number + 1,
        "the scanner finds what was planted"
    );
    assert_eq!(others, []);
    Ok(())
}

#[test]
fn caught_mail_is_the_one_place_on_a_trial_machine() -> Result<()> {
    let letterbox = Letterbox::start_with(&["--log", "trace"])?;
    let mut canaries = Canaries::new();
    let resident = Resident::new(&canaries.next("caught", "", ""));
    resident.join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    letterbox.send_issue("Bins", "Tuesday.")?;
    letterbox.mailbox().wait_for(&resident.email, "Bins")?;
    assert_eq!(letterbox.web().get("/caught-mail")?.status, 200);
    let scan = Scan {
        words: canaries.words,
        places: vec![letterbox.folder().to_owned()],
    };
    let caught = letterbox.data().join("caught-mail");
    let (in_mail, others): (Vec<_>, Vec<_>) = scan
        .run()?
        .into_iter()
        .partition(|finding| finding.file.starts_with(&caught));
    assert!(!in_mail.is_empty());
    assert_eq!(others, []);
    Ok(())
}

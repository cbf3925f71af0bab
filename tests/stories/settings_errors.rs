//! Wrong settings end with exactly one clear line and exit code 2, before anything is created or
//! bound.

use anyhow::{Context as _, Result};
use support::{Ended, Letterbox};

fn one_line(words: &[&str], ended: &Ended) {
    assert_eq!(ended.code, Some(2), "{words:?}: {ended:?}");
    assert_eq!(
        ended.err.trim_end().lines().count(),
        1,
        "{words:?} said: {}",
        ended.err
    );
    assert!(ended.out.is_empty(), "{words:?} printed: {}", ended.out);
    assert!(ended.err.len() < 400, "{words:?} said: {}", ended.err);
}

/// What the line must name, and the words after `letterbox up`; `''` is an empty word, `HERE` a good
/// address, `SECRET` a file that everybody can read.
const WRONG_SETTINGS: &str = "
    --listen | --listen nonsense
    --listen | --listen ''
    --listen | --listen 127.0.0.1:99999
    --listen | --listen 127.0.0.1:0
    --listen | --listen 0.0.0.0:8099
    --listen | --listen
    --smtp | --listen 0.0.0.0:8099 --base-url https://news.example
    --base-url | --listen HERE --base-url http://news.example
    --base-url | --listen HERE --base-url nonsense
    --base-url | --listen HERE --base-url ''
    --base-url | --listen HERE --base-url https://news.example/?a=b
    --smtp | --listen HERE --smtp ftp://relay.example
    --smtp | --listen HERE --smtp ''
    --smtp | --listen HERE --smtp smtp://user:pass@relay.example
    --smtp | --listen HERE --smtp smtps://relay.example:x
    --smtp | --listen HERE --smtp-user jo
    password | --listen HERE --smtp smtps://relay.example --smtp-user jo
    --smtp-password-file | --listen HERE --smtp smtps://r.example --smtp-user jo --smtp-password x
    /nowhere | --listen HERE --smtp smtps://r.example --smtp-user jo --smtp-password-file /nowhere
    SECRET | --listen HERE --smtp smtps://r.example --smtp-user jo --smtp-password-file SECRET
    /nowhere | --listen HERE --smtp smtps://r.example --smtp-ca-file /nowhere
    --connections | --listen HERE --connections 0
    --connections | --listen HERE --connections many
    --log | --listen HERE --log =,=
    /nowhere | --listen HERE --postgres-bin /nowhere
    --no-such-option | --listen HERE --no-such-option
    more | more words
";

/// A file can be wrong in several places: a line for each, after one that names the file.
fn few_lines(file: &str, ended: &Ended) {
    assert_eq!(ended.code, Some(2), "{file}: {ended:?}");
    let lines = ended.err.trim_end().lines().count();
    assert!((1..=4).contains(&lines), "{file}: {}", ended.err);
    assert!(
        ended.err.starts_with("letterbox: "),
        "{file}: {}",
        ended.err
    );
    assert!(ended.err.len() < 1_500, "{file}: {}", ended.err);
    assert!(ended.out.is_empty(), "{file}: {}", ended.out);
}

#[test]
fn each_wrong_setting_of_up_is_one_line_and_nothing_is_made() -> Result<()> {
    let letterbox = Letterbox::prepare(&[])?;
    let here = format!("127.0.0.1:{}", letterbox.port());
    let secret = letterbox.write("open-secret", "s3cret\n")?;
    let filled = WRONG_SETTINGS
        .replace("HERE", &here)
        .replace("SECRET", &secret);
    for row in filled.lines().filter(|row| !row.is_empty()) {
        let (part, words) = row.split_once('|').context("no bar")?;
        let words = words.split_whitespace().map(|word| word.trim_matches('\''));
        let words: Vec<&str> = std::iter::once("up").chain(words).collect();
        let ended = letterbox.command(&words)?;
        one_line(&words, &ended);
        assert!(
            ended.err.contains(part.trim()),
            "{words:?} said: {}",
            ended.err
        );
        assert!(
            !letterbox.data().join("postgres/data").exists(),
            "{words:?} made a database"
        );
    }
    Ok(())
}

#[test]
fn each_wrong_command_is_one_line() -> Result<()> {
    let letterbox = Letterbox::prepare(&[])?;
    let [file, _] = letterbox.issue_files("Bins", "Tuesday.")?;
    let cases: &[&[&str]] = &[
        &["nonsense"],
        &["body", "nonsense"],
        &["body", "set"],
        &["body", "set", &file],
        &["newsletter", "add", &file],
        &["newsletter", "list"],
        &["issue", "send", &file],
        &["issue", "send", &file, "--newsletter", "council-news"],
        &["issue", "status", "x"],
        &["issue", "status", "-1"],
        &["keys", "show"],
    ];
    for words in cases {
        one_line(words, &letterbox.command(words)?);
    }
    Ok(())
}

const BODY: &str = include_str!("../../crates/letterbox/src/examples/body.toml");
const NEWSLETTER: &str = include_str!("../../crates/letterbox/src/examples/newsletter.toml");

#[test]
fn each_wrong_file_of_an_operator_is_named_and_changes_nothing() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let before =
        letterbox.sql("SELECT * FROM body")? + &letterbox.sql("SELECT * FROM newsletter")?;
    let bodies = [
        String::new(),
        "nonsense".into(),
        "[[".into(),
        format!("{BODY}\nunknown = 1\n"),
        BODY.replace("dpo_email", "dpo_mail"),
        BODY.replace("data.protection@council.example", "nobody"),
        BODY.replace("data.protection@council.example", ""),
        BODY.replace("https://ico.org.uk/", "http://ico.org.uk/"),
        BODY.replace("#0b5345", "green"),
        BODY.replace("#0b5345", "#ffffff"),
        BODY.replace("newsletters@council.example", "a@b@c"),
        BODY.replace("\"Example County Council\", cy", "\"\", cy"),
        BODY.replace(
            "Example County Council\", cy",
            &format!("{}\", cy", "x".repeat(5000)),
        ),
    ];
    for (number, text) in bodies.iter().enumerate() {
        assert_ne!(text, BODY, "case {number} changes nothing");
        let file = letterbox.write("body.toml", text)?;
        let ended = letterbox.command(&["body", "set", &file])?;
        few_lines(&format!("body {number}"), &ended);
    }
    let newsletters = [
        String::new(),
        NEWSLETTER.replace("council-news", "Council News"),
        NEWSLETTER.replace("council-news", ""),
        NEWSLETTER.replace("news@council.example", "nobody"),
        NEWSLETTER.replace("retention_days = 30", "retention_days = 91"),
        NEWSLETTER.replace("retention_days = 30", "retention_days = -1"),
        NEWSLETTER.replace("retention_days = 30", "retention_days = \"30\""),
        NEWSLETTER.replace("[\"en\", \"cy\"]", "[]"),
        NEWSLETTER.replace("[\"en\", \"cy\"]", "[\"fr\"]"),
        NEWSLETTER.replace("[\"en\", \"cy\"]", "[\"en\", \"en\"]"),
        NEWSLETTER.replace("\"consent\"", "\"legitimate_interests\""),
        NEWSLETTER.replace("frequency =", "frequencies ="),
        NEWSLETTER.replace("{ en = \"Council news\"", "{ en = \"\""),
    ];
    for (number, text) in newsletters.iter().enumerate() {
        assert_ne!(text, NEWSLETTER, "case {number} changes nothing");
        let file = letterbox.write("newsletter.toml", text)?;
        let ended = letterbox.command(&["newsletter", "add", &file])?;
        few_lines(&format!("newsletter {number}"), &ended);
    }
    std::fs::write(letterbox.folder().join("latin"), b"name = \"\xe9\"")?;
    for words in [
        ["body", "set", "latin"],
        ["newsletter", "add", "latin"],
        ["body", "set", "nowhere"],
        ["body", "set", "."],
    ] {
        one_line(&words, &letterbox.command(&words)?);
    }
    let after =
        letterbox.sql("SELECT * FROM body")? + &letterbox.sql("SELECT * FROM newsletter")?;
    assert_eq!(after, before);
    Ok(())
}

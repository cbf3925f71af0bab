//! A website of the council with a form of its own, and an operator who changes what the pages say.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;
use support::{
    DEADLINE, Letterbox, Resident, forms, repository, sign_up_form, urlencoded, wait_until,
};

#[test]
fn the_form_for_other_websites_works_and_the_website_is_recorded() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let snippet = web.get("/newsletters/council-news/form.html")?;
    assert_eq!(snippet.status, 200);
    assert!(!snippet.body.contains("<script") && !snippet.body.contains("style="));
    let form = forms(&snippet.body)
        .remove(0)
        .with("email", "jo@example.org");
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "https://www.council.example"),
    ];
    let answer = web.send(
        "POST",
        &form.action,
        &headers,
        urlencoded(&form.pairs()).as_bytes(),
    )?;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let thanks = web.get(answer.header("location").context("no way on")?)?;
    assert_eq!(thanks.status, 200);
    letterbox.wait_for_sql(
        "SELECT origin, channel FROM consent",
        "https://www.council.example|0",
    )?;
    letterbox.mailbox().wait_for("jo@example.org", "")?;
    Ok(())
}

#[test]
fn the_printed_curl_command_signs_up() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let log = letterbox.log()?;
    let line = log
        .lines()
        .find(|line| line.trim_start().starts_with("curl "))
        .context("no curl command is printed")?;
    let ended = Command::new("sh").args(["-c", line.trim()]).output()?;
    assert!(ended.status.success(), "{line}: {ended:?}");
    letterbox.mailbox().wait_for("me@example.org", "")?;
    Ok(())
}

#[test]
fn a_changed_notice_is_shown_at_once_and_the_old_one_counts_for_a_while() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let old = sign_up_form(&letterbox)?
        .field("notice")
        .context("no notice")?
        .to_owned();
    let body = repository().join("crates/letterbox/src/examples/body.toml");
    let body = std::fs::read_to_string(body)?.replace("data.protection@", "new.officer@");
    let file = letterbox.write("body.toml", &body)?;
    letterbox.command(&["body", "set", &file])?.ok()?;
    let mut new = String::new();
    wait_until("the new notice to be shown", DEADLINE, || {
        sign_up_form(&letterbox)?
            .field("notice")
            .unwrap_or_default()
            .clone_into(&mut new);
        Ok(new != old)
    })?;
    assert!(
        web.get("/newsletters/council-news")?
            .body
            .contains("new.officer@council.example")
    );
    for (address, notice) in [("old@example.org", &old), ("new@example.org", &new)] {
        let sign_up = json!({ "email": address, "newsletter": "council-news", "notice": notice });
        assert_eq!(
            web.post_json("/subscriptions", &sign_up)?.status,
            202,
            "{address}"
        );
        letterbox.mailbox().wait_for(address, "")?;
    }
    // Each consent names the words that its owner saw.
    let named = "SELECT encode(n.hash, 'hex') FROM consent c JOIN notice n ON n.id = c.notice_id
        ORDER BY c.requested_at";
    assert_eq!(letterbox.sql(named)?, format!("{old}\n{new}"));
    // The same words again are the same notice: nothing is written anew.
    letterbox.command(&["body", "set", &file])?.ok()?;
    let versions = letterbox.sql("SELECT max(version) FROM notice")?;
    assert_eq!(versions, "2");
    Ok(())
}

#[test]
fn a_second_newsletter_has_its_own_readers() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let examples = repository().join("crates/letterbox/src/examples/newsletter.toml");
    let text = std::fs::read_to_string(examples)?
        .replace("council-news", "jobs")
        .replace("Council news", "Jobs")
        .replace("[\"en\", \"cy\"]", "[\"en\"]");
    let file = letterbox.write("jobs.toml", &text)?;
    letterbox.command(&["newsletter", "add", &file])?.ok()?;
    let list = letterbox.command(&["newsletter", "list"])?.ok()?;
    assert!(
        list.contains("council-news") && list.contains("jobs"),
        "{list}"
    );
    wait_until("the second newsletter to open", DEADLINE, || {
        Ok(web.get("/newsletters/jobs")?.status == 200)
    })?;
    Resident::new("jo@example.org").join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    let page = web.get("/newsletters/jobs")?;
    let form = forms(&page.body)
        .into_iter()
        .find(|form| form.action.starts_with("/subscriptions"))
        .context("no form")?
        .with("email", "sam@example.org");
    assert_eq!(web.post_form(&form.action, &form.pairs())?.status, 303);
    Resident::new("sam@example.org").confirm(&letterbox)?;
    letterbox.wait_for_active(2)?;
    let [issue, _] = letterbox.issue_files("Gardeners wanted", "Write to us.")?;
    letterbox
        .command(&["issue", "send", &issue, "--newsletter", "jobs"])?
        .ok()?;
    letterbox
        .mailbox()
        .wait_for("sam@example.org", "Gardeners wanted")?;
    assert_eq!(
        letterbox.mailbox().to("jo@example.org")?.len(),
        1,
        "the confirmation only"
    );
    Ok(())
}

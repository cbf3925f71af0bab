//! PostgreSQL is away while people come and go: every request is answered 2xx, and every one is
//! applied when it is back.

use std::time::Duration;

use anyhow::Result;
use support::{Letterbox, Resident, confirm_link, unsubscribe_link, wait_until};

#[test]
fn nobody_notices_and_everything_is_applied_later() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let named = |kind: &str| -> Vec<Resident> {
        (0..5)
            .map(|number| Resident::new(&format!("{kind}{number}@example.org")))
            .collect()
    };
    let (leavers, stayers, confirmers) = (named("leaver"), named("stayer"), named("confirmer"));
    for resident in leavers.iter().chain(&stayers) {
        resident.join(&letterbox)?;
    }
    letterbox.wait_for_active(10)?;
    letterbox.send_issue("Before", "One.")?;
    let mut links = Vec::new();
    for resident in &leavers {
        let issue = letterbox.mailbox().wait_for(&resident.email, "Before")?;
        links.push(unsubscribe_link(&issue)?);
    }
    let mut confirmations = Vec::new();
    for resident in &confirmers {
        resident.sign_up(&letterbox)?;
        confirmations.push(confirm_link(
            &letterbox.mailbox().wait_for(&resident.email, "")?,
        )?);
    }

    letterbox.stop_postgres()?;
    let newcomers = named("newcomer");
    for resident in &newcomers {
        resident.sign_up(&letterbox)?;
    }
    for (resident, link) in confirmers.iter().zip(&confirmations) {
        resident.press(&letterbox, link, "/confirm/")?;
    }
    for link in &links {
        assert_eq!(web.get(link)?.status, 200, "the page is there");
        let answer = web.post_form(link, &[("List-Unsubscribe", "One-Click")])?;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(
        web.get("/newsletters/council-news")?.status,
        200,
        "from the copy on disk"
    );

    letterbox.start_postgres()?;
    letterbox.wait_for_sql(
        "SELECT count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2) FROM subscription",
        "10|5",
    )?;
    for resident in &newcomers {
        letterbox.mailbox().wait_for(&resident.email, "")?;
    }
    letterbox.send_issue("After", "Two.")?;
    for resident in stayers.iter().chain(&confirmers) {
        letterbox.mailbox().wait_for(&resident.email, "After")?;
    }
    for resident in leavers.iter().chain(&newcomers) {
        let mails = letterbox.mailbox().to(&resident.email)?;
        assert!(
            mails.iter().all(|mail| mail.subject != "After"),
            "{}",
            resident.email
        );
    }
    assert_eq!(
        letterbox.sql("SELECT count(*) FROM ledger_entry WHERE effect = 0")?,
        "5"
    );
    Ok(())
}

#[test]
fn a_server_that_died_is_started_again_by_itself() -> Result<()> {
    let letterbox = Letterbox::start()?;
    letterbox.kill_postgres()?;
    let jo = Resident::new("jo@example.org");
    jo.sign_up(&letterbox)?;
    wait_until(
        "PostgreSQL to be started again",
        Duration::from_mins(2),
        || Ok(letterbox.postgres_pid().is_some()),
    )?;
    jo.confirm(&letterbox)?;
    letterbox.wait_for_active(1)
}

//! Mail scanners, link previews and curious programs open every link of every mail, many times. None
//! of that changes anything (`privacy.md` EML-06).

use anyhow::Result;
use support::{Letterbox, Mail, Resident, confirm_link, text_of};

/// Everything that could have changed, in one line.
const STATE: &str = "SELECT (SELECT count(*) FROM sign_up), (SELECT count(*) FROM subscription WHERE state = 1),
    (SELECT count(*) FROM subscription), (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM suppression),
    (SELECT count(*) FROM early_event), (SELECT count(*) FROM mail), (SELECT sum(applied_upto) FROM spool),
    (SELECT count(*) FROM request_inbox)";

fn links_of(mail: &Mail, letterbox: &Letterbox) -> Vec<String> {
    let mut links: Vec<String> = mail
        .html
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(|href| href.replace("&amp;", "&"))
        .filter(|href| href.starts_with(&letterbox.base_url()))
        .collect();
    links.sort();
    links.dedup();
    links
}

#[test]
fn opening_every_link_of_every_mail_fifty_times_changes_nothing() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let (jo, sam) = (
        Resident::new("jo@example.org"),
        Resident::new("sam@example.org"),
    );
    jo.join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    sam.sign_up(&letterbox)?;
    let waiting = letterbox.mailbox().wait_for(&sam.email, "")?;
    letterbox.send_issue("Bins", "Bins are collected on Tuesday.")?;
    let issue = letterbox.mailbox().wait_for(&jo.email, "Bins")?;
    let mut links = links_of(&waiting, &letterbox);
    assert!(links.len() >= 2, "confirm and “not me”: {links:?}");
    links.extend(links_of(&issue, &letterbox));
    let applied = "SELECT count(*) FROM spool WHERE applied_upto < 0";
    letterbox.wait_for_sql(applied, "0")?;
    letterbox.wait_for_sql("SELECT count(*) FROM mail WHERE state <> 2", "0")?;
    letterbox.wait_for_sql("SELECT sum(applied_upto) FROM spool", "3")?;
    let before = letterbox.sql(STATE)?;

    let web = letterbox.web();
    let agents = [
        "",
        "Mozilla/5.0 (Windows NT 10.0; SafeLinks)",
        "facebookexternalhit/1.1",
    ];
    for round in 0..50 {
        for link in &links {
            let agent = [("user-agent", agents[round % agents.len()])];
            let method = if round % 5 == 4 { "HEAD" } else { "GET" };
            let answer = web.send(method, link, &agent, b"")?;
            assert_eq!(answer.status, 200, "{method} {link}");
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    // One more accepted request: when it is through, everything before it is.
    Resident::new("kim@example.org").sign_up(&letterbox)?;
    let kims = letterbox.mailbox().wait_for("kim@example.org", "")?;
    letterbox
        .web()
        .post_form(&not_me(&kims, &letterbox)?, &[])?;
    letterbox.wait_for_sql("SELECT sum(applied_upto) FROM spool", "5")?;
    letterbox.wait_for_sql("SELECT count(*) FROM subscription WHERE state = 1", "1")?;
    assert!(before.starts_with("1|1|"), "{before}");
    let subscriptions = "SELECT count(*), count(*) FILTER (WHERE state = 1) FROM subscription";
    assert_eq!(letterbox.sql(subscriptions)?, "1|1");
    // Sam's sign-up still waits, and its link still works.
    sam.press(&letterbox, &confirm_link(&waiting)?, "/confirm/")?;
    letterbox.wait_for_active(2)?;
    Ok(())
}

fn not_me(mail: &Mail, letterbox: &Letterbox) -> Result<String> {
    links_of(mail, letterbox)
        .into_iter()
        .find(|link| link.contains("/u/"))
        .ok_or_else(|| anyhow::anyhow!("no “not me” link: {}", mail.text))
}

#[test]
fn this_was_not_me_ends_the_sign_up() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let jo = Resident::new("jo@example.org");
    jo.sign_up(&letterbox)?;
    let mail = letterbox.mailbox().wait_for(&jo.email, "")?;
    jo.press(&letterbox, &not_me(&mail, &letterbox)?, "/u/")?;
    letterbox.wait_for_sql("SELECT count(*) FROM sign_up", "0")?;
    // The confirm button afterwards: a friendly page, and no subscription.
    let answer = letterbox
        .web()
        .post_form(&confirm_link(&mail)?, &[("button", "confirm")])?;
    assert!(answer.status < 500, "{}", text_of(&answer.body));
    letterbox.wait_for_sql("SELECT sum(applied_upto) FROM spool", "3")?;
    assert_eq!(
        letterbox.sql("SELECT count(*) FROM subscription WHERE state = 1")?,
        "0"
    );
    Ok(())
}

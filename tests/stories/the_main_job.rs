//! A resident signs up on the council's page, confirms, gets the newsletter, leaves with one press,
//! and never hears again.

use anyhow::{Context as _, Result};
use support::{
    Letterbox, Mail, Resident, confirm_link, forms, read_by_python, text_of, unsubscribe_link,
    url_path,
};

const MARKDOWN: &str = "Hello,

## Bins are collected on Tuesday

The [calendar](https://council.example/bins?week=1&day=2#top) has **all** dates, café & crèche included.

.A line that begins with a dot, and a very long one: lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua.

From Monday the library opens early.";

#[test]
fn a_resident_signs_up_confirms_reads_and_leaves_for_good() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let list = web.get("/newsletters")?;
    assert_eq!(list.status, 200);
    assert!(
        list.body.contains("/newsletters/council-news"),
        "{}",
        list.body
    );

    let jo = Resident::new("Jo.Bloggs+bins@Example.ORG");
    jo.sign_up(&letterbox)?;
    let mail = letterbox.mailbox().wait_for(&jo.email, "")?;
    check_bytes(&mail)?;
    assert_eq!(mail.to, jo.email, "delivered as typed");
    // The one-click header of a confirmation does what its last link does: “this wasn't me”.
    let not_me = unsubscribe_link(&mail)?;
    assert_eq!(mail.header("list-unsubscribe")?, format!("<{not_me}>"));

    let link = confirm_link(&mail)?;
    for _ in 0..2 {
        let page = web.get(&link)?;
        assert_eq!(page.status, 200);
        assert_eq!(
            forms(&page.body)
                .iter()
                .filter(|form| form.method == "post")
                .count(),
            1
        );
    }
    assert_eq!(
        letterbox.sql("SELECT count(*) FROM subscription WHERE state = 1")?,
        "0"
    );
    jo.confirm(&letterbox)?;
    letterbox.wait_for_active(1)?;

    let said = letterbox.send_issue("Bins on Tuesday", MARKDOWN)?;
    assert!(said.contains('1'), "{said}");
    let first = letterbox.mailbox().wait_for(&jo.email, "Bins on Tuesday")?;
    check_issue(&letterbox, &first)?;

    let link = unsubscribe_link(&first)?;
    let answer = web.send(
        "POST",
        &link,
        &[("content-type", "application/x-www-form-urlencoded")],
        b"List-Unsubscribe=One-Click",
    )?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.body.trim().lines().count(),
        1,
        "one line: {}",
        answer.body
    );
    assert_eq!(answer.header("set-cookie"), None);
    letterbox.wait_for_active(0)?;
    assert_eq!(
        letterbox.sql("SELECT method, effect FROM ledger_entry")?,
        "0|0"
    );

    let before = letterbox.mailbox().all()?.len();
    letterbox.send_issue("Nobody reads this", MARKDOWN)?;
    assert_eq!(letterbox.mailbox().all()?.len(), before, "nobody is mailed");
    let status = letterbox.command(&["issue", "status"])?.ok()?;
    assert!(status.contains("audience"), "{status}");
    Ok(())
}

/// What both parsers must find in every mail of ours.
fn check_bytes(mail: &Mail) -> Result<()> {
    let python = read_by_python(&mail.bytes)?;
    assert_eq!(python.list("defects"), Vec::<&str>::new());
    assert_eq!(
        python.list("kinds"),
        ["multipart/alternative", "text/plain", "text/html"]
    );
    assert_eq!(python.list("charsets"), ["utf-8", "utf-8"]);
    assert!(mail.has_parts(2));
    for name in [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "mime-version",
    ] {
        assert_eq!(python.headers(name).len(), 1, "{name}");
        assert_eq!(mail.headers(name).len(), 1, "{name}");
    }
    for name in ["cc", "bcc", "set-cookie"] {
        assert_eq!(python.headers(name).len(), 0, "{name}");
    }
    assert_eq!(python.headers("subject"), [mail.subject.as_str()]);
    let same = |ours: &str, theirs: &str| {
        let plain = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
        assert_eq!(plain(ours), plain(theirs), "the two parsers disagree");
    };
    same(&mail.text, python.part("text"));
    same(&mail.html, python.part("html"));
    assert!(mail.bytes.is_ascii(), "7 bits on the wire");
    let text = String::from_utf8(mail.bytes.clone())?;
    assert!(
        !text.replace("\r\n", "").contains(['\r', '\n', '\0']),
        "CRLF only"
    );
    assert!(text.split("\r\n").all(|line| line.len() <= 998));
    assert!(
        !mail.html.contains("<img") && !mail.html.contains("<script"),
        "nothing is loaded"
    );
    Ok(())
}

fn check_issue(letterbox: &Letterbox, mail: &Mail) -> Result<()> {
    check_bytes(mail)?;
    let python = read_by_python(&mail.bytes)?;
    let link = unsubscribe_link(mail)?;
    assert!(link.starts_with(&letterbox.base_url()), "{link}");
    assert_eq!(mail.header("list-unsubscribe")?.trim(), format!("<{link}>"));
    assert_eq!(python.headers("list-unsubscribe"), [format!("<{link}>")]);
    assert_eq!(
        mail.header("list-unsubscribe-post")?.trim(),
        "List-Unsubscribe=One-Click"
    );
    let list_id = mail.header("list-id")?;
    assert!(
        list_id.contains("<council-news.") && list_id.ends_with(".council.example>"),
        "{list_id}"
    );
    assert_eq!(mail.from, "news@council.example");
    assert!(
        mail.header("reply-to")?
            .contains("newsletters@council.example")
    );
    assert_eq!(mail.header("content-language")?.trim(), "en");
    let id = mail.header("message-id")?.trim();
    let local = id
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix("@council.example>"));
    let local = local.with_context(|| format!("Message-ID {id}"))?;
    assert_eq!(local.len(), 26, "{id}");

    // Links byte for byte, no tracking, and the way out at the bottom of both parts.
    let target = "https://council.example/bins?week=1&day=2#top";
    assert!(mail.text.contains(target), "{}", mail.text);
    assert!(
        mail.html
            .contains(&format!("href=\"{}\"", target.replace('&', "&amp;")))
    );
    assert!(mail.text.contains("café & crèche"));
    assert!(
        mail.text.contains("\n.A line that begins with a dot"),
        "{}",
        mail.text
    );
    let end = mail.text.len() - mail.text.rfind(&link).context("no link")?;
    assert!(end < 400, "the text goes on for {end} bytes after the link");
    let in_html = mail
        .html
        .rfind(&url_path(&link).replace('&', "&amp;"))
        .context("no link")?;
    let after = text_of(&mail.html[in_html..]);
    assert!(
        after.len() < 400,
        "the HTML goes on after the link: {after}"
    );
    for href in mail.html.split("href=\"").skip(1) {
        let href = href.split('"').next().unwrap_or_default();
        let known = [
            letterbox.base_url().as_str(),
            "https://council.example/",
            "mailto:",
            "https://ico.org.uk/",
        ]
        .iter()
        .any(|start| href.starts_with(start));
        assert!(known, "an unknown link: {href}");
    }
    assert!(mail.html.len() < 100_000);
    Ok(())
}

#[test]
fn a_welsh_reader_gets_everything_in_welsh() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let page = web.get("/newsletters/council-news?lang=cy")?;
    assert!(page.body.contains("lang=\"cy\"") && page.body.contains("Newyddion y cyngor"));
    let form = forms(&page.body)
        .into_iter()
        .find(|form| form.action.starts_with("/subscriptions"))
        .context("no form")?
        .with("email", "siân@example.org");
    assert_eq!(web.post_form(&form.action, &form.pairs())?.status, 303);
    let sian = Resident::new("siân@example.org");
    let mail = letterbox.mailbox().wait_for(&sian.email, "")?;
    assert_eq!(mail.header("content-language")?.trim(), "cy");
    let page = web.get(&confirm_link(&mail)?)?;
    assert!(page.body.contains("lang=\"cy\""));
    sian.confirm(&letterbox)?;
    letterbox.wait_for_active(1)?;
    letterbox.send_issue("Bins", MARKDOWN)?;
    let issue = letterbox
        .mailbox()
        .wait_for(&sian.email, "Bins (Cymraeg)")?;
    assert_eq!(issue.header("content-language")?.trim(), "cy");
    Ok(())
}

#[test]
fn the_shipped_example_is_sent_as_the_summary_says() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let jo = Resident::new("jo@example.org");
    jo.join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    let log = letterbox.log()?;
    let line = log
        .lines()
        .find(|line| line.contains("issue send"))
        .context("no such command")?;
    let words: Vec<&str> = line
        .split_whitespace()
        .skip_while(|word| *word != "issue")
        .collect();
    let words: Vec<&str> = words
        .into_iter()
        .take_while(|word| *word != "--data")
        .collect();
    letterbox.command(&words)?.ok()?;
    letterbox
        .mailbox()
        .wait_for(&jo.email, "What is new in Exampleton this month")?;
    Ok(())
}

#[test]
fn who_already_gets_it_is_told_once_a_day_and_pages_show_no_difference() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let jo = Resident::new("jo@example.org");
    jo.join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    for _ in 0..3 {
        jo.sign_up(&letterbox)?;
    }
    // A later sign-up of somebody else: when it is through, the three are.
    Resident::new("sam@example.org").join(&letterbox)?;
    letterbox.wait_for_active(2)?;
    letterbox.wait_for_sql("SELECT count(*) FROM mail WHERE state <> 2", "0")?;
    let mails = letterbox.mailbox().to(&jo.email)?;
    assert_eq!(
        mails.len(),
        2,
        "a confirmation, and one “you already get this”"
    );
    assert!(confirm_link(&mails[1]).is_err(), "{}", mails[1].text);
    Ok(())
}

//! The whole way in Chromium with JavaScript switched off, by keyboard and mouse.

use anyhow::Result;
use support::{Browser, Letterbox, confirm_link, unsubscribe_link};

#[test]
fn a_resident_needs_no_javascript() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let browser = Browser::without_javascript()?;
    // The browser is what the test says it is.
    browser.go("data:text/html,<title>off</title><p>x</p><script>document.title='on'</script>")?;
    assert_eq!(browser.title()?, "off");

    browser.go(&format!(
        "{}/newsletters/council-news",
        letterbox.base_url()
    ))?;
    assert!(browser.text("h1")?.contains("Council news"));
    // A mistake first: the page comes back, names the field and keeps what was typed.
    let email = "input[name=email]";
    browser.fill(email, "jo@example")?;
    browser.click("main button[type=submit], form[method=post] button")?;
    assert!(
        browser.count("[aria-invalid=true], .error, [role=alert]")? > 0,
        "{}",
        browser.text("body")?
    );
    assert_eq!(
        browser.value(email)?,
        "jo@example",
        "what was typed is kept"
    );
    browser.fill(email, "jo@example.org")?;
    browser.click("main button[type=submit], form[method=post] button")?;
    assert!(
        !browser.address()?.contains('@'),
        "no address in an address"
    );
    assert!(
        browser.text("body")?.to_lowercase().contains("email"),
        "{}",
        browser.text("body")?
    );

    let mail = letterbox.mailbox().wait_for("jo@example.org", "")?;
    browser.go(&confirm_link(&mail)?)?;
    browser.click("form[method=post] button")?;
    letterbox.wait_for_active(1)?;
    assert!(
        browser.text("body")?.contains("confirm"),
        "{}",
        browser.text("body")?
    );

    letterbox.send_issue("Bins", "Bins are collected on Tuesday.")?;
    let issue = letterbox.mailbox().wait_for("jo@example.org", "Bins")?;
    browser.go(&unsubscribe_link(&issue)?)?;
    letterbox.wait_for_active(1)?;
    browser.click("form[method=post] button")?;
    letterbox.wait_for_active(0)?;
    assert_eq!(browser.count("code.receipt")?, 1);
    browser.click("form[action*=undo] button")?;
    letterbox.wait_for_active(1)?;
    assert_eq!(browser.count("script")?, 0);
    Ok(())
}

#[test]
fn caught_mail_can_be_read_and_followed_in_the_browser() -> Result<()> {
    let letterbox = Letterbox::start()?;
    support::Resident::new("jo@example.org").sign_up(&letterbox)?;
    letterbox.mailbox().wait_for("jo@example.org", "")?;
    let browser = Browser::without_javascript()?;
    browser.go(&format!("{}/caught-mail", letterbox.base_url()))?;
    assert!(
        browser.text("body")?.contains("jo@example.org"),
        "{}",
        browser.text("body")?
    );
    browser.click("main a[href*='caught-mail/']")?;
    assert!(browser.text("body")?.contains("jo@example.org") || browser.count("iframe")? > 0);
    Ok(())
}

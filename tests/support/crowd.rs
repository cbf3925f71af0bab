//! Many residents at once, quickly: by the JSON door, and by one click.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::{Answer, DEADLINE, Form, Site, Web, confirm_link, forms, sign_up_form, wait_for};

/// Addresses that no other part of a story has.
#[must_use]
pub fn addresses(kind: &str, number: usize) -> Vec<String> {
    (0..number)
        .map(|number| format!("{kind}{number}@example.org"))
        .collect()
}

/// The hash of the notice that is on the form of `council-news`.
///
/// # Errors
/// There is no such form.
pub fn notice_of(site: &impl Site) -> Result<String> {
    let form = sign_up_form(site)?;
    Ok(form.field("notice").context("no notice")?.to_owned())
}

/// Signs an address up for `council-news` by JSON.
///
/// # Errors
/// No answer came.
pub fn sign_up_by_json(web: &Web, notice: &str, email: &str) -> Result<Answer> {
    let body = json!({
        "email": email, "newsletter": "council-news", "notice": notice, "language": "en",
    });
    web.post_json("/subscriptions", &body)
}

/// Signs all of these up, expecting 202 for each.
///
/// # Errors
/// One is answered otherwise.
pub fn all_sign_up(site: &impl Site, emails: &[String]) -> Result<()> {
    let (web, notice) = (site.web(), notice_of(site)?);
    for email in emails {
        let answer = sign_up_by_json(&web, &notice, email)?;
        ensure!(
            answer.status == 202,
            "{email}: {} {}",
            answer.status,
            answer.body
        );
    }
    Ok(())
}

/// Waits for the confirmation of each of these and gives their links, in the same order.
///
/// # Errors
/// One does not come.
pub fn confirm_links(site: &impl Site, emails: &[String]) -> Result<Vec<String>> {
    let mailbox = site.mailbox();
    wait_for("all confirmations", DEADLINE, || {
        let mails = mailbox.all()?;
        let links = emails.iter().map(|email| {
            let mut to_it = mails.iter().filter(|mail| mail.to == *email);
            to_it.find_map(|mail| confirm_link(mail).ok())
        });
        Ok(links.collect())
    })
}

/// Presses the button behind each confirm link.
///
/// # Errors
/// One is not answered with 200.
pub fn confirm_all(site: &impl Site, links: &[String]) -> Result<()> {
    let web = site.web();
    for link in links {
        let answer = web.post_form(link, &[("button", "confirm")])?;
        ensure!(
            answer.status == 200,
            "{link}: {} {}",
            answer.status,
            answer.body
        );
    }
    Ok(())
}

/// Signs all of these up and confirms.
///
/// # Errors
/// Any step fails.
pub fn all_join(site: &impl Site, emails: &[String]) -> Result<()> {
    all_sign_up(site, emails)?;
    confirm_all(site, &confirm_links(site, emails)?)
}

/// Unsubscribes as a mail program does.
///
/// # Errors
/// It is not answered with 200.
pub fn leave(web: &Web, link: &str) -> Result<()> {
    let answer = web.post_form(link, &[("List-Unsubscribe", "One-Click")])?;
    ensure!(
        answer.status == 200,
        "{link}: {} {}",
        answer.status,
        answer.body
    );
    Ok(())
}

/// Unsubscribes by the page's button, and gives the form that undoes it.
///
/// # Errors
/// It does not work, or there is no way back.
pub fn leave_by_page(web: &Web, link: &str) -> Result<Form> {
    let page = web.get(link)?;
    let button = forms(&page.body)
        .into_iter()
        .find(|form| form.method == "post");
    let button = button.with_context(|| format!("no button: {}", page.body))?;
    let done = web.post_form(&button.target(link), &button.pairs())?;
    ensure!(done.status == 200, "{link}: {} {}", done.status, done.body);
    forms(&done.body)
        .into_iter()
        .find(|form| form.action.contains("/undo/"))
        .with_context(|| format!("no way back: {}", done.body))
}

/// Presses the button of such a form.
///
/// # Errors
/// It is not answered with 200.
pub fn undo(web: &Web, form: &Form) -> Result<()> {
    let answer = web.post_form(&form.action, &form.pairs())?;
    ensure!(
        answer.status == 200,
        "undo: {} {}",
        answer.status,
        answer.body
    );
    Ok(())
}

//! What a person does: sign up by the form, confirm by the mail, leave by a link.

use anyhow::{Context as _, Result, ensure};

use crate::{Form, Mail, Mailbox, Web, forms, text_of};

/// Where residents go: an installation of any kind.
pub trait Site {
    /// A client for its pages.
    fn web(&self) -> Web;

    /// Its caught mail.
    fn mailbox(&self) -> Mailbox;
}

/// A person with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// The address, as typed.
    pub email: String,
}

impl Resident {
    /// A person with this address.
    #[must_use]
    pub fn new(email: &str) -> Self {
        Self {
            email: email.to_owned(),
        }
    }

    /// Fills the hosted form of `council-news` and sends it; expects the way to the thank-you page.
    ///
    /// # Errors
    /// The page has no such form, or the answer is no 303.
    pub fn sign_up(&self, site: &impl Site) -> Result<()> {
        let form = sign_up_form(site)?.with("email", &self.email);
        let answer = site.web().post_form(&form.action, &form.pairs())?;
        ensure!(
            answer.status == 303,
            "signing up: {} {}",
            answer.status,
            answer.body
        );
        Ok(())
    }

    /// Waits for the confirmation mail and presses its button.
    ///
    /// # Errors
    /// No mail came, or the button did not work.
    pub fn confirm(&self, site: &impl Site) -> Result<()> {
        self.confirm_by(site, &site.mailbox().wait_for(&self.email, "")?)
    }

    /// Presses the button behind the link of this mail.
    ///
    /// # Errors
    /// The mail has no link, or the button did not work.
    pub fn confirm_by(&self, site: &impl Site, mail: &Mail) -> Result<()> {
        self.press(site, &confirm_link(mail)?, "/confirm/")
    }

    /// Opens a page and presses the button of its first form that posts to this path.
    ///
    /// # Errors
    /// Page or button did not work.
    pub fn press(&self, site: &impl Site, link: &str, path: &str) -> Result<()> {
        let web = site.web();
        let page = web.get(link)?;
        ensure!(
            page.status == 200,
            "{link}: {} {}",
            page.status,
            text_of(&page.body)
        );
        let form = forms(&page.body)
            .into_iter()
            .find(|form| form.method == "post" && form.target(link).contains(path))
            .with_context(|| format!("no button on {link}: {}", text_of(&page.body)))?;
        let answer = web.post_form(&form.target(link), &form.pairs())?;
        let said = text_of(&answer.body);
        ensure!(
            answer.status == 200,
            "the button of {link}: {} {said}",
            answer.status
        );
        Ok(())
    }

    /// Signs up and confirms, and waits until the subscription is active.
    ///
    /// # Errors
    /// Any step failed.
    pub fn join(&self, site: &impl Site) -> Result<()> {
        self.sign_up(site)?;
        self.confirm(site)
    }
}

/// The form for signing up on the hosted page of `council-news`, in English.
///
/// # Errors
/// The page has no such form.
pub fn sign_up_form(site: &impl Site) -> Result<Form> {
    let page = site.web().get("/newsletters/council-news?lang=en")?;
    ensure!(
        page.status == 200,
        "the hosted page: {} {}",
        page.status,
        page.body
    );
    forms(&page.body)
        .into_iter()
        .find(|form| form.action.starts_with("/subscriptions"))
        .with_context(|| format!("no form for signing up: {}", page.body))
}

/// The confirm link of a mail.
///
/// # Errors
/// There is none.
pub fn confirm_link(mail: &Mail) -> Result<String> {
    link_with(&mail.text, "/confirm/").with_context(|| format!("no confirm link: {}", mail.text))
}

/// The last unsubscribe link of the text part.
///
/// # Errors
/// There is none.
pub fn unsubscribe_link(mail: &Mail) -> Result<String> {
    link_with(&mail.text, "/u/").with_context(|| format!("no unsubscribe link: {}", mail.text))
}

fn link_with(text: &str, path: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_matches(['<', '>', '(', ')', '[', ']', ',', '.']))
        .rfind(|word| word.starts_with("http") && word.contains(path))
        .map(str::to_owned)
}

/// The part of an address after its host, with the query.
#[must_use]
pub fn url_path(link: &str) -> &str {
    link.splitn(4, '/').nth(3).map_or("/", |_| {
        let after_host = link
            .match_indices('/')
            .nth(2)
            .map_or(link.len(), |(index, _)| index);
        &link[after_host..]
    })
}

/// The token in a link.
#[must_use]
pub fn token_of(link: &str) -> &str {
    link.split('?')
        .next()
        .and_then(|plain| plain.rsplit('/').next())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_apart() {
        let link = "http://127.0.0.1:1/u/AbC-_?n=council-news&l=en";
        assert_eq!(url_path(link), "/u/AbC-_?n=council-news&l=en");
        assert_eq!(token_of(link), "AbC-_");
        assert_eq!(
            link_with(&format!("Leave: <{link}>."), "/u/").as_deref(),
            Some(link)
        );
    }
}

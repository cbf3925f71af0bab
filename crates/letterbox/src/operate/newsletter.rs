//! `letterbox newsletter add` and `newsletter list`.

use anyhow::Context;
use domain::{Clock, Language, LawfulBasis, Newsletter, NewsletterNumber, Slug, Words};
use serde::Deserialize;
use service_runtime::SystemClock;
use store::NewNewsletter;

use super::{block_on, installation, read_input};
use crate::cli::NewsletterCommand;
use crate::failure::{self, SettingsError};
use crate::up::print_line;

/// The file that `newsletter add` takes (TOML).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewsletterFile {
    slug: Slug,
    name: Words,
    summary: Words,
    frequency: Words,
    sender_address: String,
    languages: Vec<Language>,
    retention_days: u16,
    #[serde(default = "consent")]
    lawful_basis: LawfulBasis,
    #[serde(default = "yes")]
    open: bool,
}

const fn consent() -> LawfulBasis {
    LawfulBasis::Consent
}

const fn yes() -> bool {
    true
}

impl NewsletterFile {
    /// Reads the file; [`domain::notice_problems`] checks it against the body later.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error| failure::toml_problem(&error).into())
    }

    /// The newsletter as the checks of its notice see it; its number comes from the database.
    pub(crate) fn as_newsletter(&self) -> Newsletter {
        Newsletter {
            number: NewsletterNumber(0),
            slug: self.slug.clone(),
            name: self.name.clone(),
            summary: self.summary.clone(),
            frequency: self.frequency.clone(),
            sender_address: self.sender_address.clone(),
            languages: self.languages.clone(),
            retention_days: self.retention_days,
            lawful_basis: self.lawful_basis,
            open: self.open,
        }
    }

    /// The newsletter as the database takes it.
    pub(crate) fn into_new(self) -> NewNewsletter {
        NewNewsletter {
            slug: self.slug,
            name: self.name,
            summary: self.summary,
            frequency: self.frequency,
            sender_address: self.sender_address,
            languages: self.languages,
            retention_days: self.retention_days,
            lawful_basis: self.lawful_basis,
            open: self.open,
        }
    }
}

/// Runs the command.
pub(crate) fn run(command: NewsletterCommand) -> anyhow::Result<()> {
    match command {
        NewsletterCommand::Add { file, target } => {
            let newsletter = read_input(&file)
                .and_then(|text| NewsletterFile::parse(&text))
                .map_err(|error| failure::in_file(&file, error))?;
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                let catalogue = open.catalogue().await?;
                let Some(body) = &catalogue.body else {
                    return Err(SettingsError::new(format!(
                        "no newsletter opens before the body is set: change {} and give it to `letterbox body set` first",
                        open.example("body.toml")
                    ))
                    .into());
                };
                let problems = domain::notice_problems(body, &newsletter.as_newsletter());
                failure::refuse_problems("the newsletter's file needs these changes", &problems)
                    .map_err(|error| failure::in_file(&file, error.into()))?;
                let is_new = catalogue.newsletter(newsletter.slug.as_str()).is_none();
                let desk = open.database.operator();
                let (newsletter, now) = (newsletter.into_new(), SystemClock.now());
                let saved = if is_new {
                    desk.add_newsletter(&newsletter, now).await
                } else {
                    desk.change_newsletter(&newsletter, now).await
                };
                let saved = saved.context("the newsletter was not saved")?.context(
                    "somebody else changed this newsletter at the same time: run this again",
                )?;
                let done = if is_new { "Added" } else { "Changed" };
                print_line(&format!(
                    "{done} the newsletter {} (number {}).",
                    saved.slug, saved.number.0
                ));
                let page = format!("/newsletters/{}", saved.slug);
                open.print_page("Sign-up page  ", &page);
                open.print_page("Form to paste ", &format!("{page}/form.html"));
                Ok(())
            })
        }
        NewsletterCommand::List { target } => {
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                let catalogue = open.catalogue().await?;
                if catalogue.newsletters.is_empty() {
                    print_line(&format!(
                        "No newsletter yet: change {} and give it to `letterbox newsletter add`.",
                        open.example("newsletter.toml")
                    ));
                }
                for newsletter in &catalogue.newsletters {
                    let languages: Vec<&str> = newsletter
                        .languages
                        .iter()
                        .map(|language| language.tag())
                        .collect();
                    print_line(&format!(
                        "{:>4}  {:<24} {:<6} {:<7} {}",
                        newsletter.number.0,
                        newsletter.slug.as_str(),
                        if newsletter.open { "open" } else { "closed" },
                        languages.join(","),
                        newsletter.name.in_language(Language::En)
                    ));
                }
                Ok(())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../examples/newsletter.toml");

    #[test]
    fn wrong_values_are_named() {
        for (good, bad, part) in [
            ("\"council-news\"", "\"Council News\"", "slug"),
            (
                "retention_days = 30",
                "retention_days = -1",
                "retention_days",
            ),
            ("[\"en\", \"cy\"]", "[\"fr\"]", "languages"),
            ("\"consent\"", "\"legitimate_interests\"", "lawful_basis"),
            ("sender_address", "sender", "sender"),
        ] {
            assert!(GOOD.contains(good), "{good}");
            let refusal = format!(
                "{:#}",
                NewsletterFile::parse(&GOOD.replace(good, bad))
                    .err()
                    .unwrap()
            );
            assert!(refusal.contains(part), "{bad}: {refusal}");
        }
    }
}

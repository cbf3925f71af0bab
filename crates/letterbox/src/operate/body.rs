//! `letterbox body set` and `body show`.

use anyhow::{Context, bail};
use domain::{Body, Clock, Language};
use service_runtime::SystemClock;

use super::{block_on, installation, read_input};
use crate::cli::BodyCommand;
use crate::failure::{self, SettingsError};
use crate::up::print_line;

/// The file that `body set` takes: a [`Body`] in TOML.
pub(crate) struct BodyFile;

impl BodyFile {
    /// Reads and checks it; every problem is named at once.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Body> {
        let body: Body = toml::from_str(text).map_err(|error| failure::toml_problem(&error))?;
        let problems = domain::body_problems(&body);
        failure::refuse_problems("the body's file needs these changes", &problems)?;
        Ok(body)
    }
}

/// Runs the command.
pub(crate) fn run(command: BodyCommand) -> anyhow::Result<()> {
    match command {
        BodyCommand::Set { file, target } => {
            let body = read_input(&file)
                .and_then(|text| BodyFile::parse(&text))
                .map_err(|error| failure::in_file(&file, error))?;
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                let catalogue = open.catalogue().await?;
                for newsletter in &catalogue.newsletters {
                    let problems = domain::notice_problems(&body, newsletter);
                    let title =
                        format!("the newsletter {} would not fit this body", newsletter.slug);
                    failure::refuse_problems(&title, &problems)?;
                }
                open.database
                    .operator()
                    .set_body(&body, SystemClock.now())
                    .await
                    .context("the body was not saved")?;
                print_line(&format!(
                    "Saved. Newsletters are sent by {}.",
                    body.name.in_language(Language::En)
                ));
                open.print_page("See", "/privacy");
                open.print_page("The notices are at", "/newsletters");
                Ok(())
            })
        }
        BodyCommand::Show { target } => {
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                let catalogue = open.catalogue().await?;
                let Some(body) = catalogue.body else {
                    return Err(SettingsError::new(format!(
                        "the body is not set yet: change {} and give it to `letterbox body set`",
                        open.example("body.toml")
                    ))
                    .into());
                };
                match toml::to_string(&body) {
                    Ok(text) => print_line(text.trim_end()),
                    Err(error) => bail!("the body cannot be shown: {error}"),
                }
                Ok(())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../examples/body.toml");

    #[test]
    fn a_missing_or_unknown_key_is_named() {
        let without = GOOD.replace("dpo_email", "dpo_mail");
        let refusal = format!("{:#}", BodyFile::parse(&without).err().unwrap());
        assert!(refusal.contains("dpo_mail"), "{refusal}");
        let without: String = GOOD
            .lines()
            .filter(|line| !line.starts_with("dpo_email"))
            .collect::<Vec<_>>()
            .join("\n");
        let refusal = format!("{:#}", BodyFile::parse(&without).err().unwrap());
        assert!(refusal.contains("dpo_email"), "{refusal}");
    }

    #[test]
    fn an_empty_field_is_refused_by_name() {
        let empty = GOOD.replace("data.protection@council.example", "");
        let refusal = format!("{:#}", BodyFile::parse(&empty).err().unwrap());
        assert!(refusal.contains("dpo_email"), "{refusal}");
    }
}

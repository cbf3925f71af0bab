//! `letterbox issue show`: an issue as it was sent, word for word.

use std::fmt::Write as _;

use anyhow::Context;
use domain::{IssueNumber, Language};
use store::{FrozenText, IssueAsSent, IssueContent};

use super::issue_status::{moment, no_such_issue};
use super::{block_on, installation};
use crate::cli::Target;
use crate::failure::SettingsError;
use crate::up::print_line;

/// What stands where each reader's own link is.
const LINK: &str = "{link}";

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Summary,
    Text,
    Html,
}

/// Runs the command.
pub(super) fn run(
    number: IssueNumber,
    language: Option<&str>,
    form: Form,
    target: &Target,
) -> anyhow::Result<()> {
    let language = language.map(parse_language).transpose()?;
    let place = installation::place_of(target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let sent = open
            .database
            .issues()
            .as_sent(number)
            .await
            .context("the issue cannot be read")?
            .ok_or_else(|| no_such_issue(number))?;
        print_line(
            match form {
                Form::Summary => summary(&sent),
                Form::Text | Form::Html => text(&sent, language, form)?,
            }
            .trim_end(),
        );
        Ok(())
    })
}

fn parse_language(tag: &str) -> Result<Language, SettingsError> {
    [Language::En, Language::Cy]
        .into_iter()
        .find(|language| language.tag() == tag)
        .ok_or_else(|| SettingsError::new(format!("--language {tag}: it is en or cy")))
}

fn summary(sent: &IssueAsSent) -> String {
    let mut lines = format!("Issue {}", sent.number.0);
    if let Some(approved) = sent.approved {
        let _ = write!(lines, ", approved at {}", moment(approved));
    }
    let _ = writeln!(
        lines,
        "\n  approved texts: SHA-256 {}",
        hex(&sent.content_sha256)
    );
    for content in &sent.contents {
        let _ = writeln!(lines, "  {}: {}", content.language.tag(), content.subject);
        match &content.frozen {
            Some(frozen) => {
                let _ = writeln!(lines, "    from {}", frozen.sender);
                let _ = writeln!(lines, "    as sent: SHA-256 {}", hex(&frozen.sha256));
            }
            None => lines.push_str("    an earlier version sent it and kept its Markdown only\n"),
        }
    }
    lines
}

fn text(
    sent: &IssueAsSent,
    language: Option<Language>,
    form: Form,
) -> Result<String, SettingsError> {
    let content: &IssueContent = match language {
        Some(language) => sent.contents.iter().find(|it| it.language == language),
        None => sent.contents.first(),
    }
    .ok_or_else(|| {
        SettingsError::new(format!(
            "issue {} has no text in this language",
            sent.number.0
        ))
    })?;
    let Some(frozen) = &content.frozen else {
        return Err(SettingsError::new(format!(
            "an earlier version sent issue {} and kept its Markdown only, in the table issue_content",
            sent.number.0
        )));
    };
    Ok(with_link(frozen, form))
}

fn with_link(frozen: &FrozenText, form: Form) -> String {
    let text = match form {
        Form::Html => &frozen.html,
        _ => &frozen.text,
    };
    text.replace(&frozen.place, LINK)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

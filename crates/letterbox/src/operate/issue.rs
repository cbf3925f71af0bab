//! `letterbox issue send` and `issue status`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use domain::{Catalogue, Clock, IssueNumber, Language, Newsletter, Slug};
use issue_text::{IssueText, Severity};
use mail::{FrozenIssue, IssueMail};
use service_runtime::SystemClock;
use sha2::{Digest, Sha256};
use store::{ApproveError, InDoubtPolicy, IssueContent, IssueDesk, IssueState, NewIssue};

use super::progress_line::{ProgressLine, describe};
use super::{block_on, installation, read_input};
use crate::cli::IssueCommand;
use crate::failure::{self, SettingsError};
use crate::up::print_line;

/// Nothing of an issue is sent later than this after its approval.
const LIFE: Duration = Duration::from_hours(36);
const POLL: Duration = Duration::from_millis(500);
/// `issue status` without a number lists this many.
const LISTED: u16 = 20;

/// Runs the command.
pub(crate) fn run(command: IssueCommand) -> anyhow::Result<()> {
    match command {
        IssueCommand::Send {
            file,
            newsletter,
            welsh,
            no_wait,
            target,
        } => {
            let slug = Slug::parse(&newsletter).map_err(|error| {
                SettingsError::new(format!("--newsletter {newsletter}: {error}"))
            })?;
            let mut texts = vec![(file.clone(), read_issue(&file)?)];
            if let Some(path) = &welsh {
                let mut twin = read_issue(path)?;
                if twin.language == Some(Language::En) {
                    return Err(SettingsError::new(format!(
                        "--welsh {}: its head says `language: en`",
                        path.display()
                    ))
                    .into());
                }
                twin.language = Some(Language::Cy);
                texts.push((path.clone(), twin));
            }
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                let number = approve(&open, slug, texts).await?;
                if no_wait {
                    print_line(&format!(
                        "Issue {} is handed over; see `letterbox issue status {}`.",
                        number.0, number.0
                    ));
                    return Ok(());
                }
                watch(&open.database.issues(), number).await
            })
        }
        IssueCommand::Status { number, target } => {
            let place = installation::place_of(&target)?;
            block_on(async {
                let open = installation::open(place).await?;
                status(&open.database.issues(), number.map(IssueNumber)).await
            })
        }
    }
}

/// Reads an issue and refuses whatever the lint finds, all of it at once.
fn read_issue(path: &Path) -> anyhow::Result<IssueText> {
    let read = || {
        let text = read_input(path)?;
        let issue =
            issue_text::parse(&text).map_err(|error| SettingsError::new(error.to_string()))?;
        let (refused, advice): (Vec<_>, Vec<_>) = issue_text::lint(&issue)
            .into_iter()
            .map(|problem| {
                (
                    problem.code.severity(),
                    format!("line {}: {}", problem.line, problem.message),
                )
            })
            .partition(|(severity, _)| *severity == Severity::MustFix);
        let refused: Vec<String> = refused.into_iter().map(|(_, text)| text).collect();
        failure::refuse_problems("nothing was sent; the issue needs these changes", &refused)?;
        for (_, text) in advice {
            eprintln!("letterbox: {}: advice, {text}", path.display());
        }
        Ok(issue)
    };
    read().map_err(|error| failure::in_file(path, error))
}

async fn approve(
    open: &installation::Installation,
    slug: Slug,
    texts: Vec<(PathBuf, IssueText)>,
) -> anyhow::Result<IssueNumber> {
    let catalogue = open.catalogue().await?;
    let Some(newsletter) = catalogue.newsletter(slug.as_str()) else {
        let known: Vec<&str> = catalogue
            .newsletters
            .iter()
            .map(|known| known.slug.as_str())
            .collect();
        return Err(SettingsError::new(if known.is_empty() {
            format!("there is no newsletter {slug} and no other: add one with `letterbox newsletter add`")
        } else {
            format!("there is no newsletter {slug}: --newsletter takes one of {}", known.join(", "))
        })
        .into());
    };
    refuse_foreign_images(open, &newsletter.sender_address, &texts)?;
    let first = newsletter
        .languages
        .first()
        .copied()
        .unwrap_or(Language::En);
    refuse_unmailable(open, &catalogue, newsletter, first, &texts)?;
    let contents: Vec<IssueContent> = texts
        .into_iter()
        .map(|(_, text)| IssueContent {
            language: text.language.unwrap_or(first),
            subject: text.subject,
            preheader: text.preheader,
            markdown: text.markdown,
            frozen: None,
        })
        .collect();
    let now = SystemClock.now();
    let issue = NewIssue {
        newsletter: slug.clone(),
        content_sha256: content_sha256(&contents),
        contents,
        message_date: now,
        deadline: now.plus(LIFE),
        in_doubt_policy: InDoubtPolicy::Skip,
    };
    open.database.issues().approve(&issue, now).await.map_err(|error| match error {
        ApproveError::MissingLanguage(Language::Cy) => SettingsError::new(format!(
            "nothing was sent: {slug} is a newsletter in English and Welsh, and both go out together: add --welsh FILE"
        ))
        .into(),
        ApproveError::Store(error) => anyhow::Error::new(error).context("the issue was not handed over"),
        other => SettingsError::new(format!("nothing was sent: {other}")).into(),
    })
}

/// An image may only come from the host of our pages or from the sending domain.
fn refuse_foreign_images(
    open: &installation::Installation,
    sender_address: &str,
    texts: &[(PathBuf, IssueText)],
) -> anyhow::Result<()> {
    let pages: Option<axum::http::Uri> = open.base_url()?.parse().ok();
    let pages = pages
        .as_ref()
        .and_then(|url| url.host())
        .unwrap_or_default();
    let sending = sender_address.rsplit('@').next().unwrap_or_default();
    for (path, text) in texts {
        let problems: Vec<String> = issue_text::foreign_images(text, &[pages, sending])
            .into_iter()
            .map(|problem| format!("line {}: {}", problem.line, problem.message))
            .collect();
        failure::refuse_problems("nothing was sent; the issue needs these changes", &problems)
            .map_err(|error| failure::in_file(path, error.into()))?;
    }
    Ok(())
}

/// What the sender would not be able to make a mail of is told now, not after the approval.
fn refuse_unmailable(
    open: &installation::Installation,
    catalogue: &Catalogue,
    newsletter: &Newsletter,
    first: Language,
    texts: &[(PathBuf, IssueText)],
) -> anyhow::Result<()> {
    let body = catalogue.body.as_ref().ok_or_else(|| {
        SettingsError::new("nothing was sent: the body is not set; see `letterbox body set --help`")
    })?;
    for (path, text) in texts {
        FrozenIssue::new(&IssueMail {
            body,
            newsletter,
            language: text.language.unwrap_or(first),
            text,
            base_url: open.base_url()?,
        })
        .map_err(|error| {
            SettingsError::new(format!("{}: nothing was sent: {error}", path.display()))
        })?;
    }
    Ok(())
}

/// What was approved, as one hash: language, subject, preheader and Markdown, a zero byte after each.
fn content_sha256(contents: &[IssueContent]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for content in contents {
        for part in [
            content.language.tag(),
            &content.subject,
            &content.preheader,
            &content.markdown,
        ] {
            hash.update(part);
            hash.update([0]);
        }
    }
    hash.finalize().into()
}

/// Shows the issue equation until the issue has ended.
async fn watch(desk: &IssueDesk, number: IssueNumber) -> anyhow::Result<()> {
    print_line(&format!(
        "Issue {} goes out. Ctrl-C ends the watching, not the sending.",
        number.0
    ));
    let mut line = ProgressLine::new();
    loop {
        let progress = desk
            .progress(number)
            .await
            .context("the database went away; the issue goes on when it is back")?
            .context("the issue is gone")?;
        if matches!(
            progress.state,
            IssueState::Finished | IssueState::Cancelled | IssueState::Held
        ) {
            line.end();
            print_line(&describe(progress.state.label(), &progress.counts, None));
            if progress.state == IssueState::Held {
                bail!(
                    "issue {} is held: those who wait in it get nothing for now; the log of the worker says why",
                    number.0
                );
            }
            if progress.counts.audience == 0 {
                print_line("Nobody gets this newsletter at present, so nothing was sent.");
            }
            return Ok(());
        }
        line.show(progress.state.label(), &progress.counts, Instant::now());
        tokio::time::sleep(POLL).await;
    }
}

async fn status(desk: &IssueDesk, number: Option<IssueNumber>) -> anyhow::Result<()> {
    let found = match number {
        Some(number) => match desk
            .progress(number)
            .await
            .context("the issue cannot be read")?
        {
            Some(progress) => vec![progress],
            None => {
                return Err(SettingsError::new(format!(
                    "there is no issue {}: `letterbox issue status` lists them",
                    number.0
                ))
                .into());
            }
        },
        None => desk
            .list(LISTED)
            .await
            .context("the issues cannot be read")?,
    };
    if found.is_empty() {
        print_line("No issue was sent yet: see `letterbox issue send --help`.");
    }
    for progress in found {
        print_line(&format!(
            "Issue {} of {}: {}",
            progress.number.0, progress.newsletter, progress.subject
        ));
        print_line(&format!(
            "  {}",
            describe(progress.state.label(), &progress.counts, None)
        ));
    }
    Ok(())
}

//! `letterbox issue`: sending one; what else an operator says to it is in the files beside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{Catalogue, Clock, IssueNumber, Language, Newsletter, Slug};
use issue_text::{IssueText, Severity};
use mail::{FrozenIssue, IssueMail};
use service_runtime::SystemClock;
use sha2::{Digest, Sha256};
use store::{ApproveError, FrozenText, InDoubtPolicy, IssueContent, NewIssue};

use super::issue_change::{self, Change};
use super::issue_show::{self, Form};
use super::{block_on, installation, issue_doubts, issue_status, read_input};
use crate::cli::{InDoubt, IssueCommand, SendOptions};
use crate::failure::{self, SettingsError};
use crate::up::print_line;

/// Runs the command.
pub(crate) fn run(command: IssueCommand) -> anyhow::Result<()> {
    match command {
        IssueCommand::Send(options) => send(*options),
        IssueCommand::Status {
            number,
            watch,
            target,
        } => issue_status::run(number.map(IssueNumber), watch, &target),
        IssueCommand::Show {
            number,
            language,
            text,
            html,
            target,
        } => {
            let form = match (text, html) {
                (true, _) => Form::Text,
                (_, true) => Form::Html,
                _ => Form::Summary,
            };
            issue_show::run(IssueNumber(number), language.as_deref(), form, &target)
        }
        IssueCommand::Pause(options) => issue_change::run(Change::Pause, &options),
        IssueCommand::Resume(options) => issue_change::run(Change::Resume, &options),
        IssueCommand::Cancel(options) => issue_change::run(Change::Cancel, &options),
        IssueCommand::RetryFailed(options) => issue_change::run(Change::RetryFailed, &options),
        IssueCommand::Doubts(options) => issue_doubts::list(&options),
        IssueCommand::Decide {
            number,
            word,
            message_ids,
            target,
        } => issue_doubts::decide(IssueNumber(number), word, &message_ids, &target),
    }
}

fn send(options: SendOptions) -> anyhow::Result<()> {
    let SendOptions {
        file,
        newsletter,
        welsh,
        in_doubt,
        hours,
        no_wait,
        target,
    } = options;
    let slug = Slug::parse(&newsletter)
        .map_err(|error| SettingsError::new(format!("--newsletter {newsletter}: {error}")))?;
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
    let terms = Terms {
        in_doubt: match in_doubt {
            InDoubt::Skip => InDoubtPolicy::Skip,
            InDoubt::Resend => InDoubtPolicy::Resend,
            InDoubt::Hold => InDoubtPolicy::Hold,
        },
        life: Duration::from_hours(hours.into()),
    };
    let place = installation::place_of(&target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let number = approve(&open, slug, texts, terms).await?;
        if no_wait {
            print_line(&format!(
                "Issue {} is handed over; see `letterbox issue status {}`.",
                number.0, number.0
            ));
            return Ok(());
        }
        print_line(&format!(
            "Issue {} goes out. Ctrl-C ends the watching, not the sending.",
            number.0
        ));
        issue_status::watch(&open.database.issues(), number).await
    })
}

/// How an issue is sent.
struct Terms {
    in_doubt: InDoubtPolicy,
    life: Duration,
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
    terms: Terms,
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
    let frozen = freeze(open, &catalogue, newsletter, first, &texts)?;
    let contents: Vec<IssueContent> = texts
        .into_iter()
        .zip(frozen)
        .map(|((_, text), frozen)| IssueContent {
            language: text.language.unwrap_or(first),
            subject: text.subject,
            preheader: text.preheader,
            markdown: text.markdown,
            frozen: Some(frozen),
        })
        .collect();
    let now = SystemClock.now();
    let issue = NewIssue {
        newsletter: slug.clone(),
        content_sha256: content_sha256(&contents),
        contents,
        message_date: now,
        deadline: now.plus(terms.life),
        in_doubt_policy: terms.in_doubt,
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

/// The mails that the texts make, as every reader gets them. What cannot be made a mail of is told now,
/// not after the approval.
fn freeze(
    open: &installation::Installation,
    catalogue: &Catalogue,
    newsletter: &Newsletter,
    first: Language,
    texts: &[(PathBuf, IssueText)],
) -> anyhow::Result<Vec<FrozenText>> {
    let body = catalogue.body.as_ref().ok_or_else(|| {
        SettingsError::new("nothing was sent: the body is not set; see `letterbox body set --help`")
    })?;
    let mut all = Vec::with_capacity(texts.len());
    for (path, text) in texts {
        let frozen = FrozenIssue::new(&IssueMail {
            body,
            newsletter,
            language: text.language.unwrap_or(first),
            text,
            base_url: open.base_url()?,
        })
        .map_err(|error| {
            SettingsError::new(format!("{}: nothing was sent: {error}", path.display()))
        })?;
        all.push(FrozenText {
            subject: frozen.subject,
            preheader: frozen.preheader,
            sender: frozen.sender,
            headers: frozen.headers,
            feedback: frozen.feedback,
            place: frozen.place,
            text: frozen.text,
            html: frozen.html,
            sha256: frozen.sha256,
        });
    }
    Ok(all)
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

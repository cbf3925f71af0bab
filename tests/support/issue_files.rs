//! The files and words by which an operator sends an issue, for any kind of installation.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::Ended;

/// Writes a file of the story and gives its path as text.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

/// The English and the Welsh file of an issue with this subject and text.
pub(crate) fn issue_files(folder: &Path, subject: &str, markdown: &str) -> Result<[String; 2]> {
    let file = |name: &str, subject: &str| {
        let head = format!("subject: {subject}\npreheader: What {subject} is about\n");
        write(folder, name, &format!("---\n{head}---\n\n{markdown}\n"))
    };
    Ok([
        file("issue.md", subject)?,
        file("issue.cy.md", &format!("{subject} (Cymraeg)"))?,
    ])
}

/// Sends an issue to `council-news` by the operator's command.
pub(crate) fn send(
    folder: &Path,
    (subject, markdown): (&str, &str),
    options: &[&str],
    command: impl FnOnce(&[&str]) -> Result<Ended>,
) -> Result<String> {
    let [english, welsh] = issue_files(folder, subject, markdown)?;
    let words = [
        "issue",
        "send",
        &english,
        "--welsh",
        &welsh,
        "--newsletter",
        "council-news",
    ];
    command(&[&words, options].concat())?
        .ok()
        .with_context(|| format!("sending {subject}"))
}

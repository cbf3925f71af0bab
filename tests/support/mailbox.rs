//! Caught mail, read by two parsers that share no code: `mail-parser` and Python's `email`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use mail_parser::{HeaderValue, MessageParser};

use crate::{DEADLINE, repository, wait_for};

/// A message.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Its file.
    pub path: PathBuf,
    /// Every byte of it.
    pub bytes: Vec<u8>,
    /// The address in `To`.
    pub to: String,
    /// The address in `From`.
    pub from: String,
    /// The subject, decoded.
    pub subject: String,
    /// The text part, decoded.
    pub text: String,
    /// The HTML part, decoded.
    pub html: String,
    headers: Vec<(String, String)>,
}

impl Mail {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let message = MessageParser::default()
            .parse(&bytes)
            .with_context(|| format!("no mail: {}", path.display()))?;
        let address = |found: Option<&mail_parser::Address<'_>>| {
            found
                .and_then(|list| list.first())
                .and_then(|first| first.address())
                .unwrap_or_default()
                .to_owned()
        };
        let headers = message
            .headers_raw()
            .map(|(name, value)| (name.to_lowercase(), unfold(value)))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            to: address(message.to()),
            from: address(message.from()),
            subject: message.subject().unwrap_or_default().to_owned(),
            text: message.body_text(0).unwrap_or_default().into_owned(),
            html: message.body_html(0).unwrap_or_default().into_owned(),
            headers,
            bytes,
        })
    }

    /// The values of all headers with this name (small letters), unfolded, not decoded.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The value of the one header with this name.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn header(&self, name: &str) -> Result<&str> {
        let found = self.headers(name);
        ensure!(
            found.len() == 1,
            "{} headers {name} in {}",
            found.len(),
            self.path.display()
        );
        Ok(found[0])
    }

    /// Whether `mail-parser` sees this many parts below the top, none of them an attachment.
    #[must_use]
    pub fn has_parts(&self, number: usize) -> bool {
        MessageParser::default()
            .parse(&self.bytes)
            .is_some_and(|message| {
                message.attachments.is_empty()
                    && message.parts.len() == number + 1
                    && !matches!(
                        message.parts[0].headers.first().map(|header| &header.value),
                        Some(HeaderValue::Empty)
                    )
            })
    }
}

/// What Python made of a message.
#[derive(Debug, Clone)]
pub struct SecondReading(serde_json::Value);

impl SecondReading {
    /// The values of all headers with this name (small letters), decoded.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let all = self.0["headers"].as_array();
        all.into_iter()
            .flatten()
            .filter(|pair| pair[0] == name)
            .filter_map(|pair| pair[1].as_str())
            .collect()
    }

    /// A piece of the answer: `text`, `html`.
    #[must_use]
    pub fn part(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// A list of the answer: `kinds`, `charsets`, `defects`.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.0[name]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item.as_str())
            .collect()
    }
}

/// Reads a message with Python's parser.
///
/// # Errors
/// Python is missing, or could not read it.
pub fn read_by_python(bytes: &[u8]) -> Result<SecondReading> {
    let mut python = Command::new("python3")
        .arg(repository().join("tests/support/read_mail.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3")?;
    python.stdin.take().context("no pipe")?.write_all(bytes)?;
    let ended = python.wait_with_output()?;
    ensure!(ended.status.success(), "read_mail.py: {}", ended.status);
    Ok(SecondReading(serde_json::from_slice(&ended.stdout)?))
}

/// Folders of caught mail. Each worker has one to itself, so that a second copy by another worker
/// would be a second file.
#[derive(Debug, Clone)]
pub struct Mailbox(Vec<PathBuf>);

impl Mailbox {
    /// The mailbox in this folder; one that is not there yet is empty.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self(vec![folder])
    }

    /// The mailbox in these folders.
    #[must_use]
    pub const fn at_all(folders: Vec<PathBuf>) -> Self {
        Self(folders)
    }

    /// All messages, in the order in which they came.
    ///
    /// # Errors
    /// A file that is no message.
    pub fn all(&self) -> Result<Vec<Mail>> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for folder in &self.0 {
            if !folder.exists() {
                continue;
            }
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|end| end == "eml") {
                    paths.push(path);
                }
            }
        }
        let age = |path: &PathBuf| path.metadata().and_then(|about| about.modified()).ok();
        paths.sort_by_cached_key(|path| (age(path), path.clone()));
        paths
            .iter()
            .map(|path| Mail::parse(path, std::fs::read(path)?))
            .collect()
    }

    /// All messages to this address.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn to(&self, address: &str) -> Result<Vec<Mail>> {
        Ok(self
            .all()?
            .into_iter()
            .filter(|mail| mail.to == address)
            .collect())
    }

    /// Waits for a message to this address whose subject holds these words, and gives the latest.
    ///
    /// # Errors
    /// None came.
    pub fn wait_for(&self, address: &str, subject: &str) -> Result<Mail> {
        wait_for(
            &format!("a mail to {address} about “{subject}”"),
            DEADLINE,
            || {
                Ok(self
                    .to(address)?
                    .into_iter()
                    .rfind(|mail| mail.subject.contains(subject)))
            },
        )
    }
}

fn unfold(value: &str) -> String {
    value
        .split(['\r', '\n'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

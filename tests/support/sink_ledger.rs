//! What a bad relay writes down of each transaction, before it answers; and how that is counted.

use std::collections::HashMap;
use std::time::SystemTime;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest as _, Sha256};

use crate::Moment;

/// One transaction.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which connection it came by.
    pub connection: u64,
    /// When `MAIL FROM` came.
    pub at_mail: SystemTime,
    /// When `DATA` came.
    pub at_data: Option<SystemTime>,
    /// When the dot came.
    pub at_dot: Option<SystemTime>,
    /// When the answer to the dot was decided.
    pub at_reply: Option<SystemTime>,
    /// The envelope's sender.
    pub return_path: String,
    /// Whom it was for.
    pub recipient: String,
    /// What of the message is counted, once its dot came.
    pub message: Option<Message>,
    /// The code that ended it: of the dot where there was one. 0 where nothing was said.
    pub verdict: u16,
    /// Where the line was broken by us, if it was.
    pub broken_at: Option<Moment>,
}

/// What is kept of a message.
#[derive(Debug, Clone)]
pub struct Message {
    /// `Message-ID`, as it stands.
    pub id: String,
    /// `Subject`, as it stands.
    pub subject: String,
    /// Of every byte, dots unstuffed.
    pub sha256: [u8; 32],
    /// Its unsubscribe link, if it has one.
    pub link: Option<Link>,
    /// The message itself, where the sink was told to keep messages.
    pub bytes: Option<Vec<u8>>,
}

/// What an unsubscribe link names (`FORMATS.md`, Link tokens).
#[derive(Debug, Clone)]
pub struct Link {
    /// The token of the link, as it stands.
    pub token: String,
    /// The subscription's id, in hexadecimal digits.
    pub subscription: String,
    /// The issue's number.
    pub issue: u32,
}

impl Message {
    pub(crate) fn read(bytes: Vec<u8>, keep: bool) -> Self {
        let end = find(&bytes, b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        Self {
            id: header(&head, "Message-ID").unwrap_or_default(),
            subject: header(&head, "Subject").unwrap_or_default(),
            sha256: Sha256::digest(&bytes).into(),
            link: header(&head, "List-Unsubscribe").and_then(|value| link_of(&value)),
            bytes: keep.then_some(bytes),
        }
    }
}

impl Entry {
    /// Whether the relay took it: it decided for 250 after the dot, said or not.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.at_dot.is_some() && self.verdict == 250
    }

    /// The subscription that its message names, if it is of this issue.
    #[must_use]
    pub fn subscription(&self, issue: u32) -> Option<&str> {
        let link = self.message.as_ref()?.link.as_ref()?;
        (link.issue == issue).then_some(&link.subscription)
    }
}

/// The transactions of an issue that were taken, by subscription (its id in hexadecimal digits).
#[must_use]
pub fn copies_of(entries: &[Entry], issue: u32) -> HashMap<&str, Vec<&Entry>> {
    let mut copies: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.is_taken()) {
        if let Some(subscription) = entry.subscription(issue) {
            copies.entry(subscription).or_default().push(entry);
        }
    }
    copies
}

/// The value of the first header of this name, unfolded.
fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.split("\r\n");
    let prefix = format!("{name}:");
    let first = lines.find_map(|line| line.strip_prefix(&prefix))?;
    let mut value = first.trim().to_owned();
    for more in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        value.push(' ');
        value.push_str(more.trim());
    }
    Some(value)
}

fn link_of(list_unsubscribe: &str) -> Option<Link> {
    let text = list_unsubscribe.split("/u/").nth(1)?.get(..54)?;
    let token = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let issue = token.get(20..24)?.try_into().ok()?;
    Some(Link {
        token: text.to_owned(),
        subscription: HEXLOWER.encode(token.get(4..20)?),
        issue: u32::from_be_bytes(issue),
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

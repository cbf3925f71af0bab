//! Return paths (`b-`) and unsubscribe mailboxes (`u-`): tokens that fit into a local part and
//! survive a change of case (`FORMATS.md`, Return path and mailto).

use std::fmt;

use data_encoding::BASE32_NOPAD;
use domain::{BodyId, IssueNumber, KeyId, KeyState, Timestamp, TokenKey};

use crate::keys::{ClassKey, Generations, LinkKeyError, LinkMaster, Live};
use crate::secret_key::KeyName;

/// Days after the day of sending on which a return path still lives.
pub const LIFE_DAYS: u64 = 30;

const VERSION: u8 = 0x01;
const TAG_BYTES: usize = 10;

/// The two kinds of mailbox names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ReturnPath,
    Mailto,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::ReturnPath => "b-",
            Self::Mailto => "u-",
        }
    }

    const fn label(self) -> &'static [u8] {
        match self {
            Self::ReturnPath => b"letterbox/verp/v1\0",
            Self::Mailto => b"letterbox/mailto/v1\0",
        }
    }

    /// Bytes before the tag.
    const fn signed_bytes(self) -> usize {
        match self {
            Self::ReturnPath => 25,
            Self::Mailto => 23,
        }
    }
}

/// What a genuine mailbox name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedMailbox {
    /// The subscription id; the box id where there is no subscription.
    pub subject: [u8; 16],
    /// The issue, or [`IssueNumber::NONE`].
    pub issue: IssueNumber,
    /// Days since 1970 at sending; none in a `u-`, which never expires.
    pub day: Option<u16>,
    /// The key that signed it.
    pub key: TokenKey,
}

impl CheckedMailbox {
    /// Whether it still counts at this moment.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.day.is_none_or(|day| is_alive(day, now))
    }
}

/// Whether a return path of this day still counts: up to 30 UTC days later.
#[must_use]
pub fn is_alive(day: u16, now: Timestamp) -> bool {
    now.utc_day() <= u64::from(day) + LIFE_DAYS
}

/// Makes and checks return paths. A clone is another handle on the same keys.
#[derive(Clone)]
pub struct ReturnPathKeys(Live);

impl ReturnPathKeys {
    /// Derives the keys called `verp`.
    ///
    /// # Errors
    /// [`LinkKeyError`] if no generation is current or two have one number.
    pub fn derive(body: BodyId, masters: &[LinkMaster]) -> Result<Self, LinkKeyError> {
        let keys = masters.iter().map(|master| master.return_path_key(body));
        Self::from_keys(keys.collect())
    }

    /// Keys that were derived before, as they stand in a role's folder.
    ///
    /// # Errors
    /// [`LinkKeyError`] if no generation is current or two have one number.
    pub fn from_keys(keys: Vec<ClassKey>) -> Result<Self, LinkKeyError> {
        Generations::for_minting(keys).map(|keys| Self(Live::new(keys)))
    }

    /// Takes over the generations and states of `newer`, in every clone at once.
    ///
    /// # Errors
    /// As [`LinkKeys::renew`](crate::LinkKeys::renew).
    pub fn renew(&self, newer: &Self) -> Result<(), LinkKeyError> {
        self.0.renew(&newer.0)
    }

    /// Whether [`ReturnPathKeys::renew`] would take over these keys.
    ///
    /// # Errors
    /// As it would say.
    pub fn can_renew(&self, newer: &Self) -> Result<(), LinkKeyError> {
        self.0.can_renew(&newer.0)
    }

    /// The local part, 58 characters, of a mail sent now.
    #[must_use]
    pub fn mint(&self, subject: &[u8; 16], issue: IssueNumber, now: Timestamp) -> String {
        // Two bytes of days last until June 2149.
        let day = u16::try_from(now.utc_day()).unwrap_or(u16::MAX);
        mint(Kind::ReturnPath, &self.0.now(), subject, issue, Some(day))
    }

    /// Checks a local part; a key that others know counts as unknown.
    #[must_use]
    pub fn check(&self, local_part: &str) -> Option<CheckedMailbox> {
        check(Kind::ReturnPath, &self.0.now(), local_part)
            .filter(|mailbox| mailbox.key.state != KeyState::Compromised)
    }

    /// Derives for checking only, whatever the states: vectors hold such sets.
    #[cfg(test)]
    pub(crate) fn derive_for_checking(body: BodyId, masters: &[LinkMaster]) -> Self {
        let keys = masters
            .iter()
            .map(|master| master.key_called(KeyName::ReturnPath, body));
        let keys = Generations::new(keys.collect()).expect("vectors repeat no number");
        Self(Live::new(keys))
    }
}

/// Makes and checks unsubscribe mailboxes.
#[derive(Clone)]
pub struct MailtoKeys(Live);

impl MailtoKeys {
    /// Derives the keys called `mailto`.
    ///
    /// # Errors
    /// [`LinkKeyError`] if no generation is current or two have one number.
    pub fn derive(body: BodyId, masters: &[LinkMaster]) -> Result<Self, LinkKeyError> {
        let keys = masters
            .iter()
            .map(|master| master.key_called(KeyName::Mailto, body));
        Generations::for_minting(keys.collect()).map(|keys| Self(Live::new(keys)))
    }

    /// The local part, 55 characters.
    #[must_use]
    pub fn mint(&self, subject: &[u8; 16], issue: IssueNumber) -> String {
        mint(Kind::Mailto, &self.0.now(), subject, issue, None)
    }

    /// Checks a local part.
    #[must_use]
    pub fn check(&self, local_part: &str) -> Option<CheckedMailbox> {
        check(Kind::Mailto, &self.0.now(), local_part)
    }

    /// Derives for checking only, whatever the states: vectors hold such sets.
    #[cfg(test)]
    pub(crate) fn derive_for_checking(body: BodyId, masters: &[LinkMaster]) -> Self {
        let keys = masters
            .iter()
            .map(|master| master.key_called(KeyName::Mailto, body));
        let keys = Generations::new(keys.collect()).expect("vectors repeat no number");
        Self(Live::new(keys))
    }
}

impl fmt::Debug for ReturnPathKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReturnPathKeys({:?})", self.0.now().states())
    }
}

impl fmt::Debug for MailtoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailtoKeys({:?})", self.0.now().states())
    }
}

fn mint(
    kind: Kind,
    generations: &Generations,
    subject: &[u8; 16],
    issue: IssueNumber,
    day: Option<u16>,
) -> String {
    let generation = generations.minting();
    let mut bytes = Vec::with_capacity(kind.signed_bytes() + TAG_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&generation.kid.0.to_be_bytes());
    bytes.extend_from_slice(subject);
    bytes.extend_from_slice(&issue.0.to_be_bytes());
    if let Some(day) = day {
        bytes.extend_from_slice(&day.to_be_bytes());
    }
    let mac = generation.key.mac(&[kind.label(), &bytes]);
    bytes.extend_from_slice(&mac[..TAG_BYTES]);
    let mut text = kind.prefix().to_owned();
    text.push_str(&BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
    text
}

fn check(kind: Kind, generations: &Generations, local_part: &str) -> Option<CheckedMailbox> {
    use subtle::ConstantTimeEq;

    // The longest is 58 characters: nothing longer is copied.
    if local_part.len() > 64 {
        return None;
    }
    let lowered = local_part.to_ascii_lowercase();
    let text = lowered.strip_prefix(kind.prefix())?.to_ascii_uppercase();
    let bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    if bytes.len() != kind.signed_bytes() + TAG_BYTES {
        return None;
    }
    let (signed, tag) = bytes.split_at(kind.signed_bytes());
    if signed[0] != VERSION {
        return None;
    }
    let generation = generations.get(KeyId(u16::from_be_bytes([signed[1], signed[2]])))?;
    let mac = generation.key.mac(&[kind.label(), signed]);
    if !bool::from(mac[..TAG_BYTES].ct_eq(tag)) {
        return None;
    }
    Some(CheckedMailbox {
        subject: signed[3..19].try_into().ok()?,
        issue: IssueNumber(u32::from_be_bytes(signed[19..23].try_into().ok()?)),
        day: match kind {
            Kind::ReturnPath => Some(u16::from_be_bytes(signed[23..25].try_into().ok()?)),
            Kind::Mailto => None,
        },
        key: TokenKey {
            version: VERSION,
            kid: generation.kid,
            state: generation.state,
        },
    })
}

//! Signatures in front of a message.

use std::fmt::Write;
use std::sync::Arc;

use data_encoding::BASE64;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use zeroize::Zeroize;

use super::DkimKey;
use super::canonical;
use super::head::Head;

/// Room for the signatures of two keys: a renderer that leaves it free spares a copy of the message.
pub(crate) const ROOM: usize = 3 * 1_024;

/// Lines of a signature are no longer.
const COLUMNS: usize = 76;

/// Signs messages with each of its keys; without a key it hands them back. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DkimSigner {
    keys: Arc<[DkimKey]>,
}

/// Why a message cannot be signed: a fault of ours, since only our own messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It has no head with CRLF line ends, or no body.
    #[error("the message has no head that can be signed")]
    NoHead,
    /// It is dated by no one `Date` field.
    #[error("the message has not one date")]
    NoDate,
    /// Its one sender is not of the domain: nobody would trust the signature.
    #[error("the message does not come from the domain that signs")]
    OtherDomain,
    /// The library failed.
    #[error("the key did not sign")]
    Failed,
}

impl DkimSigner {
    /// A signer with these keys: one of RSA, one of Ed25519, or both; while selectors are exchanged,
    /// both generations.
    #[must_use]
    pub fn new(keys: Vec<DkimKey>) -> Self {
        Self { keys: keys.into() }
    }

    /// Puts one `DKIM-Signature` a key in front of a message from this domain. What it says depends on
    /// nothing but the message and the keys; its time is the message's own date.
    ///
    /// # Errors
    /// [`SignError`] where it is no message, or not one from this domain.
    pub fn sign(&self, message: Vec<u8>, domain: &str) -> Result<Vec<u8>, SignError> {
        if self.keys.is_empty() {
            return Ok(message);
        }
        let signatures = self.signatures(&message, domain)?;
        Ok(in_front(signatures.as_bytes(), message))
    }

    fn signatures(&self, message: &[u8], domain: &str) -> Result<String, SignError> {
        let head = Head::parse(message).ok_or(SignError::NoHead)?;
        if !comes_from(&head, domain) {
            return Err(SignError::OtherDomain);
        }
        let date = head.only("Date").ok_or(SignError::NoDate)?;
        let seconds = OffsetDateTime::parse(date, &Rfc2822)
            .map_err(|_| SignError::NoDate)?
            .unix_timestamp();
        let body_hash = BASE64.encode(canonical::body_hash(head.body).as_ref());

        let signed = head.signed();
        let mut covered = Vec::with_capacity(2 * 1_024);
        for (name, value) in &signed {
            if let Some(value) = value {
                canonical::header(name, value, &mut covered);
            }
        }
        let names = folded_names(signed.iter().map(|(name, _)| *name));
        let without_ours = covered.len();
        let mut all = String::with_capacity(ROOM);
        for key in &*self.keys {
            let mut field = format!(
                " v=1; a={}; c=relaxed/relaxed;\r\n d={domain};\r\n s={}; t={seconds};\r\n h={names};\r\n bh={body_hash};\r\n b=",
                key.algorithm().tag(),
                key.selector(),
            );
            covered.truncate(without_ours);
            canonical::header("DKIM-Signature", field.as_bytes(), &mut covered);
            // Our own field is hashed without a line end (RFC 6376, 3.7).
            covered.truncate(covered.len() - 2);
            let signature = key.sign(&covered).map_err(|_| SignError::Failed)?;
            push_folded(&BASE64.encode(&signature), &mut field);
            let _ = write!(all, "DKIM-Signature:{field}\r\n");
        }
        covered.zeroize();
        Ok(all)
    }
}

/// Whether the one mailbox of `From` is of this domain.
fn comes_from(head: &Head<'_>, domain: &str) -> bool {
    let from = head.only("From").and_then(|from| {
        let mailbox = from.rsplit('<').next()?;
        mailbox.trim_end_matches('>').rsplit_once('@')
    });
    !domain.is_empty() && from.is_some_and(|(_, found)| found.eq_ignore_ascii_case(domain))
}

/// The names of the `h=` tag, with a fold where a line would be too long.
fn folded_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::with_capacity(512);
    let mut column = " h=".len();
    for name in names {
        if !text.is_empty() {
            text.push(':');
            column += 1;
        }
        // One more for the colon or semicolon behind it.
        if column + name.len() + 1 > COLUMNS {
            text.push_str("\r\n ");
            column = 1;
        }
        text.push_str(name);
        column += name.len();
    }
    text
}

fn push_folded(mut digits: &str, field: &mut String) {
    let mut room = COLUMNS - " b=".len();
    while digits.len() > room {
        let (line, rest) = digits.split_at(room);
        field.push_str(line);
        field.push_str("\r\n ");
        digits = rest;
        room = COLUMNS - 1;
    }
    field.push_str(digits);
}

/// Moves a message back to make room; where that takes another buffer, no copy of the head, which
/// names the recipient, stays behind.
fn in_front(signatures: &[u8], mut message: Vec<u8>) -> Vec<u8> {
    if message.capacity() - message.len() >= signatures.len() {
        message.splice(0..0, signatures.iter().copied());
        return message;
    }
    let mut signed = Vec::with_capacity(signatures.len() + message.len());
    signed.extend_from_slice(signatures);
    signed.extend_from_slice(&message);
    message.zeroize();
    signed
}

//! Whom no mail may go to, and how much of it.

use domain::{EventId, MailboxCode, Method, SuppressionCode, Timestamp};

/// Whom a suppression is about: every spelling of a mailbox, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuppressedCode {
    /// This address.
    Address(SuppressionCode),
    /// Every address of this mailbox.
    Mailbox(MailboxCode),
}

impl SuppressedCode {
    pub(in crate::registrar) const fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Address(code) => code.as_bytes(),
            Self::Mailbox(code) => code.as_bytes(),
        }
    }

    pub(in crate::registrar) const fn kind(&self) -> i16 {
        match self {
            Self::Address(_) => 0,
            Self::Mailbox(_) => 1,
        }
    }
}

/// What a suppression keeps away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuppressionLevel {
    /// Every mail.
    NoMail,
    /// Confirmations.
    NoConfirmations,
}

impl SuppressionLevel {
    pub(in crate::registrar) const fn number(self) -> i16 {
        match self {
            Self::NoMail => 3,
            Self::NoConfirmations => 4,
        }
    }
}

/// Whom not to mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suppression {
    /// Whom.
    pub code: SuppressedCode,
    /// What is kept away.
    pub level: SuppressionLevel,
    /// Key generation of the code.
    pub generation: u16,
    /// Why.
    pub reason: Method,
    /// The request behind it.
    pub event_id: EventId,
    /// Since when.
    pub set_at: Timestamp,
    /// Until when; none for good.
    pub expires_at: Option<Timestamp>,
}

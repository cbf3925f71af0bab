//! Which addresses are taken. Skeleton: the rule follows within minutes.

use std::fmt;

use zeroize::Zeroizing;

/// An address that passed the rule, as typed. It cannot be printed, logged or serialised.
#[derive(Clone)]
pub struct EmailAddress {
    text: Zeroizing<String>,
    at: usize,
    domain_ascii: Zeroizing<String>,
}

/// Why text is not taken as an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AddressProblem {
    /// Nothing was typed.
    #[error("no address")]
    Empty,
}

impl AddressProblem {
    /// Its name in the JSON API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "empty"
    }
}

impl EmailAddress {
    /// Takes an address, or says what is wrong with it.
    ///
    /// # Errors
    /// The first [`AddressProblem`] found.
    pub fn parse(_text: &str) -> Result<Self, AddressProblem> {
        todo!()
    }

    /// The address as typed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What stands before the last `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands behind the last `@`, as typed.
    #[must_use]
    pub fn domain_as_typed(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The domain for SMTP.
    #[must_use]
    pub fn domain_ascii(&self) -> &str {
        &self.domain_ascii
    }

    /// Whether the relay must offer SMTPUTF8.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local_part().is_ascii()
    }

    /// The address for `RCPT TO`.
    #[must_use]
    pub fn smtp_path(&self) -> Zeroizing<String> {
        todo!()
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

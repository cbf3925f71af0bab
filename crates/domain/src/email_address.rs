//! Which addresses are taken, and what they look like on the wire.
//!
//! The rule: what the `type=email` production of the HTML standard accepts, with at least two labels
//! in the domain; beyond it, internationalised domains that UTS 46 accepts and local parts in UTF-8
//! (RFC 6531). No quoted local parts, comments, folding, domain literals, spaces, control or
//! invisible characters. The limits are RFC 5321's, in octets: local part 64, domain 255 as typed
//! and 253 as A-labels, and 254 for the path that goes into `RCPT TO`.
//!
//! The production lets dots stand anywhere in the local part; so does the rule, because mailboxes
//! with such names exist and a mail server knows better than we do.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_public_assigned;
use zeroize::Zeroizing;

use crate::address_compare::comparison_domain;

/// Octets of a local part (RFC 5321, 4.5.3.1.1).
const LOCAL_OCTETS: usize = 64;
/// Octets of a domain as typed (RFC 5321, 4.5.3.1.2).
const DOMAIN_OCTETS: usize = 255;
/// Octets of a domain name in the DNS, written with dots (RFC 1035, 2.3.4, less what dots save).
const ASCII_DOMAIN_OCTETS: usize = 253;
/// Octets of an address: a path of 256 less its angle brackets (RFC 5321, 4.5.3.1.3).
const ADDRESS_OCTETS: usize = 254;
/// Octets of a label (RFC 1035, 2.3.4, and the production).
const LABEL_OCTETS: usize = 63;

/// An address that passed the rule, as typed. It cannot be printed, logged or serialised, and its
/// memory is wiped when it is dropped.
///
/// ```compile_fail
/// fn show(address: &domain::EmailAddress) -> String {
///     address.to_string()
/// }
/// ```
/// ```compile_fail
/// fn write(address: &domain::EmailAddress) -> impl serde::Serialize {
///     address
/// }
/// ```
#[derive(Clone)]
pub struct EmailAddress {
    text: Zeroizing<String>,
    /// Where the last `@` stands.
    at: usize,
    /// The domain as `norm` has it; in SMTP too where what was typed is not ASCII.
    comparison_domain: Zeroizing<String>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)+) => {
        /// Why text is not taken as an address. The words that a resident reads stand with the
        /// pages, by [`AddressProblem::code`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum AddressProblem {
            $($(#[$doc])* #[error($code)] $name,)+
        }

        impl AddressProblem {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in the JSON API.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

problems! {
    /// Nothing was typed.
    Empty = "empty";
    /// There is no `@`.
    NoAt = "no_at";
    /// Nothing stands before the `@`.
    NoLocalPart = "no_local_part";
    /// Nothing stands behind the `@`.
    NoDomain = "no_domain";
    /// The part before the `@` is in quotation marks.
    Quoted = "quoted";
    /// The domain is a literal in square brackets.
    DomainLiteral = "domain_literal";
    /// There are round brackets.
    Comment = "comment";
    /// There are angle brackets, as around an address behind a name.
    AngleBrackets = "angle_brackets";
    /// There is a space, a tab or a line break of any kind.
    Space = "space";
    /// There is a control, bidirectional, zero-width or other invisible character, or one that a
    /// broken encoding leaves behind.
    HiddenCharacter = "hidden_character";
    /// There is more than one `@`.
    SeveralAts = "several_ats";
    /// The part before the `@` holds a character that it cannot hold.
    LocalCharacter = "local_character";
    /// The part before the `@` has more than 64 octets.
    LocalTooLong = "local_too_long";
    /// The domain ends with a dot.
    TrailingDot = "trailing_dot";
    /// Two dots follow each other in the domain, or it begins with one.
    EmptyLabel = "empty_label";
    /// The domain holds a character that it cannot hold.
    DomainCharacter = "domain_character";
    /// A part of the domain begins or ends with a hyphen.
    LabelHyphen = "label_hyphen";
    /// A part of the domain has more than 63 characters.
    LabelTooLong = "label_too_long";
    /// The domain is not valid under UTS 46, or holds a broken `xn--` label.
    InternationalDomain = "international_domain";
    /// The domain has only one part.
    OneLabel = "one_label";
    /// The domain is longer than a domain can be.
    DomainTooLong = "domain_too_long";
    /// The whole has more than 254 octets in the form that mail servers see.
    AddressTooLong = "address_too_long";
}

impl EmailAddress {
    /// Takes an address, or says what is wrong with it. Trims nothing: spaces around what a form
    /// sends are the form's to trim, as browsers do for `type=email`.
    ///
    /// # Errors
    /// The first [`AddressProblem`] found.
    pub fn parse(text: &str) -> Result<Self, AddressProblem> {
        if text.is_empty() {
            return Err(AddressProblem::Empty);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressProblem::NoAt)?;
        check_shape(text, local, domain)?;
        check_local_part(local)?;
        let comparison_domain = check_domain(domain)?;
        let address = Self {
            text: Zeroizing::new(text.to_owned()),
            at: local.len(),
            comparison_domain,
        };
        if local.len() + 1 + address.domain_ascii().len() > ADDRESS_OCTETS {
            return Err(AddressProblem::AddressTooLong);
        }
        Ok(address)
    }

    /// The address as typed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What stands before the last `@`, as typed.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands behind the last `@`, as typed.
    #[must_use]
    pub fn domain_as_typed(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The domain for SMTP: as typed where that is ASCII, else its A-labels.
    #[must_use]
    pub fn domain_ascii(&self) -> &str {
        let typed = self.domain_as_typed();
        if typed.is_ascii() {
            typed
        } else {
            &self.comparison_domain
        }
    }

    /// Whether the relay must offer SMTPUTF8: the local part is not ASCII. A domain alone needs
    /// nothing of it, since it goes out in A-labels.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local_part().is_ascii()
    }

    /// The address for `RCPT TO`, without angle brackets: at most 254 octets.
    #[must_use]
    pub fn smtp_path(&self) -> Zeroizing<String> {
        joined(self.local_part(), self.domain_ascii())
    }

    /// The domain in the form that comparisons use.
    pub(crate) fn comparison_domain(&self) -> &str {
        &self.comparison_domain
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

/// `local@domain` in a buffer that never grows, so that no unwiped copy stays behind.
pub(crate) fn joined(local: &str, domain: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(local.len() + 1 + domain.len()));
    text.push_str(local);
    text.push('@');
    text.push_str(domain);
    text
}

/// Forms of address that RFC 5322 knows and this rule does not, and characters that nobody sees:
/// looked for first, because their names help more than "a character that it cannot hold".
fn check_shape(text: &str, local: &str, domain: &str) -> Result<(), AddressProblem> {
    if local.is_empty() {
        return Err(AddressProblem::NoLocalPart);
    }
    if domain.is_empty() {
        return Err(AddressProblem::NoDomain);
    }
    if local.starts_with('"') {
        return Err(AddressProblem::Quoted);
    }
    if domain.starts_with('[') {
        return Err(AddressProblem::DomainLiteral);
    }
    if text.contains(['<', '>']) {
        return Err(AddressProblem::AngleBrackets);
    }
    if text.contains(['(', ')']) {
        return Err(AddressProblem::Comment);
    }
    if text.contains(char::is_whitespace) {
        return Err(AddressProblem::Space);
    }
    // UTS 46 says where a joiner is part of a word of a domain, and refuses it elsewhere.
    let joiner = |c: char| matches!(c, '\u{200C}' | '\u{200D}');
    if local.contains(is_hidden) || domain.contains(|c| is_hidden(c) && !joiner(c)) {
        return Err(AddressProblem::HiddenCharacter);
    }
    Ok(())
}

fn check_local_part(local: &str) -> Result<(), AddressProblem> {
    if local.contains('@') {
        return Err(AddressProblem::SeveralAts);
    }
    // Composed as well as typed: U+037E, a Greek question mark, composes to a semicolon.
    if !local.chars().chain(local.nfc()).all(is_local_character) {
        return Err(AddressProblem::LocalCharacter);
    }
    if local.len() > LOCAL_OCTETS {
        return Err(AddressProblem::LocalTooLong);
    }
    Ok(())
}

/// The production's `atext` and dot; beyond ASCII, whatever Unicode has assigned for all to use.
fn is_local_character(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c)
    } else {
        is_public_assigned(c)
    }
}

/// Checks a domain, and gives the form that comparisons use.
fn check_domain(domain: &str) -> Result<Zeroizing<String>, AddressProblem> {
    // The full stops of UTS 46.
    let full_stop = |c: char| matches!(c, '.' | '\u{3002}' | '\u{FF0E}' | '\u{FF61}');
    if domain.len() > DOMAIN_OCTETS {
        return Err(AddressProblem::DomainTooLong);
    }
    if domain.split(full_stop).rev().skip(1).any(str::is_empty) {
        return Err(AddressProblem::EmptyLabel);
    }
    if domain.ends_with(full_stop) {
        return Err(AddressProblem::TrailingDot);
    }
    if domain.is_ascii() {
        check_labels(domain)?;
    }
    let ascii = comparison_domain(domain).ok_or(AddressProblem::InternationalDomain)?;
    if !domain.is_ascii() {
        check_labels(&ascii)?;
    }
    if !ascii.contains('.') {
        return Err(AddressProblem::OneLabel);
    }
    Ok(ascii)
}

/// The production's label: 1 to 63 letters, digits and hyphens, with no hyphen at either end.
fn check_labels(domain: &str) -> Result<(), AddressProblem> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !domain.split('.').all(|label| label.bytes().all(allowed)) {
        return Err(AddressProblem::DomainCharacter);
    }
    for label in domain.split('.') {
        if label.is_empty() {
            return Err(AddressProblem::EmptyLabel);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(AddressProblem::LabelHyphen);
        }
        if label.len() > LABEL_OCTETS {
            return Err(AddressProblem::LabelTooLong);
        }
    }
    if domain.len() > ASCII_DOMAIN_OCTETS {
        return Err(AddressProblem::DomainTooLong);
    }
    Ok(())
}

/// Characters that change an address without being seen: controls, the characters of Unicode's
/// `Default_Ignorable_Code_Point` and the other format characters (category Cf), among them all
/// bidirectional controls; and U+FFFC, U+FFFD, which stand for something that was lost.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{0600}'..='\u{0605}' | '\u{061C}' | '\u{06DD}'
            | '\u{070F}' | '\u{0890}'..='\u{0891}' | '\u{08E2}' | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFD}'
            | '\u{110BD}' | '\u{110CD}' | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

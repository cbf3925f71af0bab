//! Everything that can be wrong with what was sent, by field.

use domain::{AddressProblem, Language};

use crate::fault_words;

/// A field of a sign-up.
///
/// In the order in which faults are told: the request as a whole, then the form from its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    /// The request as a whole.
    Body,
    Email,
    Language,
    Newsletter,
    Notice,
    /// The header `Idempotency-Key`.
    IdempotencyKey,
}

impl Field {
    /// As it is sent; empty for the whole request.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Newsletter => "newsletter",
            Self::Language => "language",
            Self::Notice => "notice",
            Self::IdempotencyKey => "Idempotency-Key",
            Self::Body => "",
        }
    }

    /// The field of the form or the JSON object with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Email, Self::Newsletter, Self::Language, Self::Notice]
            .into_iter()
            .find(|field| field.name() == name)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not sent, or with nothing in it.
    Missing(Field),
    /// Sent more often than once, or the same newsletter twice.
    Duplicated(Field),
    /// Not a text: a number, a file, a list of lists.
    WrongType(Field),
    /// Not UTF-8, or a `%` that is followed by no two hexadecimal digits.
    WrongEncoding(Field),
    /// A text that the field does not take.
    WrongValue(Field),
    /// A newsletter that is not there or takes no sign-ups.
    UnknownNewsletter,
    /// More newsletters than one sign-up may name.
    TooManyNewsletters,
    /// No address that we take.
    Address(AddressProblem),
    /// A JSON key that we do not know; named if it looks like a name.
    UnknownKey(Option<String>),
    /// A body that cannot be taken apart: JSON or multipart with a mistake in it.
    UnreadableBody,
}

impl Fault {
    pub(crate) const fn field(&self) -> Field {
        match self {
            Self::Missing(field)
            | Self::Duplicated(field)
            | Self::WrongType(field)
            | Self::WrongEncoding(field)
            | Self::WrongValue(field) => *field,
            Self::UnknownNewsletter | Self::TooManyNewsletters => Field::Newsletter,
            Self::Address(_) => Field::Email,
            Self::UnknownKey(_) | Self::UnreadableBody => Field::Body,
        }
    }

    /// The name of the field in a JSON answer: an unknown key under its own name.
    pub(crate) fn field_name(&self) -> &str {
        match self {
            Self::UnknownKey(Some(name)) => name,
            other => other.field().name(),
        }
    }

    /// For programs: one of a closed set.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Duplicated(_) => "duplicated",
            Self::WrongType(_) => "wrong_type",
            Self::WrongEncoding(_) => "wrong_encoding",
            Self::WrongValue(_) => "wrong_value",
            Self::TooManyNewsletters => "too_many",
            Self::Address(problem) => problem.code(),
            Self::UnknownNewsletter | Self::UnknownKey(_) => "unknown",
            Self::UnreadableBody => "unreadable",
        }
    }

    /// What to put right, for people; nothing of what was typed.
    pub(crate) fn message(&self, language: Language) -> &'static str {
        fault_words::message(self, language)
    }
}

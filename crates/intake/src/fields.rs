//! What was sent, before anything is checked but its shape.

use zeroize::Zeroizing;

use crate::fault::{Fault, Field};

/// A text as it was sent; the email address may be one, so all are wiped.
pub(crate) type Text = Zeroizing<String>;

/// A notice that was on screen, as it was sent.
#[derive(PartialEq, Eq)]
pub(crate) struct SentNotice {
    /// The newsletter's slug, where the sender says which one the notice belongs to.
    pub(crate) newsletter: Option<String>,
    /// The hash, not checked.
    pub(crate) hash: String,
}

/// The fields of a sign-up.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) email: Option<Text>,
    pub(crate) newsletters: Vec<String>,
    pub(crate) language: Option<String>,
    pub(crate) notices: Vec<SentNotice>,
    /// The hash of the words around the field, which only our own form sends.
    pub(crate) wording: Option<String>,
    /// What is wrong with the shape.
    pub(crate) faults: Vec<Fault>,
}

impl Fields {
    /// Takes one field of a form, or what stopped it from being read.
    pub(crate) fn take(&mut self, field: Field, value: Result<Text, Fault>) {
        let value = match value {
            Ok(value) => value,
            Err(fault) => return self.fault(fault),
        };
        match field {
            Field::Email if self.email.is_some() => self.fault(Fault::Duplicated(field)),
            Field::Email => self.email = Some(value),
            Field::Language if self.language.is_some() => self.fault(Fault::Duplicated(field)),
            Field::Language => self.language = Some(value.as_str().to_owned()),
            Field::Newsletter => self.newsletters.push(value.as_str().to_owned()),
            Field::Notice => self.notices.push(SentNotice {
                newsletter: None,
                hash: value.as_str().to_owned(),
            }),
            Field::IdempotencyKey | Field::Body => {}
        }
    }

    /// Remembers what is wrong, once for each field.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if !self.has_fault(fault.field()) || fault.field() == Field::Body {
            self.faults.push(fault);
        }
    }

    /// Whether something is wrong with the field already.
    pub(crate) fn has_fault(&self, field: Field) -> bool {
        self.faults.iter().any(|fault| fault.field() == field)
    }
}

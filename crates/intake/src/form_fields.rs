//! Fields of HTML forms: `application/x-www-form-urlencoded` and `multipart/form-data`.
//!
//! Names that we do not know are passed over: every CMS adds some of its own.

use axum::RequestExt;
use axum::body::{Body, Bytes};
use axum::extract::Multipart;
use axum::http::{HeaderValue, Request, header};
use zeroize::Zeroizing;

use crate::fault::{Fault, Field};
use crate::fields::{Fields, Text};

/// The hash of the words around the field, in our own form.
pub(crate) const WORDING: &str = "wording";

/// Reads a urlencoded form. Stricter than the URL standard, which turns bytes that are not UTF-8 into
/// replacement characters and leaves a stray `%` alone: either would change an address in silence.
pub(crate) fn urlencoded(body: &[u8]) -> Fields {
    let mut fields = Fields::default();
    for pair in body.split(|byte| *byte == b'&') {
        let at = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = match at {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let Some(name) = decoded(name) else { continue };
        if name.as_str() == WORDING {
            fields.wording = decoded(value).map(|text| text.as_str().to_owned());
        } else if let Some(field) = Field::from_name(&name) {
            let value = decoded(value).ok_or(Fault::WrongEncoding(field));
            take_unless_blank_choice(&mut fields, field, value);
        }
    }
    fields
}

/// `+` is a space and `%` begins two hexadecimal digits; none where that fails or is not UTF-8.
fn decoded(encoded: &[u8]) -> Option<Text> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => *other,
        });
    }
    Some(Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned()))
}

/// Reads a multipart form. A file where a text belongs is of the wrong type; parts that we do not
/// know may be files.
pub(crate) async fn multipart(body: Bytes, content_type: &HeaderValue) -> Fields {
    let mut request = Request::new(Body::from(body));
    let content_type = content_type.clone();
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let mut fields = Fields::default();
    let Ok(mut parts) = request.extract::<Multipart, _>().await else {
        fields.fault(Fault::UnreadableBody);
        return fields;
    };
    loop {
        let part = match parts.next_field().await {
            Ok(Some(part)) => part,
            Ok(None) => return fields,
            Err(_) => {
                fields.fault(Fault::UnreadableBody);
                return fields;
            }
        };
        let name = part.name().unwrap_or_default().to_owned();
        let is_file = part.file_name().is_some();
        let Ok(value) = part.bytes().await else {
            fields.fault(Fault::UnreadableBody);
            return fields;
        };
        if name == WORDING {
            fields.wording = String::from_utf8(value.to_vec()).ok();
        } else if let Some(field) = Field::from_name(&name) {
            let value = if is_file {
                Err(Fault::WrongType(field))
            } else {
                std::str::from_utf8(&value)
                    .map(|text| Zeroizing::new(text.to_owned()))
                    .map_err(|_| Fault::WrongEncoding(field))
            };
            take_unless_blank_choice(&mut fields, field, value);
        }
    }
}

/// A form sends an empty `language` where the reader left a list at "please choose".
fn take_unless_blank_choice(fields: &mut Fields, field: Field, value: Result<Text, Fault>) {
    let is_blank = value.as_ref().is_ok_and(|value| value.is_empty());
    if !(field == Field::Language && is_blank) {
        fields.take(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn email_of(body: &str) -> Option<String> {
        urlencoded(body.as_bytes())
            .email
            .map(|text| text.as_str().to_owned())
    }

    #[test]
    fn a_form_is_decoded_as_browsers_encode_it() {
        for (body, expected) in [
            ("email=a%40b.example", "a@b.example"),
            ("email=a%2Btag@b.example", "a+tag@b.example"),
            ("x=1&email=+a+b+&y", " a b "),
            ("%65mail=a=b", "a=b"),
            ("email=%C3%B6@b.example", "ö@b.example"),
            ("email", ""),
            ("email=", ""),
        ] {
            assert_eq!(email_of(body).as_deref(), Some(expected), "{body}");
        }
        assert_eq!(email_of("Email=a"), None);
        assert_eq!(email_of(""), None);
    }

    #[test]
    fn what_cannot_be_decoded_is_a_fault_of_its_field() {
        for body in [
            &b"email=%"[..],
            b"email=%4",
            b"email=%zz",
            b"email=\xff",
            b"email=%ff",
        ] {
            let fields = urlencoded(body);
            assert_eq!(fields.faults, [Fault::WrongEncoding(Field::Email)]);
            assert!(fields.email.is_none());
        }
        assert!(urlencoded(b"cms_field=%zz&%ff=\xff").faults.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_comes_back(text in "\\PC*") {
            let body: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("email", &text)
                .finish();
            prop_assert_eq!(email_of(&body), Some(text));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let fields = urlencoded(&body);
            prop_assert!(fields.faults.len() <= 4);
        }
    }
}

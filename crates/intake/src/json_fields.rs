//! Fields of a JSON object.
//!
//! `email` is a text; `newsletter` a slug or a list of slugs; `language` a text; `notice` a hash, a
//! list of hashes, or an object of slug to hash. `null` counts as not sent. A key that we do not know
//! is refused, for it may be one of these, misspelt; so is a key that comes twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::fault::{Fault, Field};
use crate::fields::{Fields, SentNotice, Text};

/// Reads a JSON body.
pub(crate) fn json(body: &[u8]) -> Fields {
    let mut fields = Fields::default();
    let Ok(Json::Object(members)) = serde_json::from_slice(body) else {
        fields.fault(Fault::UnreadableBody);
        return fields;
    };
    let mut seen = Vec::new();
    for (name, value) in members {
        let Some(field) = Field::from_name(&name) else {
            fields.fault(Fault::UnknownKey(plain_name(&name)));
            continue;
        };
        if seen.contains(&field) {
            fields.fault(Fault::Duplicated(field));
            continue;
        }
        seen.push(field);
        take(&mut fields, field, value);
    }
    fields
}

fn take(fields: &mut Fields, field: Field, value: Json) {
    match (field, value) {
        (_, Json::Null) => {}
        (_, Json::Text(text)) => fields.take(field, Ok(text)),
        (Field::Newsletter | Field::Notice, Json::List(items)) => {
            for item in items {
                let text = match item {
                    Json::Text(text) => Ok(text),
                    _ => Err(Fault::WrongType(field)),
                };
                fields.take(field, text);
            }
        }
        (Field::Notice, Json::Object(members)) => {
            for (slug, hash) in members {
                match hash {
                    Json::Text(hash) => fields.notices.push(SentNotice {
                        newsletter: Some(slug.as_str().to_owned()),
                        hash: hash.as_str().to_owned(),
                    }),
                    _ => fields.fault(Fault::WrongType(field)),
                }
            }
        }
        _ => fields.fault(Fault::WrongType(field)),
    }
}

/// The name, if it is one: a client's mistake may have put an address in its place, which no answer
/// repeats.
fn plain_name(name: &str) -> Option<String> {
    let is_plain = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    is_plain.then(|| name.to_owned())
}

/// A JSON value that keeps keys which come twice, and wipes its texts.
enum Json {
    Null,
    Text(Text),
    /// A number or a truth value: none of our fields.
    Other,
    List(Vec<Json>),
    Object(Vec<(Text, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyJson;

        impl<'de> Visitor<'de> for AnyJson {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(Zeroizing::new(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Json, E> {
                Ok(Json::Text(Zeroizing::new(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some((name, value)) = members.next_entry::<String, Json>()? {
                    object.push((Zeroizing::new(name), value));
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(AnyJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_and_an_object_of_notices_are_read() {
        let fields = json(
            br#"{"email":"a@b.example","newsletter":["bins","news"],"notice":{"bins":"1","news":"2"},"language":null}"#,
        );
        assert!(fields.faults.is_empty());
        assert_eq!(fields.newsletters, ["bins", "news"]);
        assert_eq!(fields.language, None);
        assert_eq!(fields.notices[1].newsletter.as_deref(), Some("news"));
        assert_eq!(fields.notices[1].hash, "2");
    }

    #[test]
    fn shapes_that_are_wrong_are_faults() {
        let unknown = |name: &str| Fault::UnknownKey(Some(name.to_owned()));
        for (body, fault) in [
            (&br#"{"email":5}"#[..], Fault::WrongType(Field::Email)),
            (
                br#"{"email":["a@b.example"]}"#,
                Fault::WrongType(Field::Email),
            ),
            (
                br#"{"email":"a","email":"b"}"#,
                Fault::Duplicated(Field::Email),
            ),
            (
                br#"{"newsletter":{"a":"b"}}"#,
                Fault::WrongType(Field::Newsletter),
            ),
            (
                br#"{"newsletter":[1]}"#,
                Fault::WrongType(Field::Newsletter),
            ),
            (
                br#"{"newsletter":[["a"]]}"#,
                Fault::WrongType(Field::Newsletter),
            ),
            (br#"{"language":true}"#, Fault::WrongType(Field::Language)),
            (br#"{"notice":{"a":1}}"#, Fault::WrongType(Field::Notice)),
            (br#"{"newsletters":"a"}"#, unknown("newsletters")),
            (br#"{"a@b.example":"a"}"#, Fault::UnknownKey(None)),
            (br#"["a"]"#, Fault::UnreadableBody),
            (br#"{"email":"a""#, Fault::UnreadableBody),
            (br#"{"email":"\ud800"}"#, Fault::UnreadableBody),
            (b"{\"email\":\"\xff\"}", Fault::UnreadableBody),
            (b"", Fault::UnreadableBody),
        ] {
            assert_eq!(
                json(body).faults,
                [fault],
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn deep_nesting_ends_in_a_fault() {
        let body = format!("{{\"email\":{}{}}}", "[".repeat(8_000), "]".repeat(8_000));
        assert_eq!(json(body.as_bytes()).faults, [Fault::UnreadableBody]);
    }
}

//! The vectors, made by an implementation that shares no code with this one.

use data_encoding::HEXLOWER;
use domain::{EventId, SpoolId, Timestamp};
use serde_json::Value;

use crate::DecodeError;
use crate::record::{self, Body};
use crate::scan::{self, Ending};

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    let text = value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"));
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn number(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

/// A whole record, or nothing.
fn decode(record: &[u8]) -> Result<Body<'_>, DecodeError> {
    let body = record::unframe(record).ok_or(DecodeError::Undecodable("length or checksum"))?;
    if body.len() + record::HEADER_BYTES != record.len() {
        return Err(DecodeError::Undecodable("bytes after the record"));
    }
    record::decode_body(body)
}

fn assert_body(body: &Body<'_>, out: &Value) {
    assert_eq!(body.seq, number(out, "seq"));
    assert_eq!(body.event_id.as_bytes(), &bytes(out, "event_id")[..]);
    assert_eq!(body.accepted_at.as_millis(), number(out, "accepted_at"));
    assert_eq!(body.kind, out["kind"].as_str().unwrap());
    if out.get("payload_cbor").is_some() {
        assert_eq!(body.payload, bytes(out, "payload_cbor"));
    }
}

fn assert_record(input: &Value, out: &Value) {
    let body = Body {
        seq: number(input, "seq"),
        event_id: EventId::try_from(&bytes(input, "event_id")[..]).unwrap(),
        accepted_at: Timestamp::from_millis(number(input, "accepted_at")),
        kind: input["kind"].as_str().unwrap(),
        payload: &bytes(input, "payload_cbor"),
    };
    let encoded = body.encode();
    let framed = record::frame(&encoded).unwrap();
    assert_eq!(framed, bytes(out, "record"));
    let spool_id = SpoolId::try_from(&bytes(input, "spool_id")[..]).unwrap();
    assert_eq!(record::envelope(&encoded, spool_id), bytes(out, "envelope"));
    assert_eq!(decode(&framed), Ok(body));
}

fn assert_envelope(input: &Value, out: &Value, reject: Option<&str>) {
    let envelope = bytes(input, "envelope");
    let read = record::split_envelope(&envelope)
        .and_then(|(body, id)| record::decode_body(body).map(|body| (body, id)));
    match reject {
        None => {
            let (body, spool_id) = read.unwrap();
            assert_body(&body, out);
            assert_eq!(spool_id.as_bytes(), &bytes(out, "spool_id")[..]);
        }
        Some("newer version") => {
            assert_eq!(read, Err(DecodeError::Newer));
            assert_eq!(record::decode_envelope(&envelope), Err(DecodeError::Newer));
        }
        Some(_) => assert!(matches!(
            record::decode_envelope(&envelope),
            Err(DecodeError::Undecodable(_))
        )),
    }
}

fn assert_segment(input: &Value, out: &Value) {
    let first = number(input, "first_seq");
    let scan = scan::scan(&bytes(input, "segment"), first, Timestamp::from_millis(0)).unwrap();
    let items = out["items"].as_array().unwrap();
    assert_eq!(scan.slots.len(), items.len());
    for ((slot, item), seq) in scan.slots.iter().zip(items).zip(first..) {
        assert_eq!(number(item, "seq"), seq);
        let what = if slot.place.is_some() {
            "record"
        } else {
            "tombstone"
        };
        assert_eq!(item["what"], what);
    }
    assert_eq!(scan.end as u64, number(out, "end"));
    let how = match scan.ending {
        Ending::Clean => "end",
        Ending::Torn => "torn",
    };
    assert_eq!(out["how"], how);
}

/// Says which case it was when an assertion fails.
struct Named<'a>(&'a str);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the case {:?}", self.0);
        }
    }
}

#[test]
fn every_vector_of_spool_records_holds() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/spool-record.json"
    );
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 30, "the file is short: {}", cases.len());
    for case in cases {
        let (input, out) = (&case["in"], &case["out"]);
        let reject = case.get("reject").and_then(Value::as_str);
        let name = case["name"].as_str().unwrap();
        let _named = Named(name);
        match case["kind"].as_str().unwrap() {
            "crc" => {
                let checksum = crc32c::crc32c(&bytes(input, "data"));
                assert_eq!(checksum.to_be_bytes(), bytes(out, "crc32c")[..]);
            }
            "record" => assert_record(input, out),
            "decode" => match (reject, decode(&bytes(input, "record"))) {
                (None, body) => assert_body(&body.unwrap(), out),
                (Some(_), read) => assert!(read.is_err(), "{read:?}"),
            },
            "envelope" => assert_envelope(input, out, reject),
            "segment" => assert_segment(input, out),
            unknown => panic!("unknown kind {unknown}"),
        }
    }
}

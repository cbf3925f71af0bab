//! Every case of the independent vectors that concern this crate. A kind that is not known here fails the
//! test: a vector that nobody reads proves nothing.

use std::fs;

use data_encoding::HEXLOWER;
use domain::{
    Actor, BodyId, Effect, EventId, IssueNumber, KeyId, KeyState, LedgerEntry, Method,
    NewsletterNumber, Restored, SpoolId, SubscriptionId, Timestamp, TokenKey,
};
use serde_json::{Value, json};

use crate::{
    Bad, Checkpoint, Head, Line, Search, SignedCheckpoint, SigningKey, Survey, Verified, chain,
    decode, encode, first_of,
};

/// Calls `check` for each case of a file and says how many there were.
fn for_each_case(file: &str, check: impl Fn(&str, &str, &Value)) -> usize {
    let path = format!(
        "{}/../../tests/vectors/{file}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let cases = all["cases"].as_array().unwrap();
    for case in cases {
        let [name, kind] = ["name", "kind"].map(|key| case[key].as_str().unwrap());
        assert_ne!(case["reject"].is_null(), case["out"].is_null(), "{name}");
        check(name, kind, case);
    }
    cases.len()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn fixed<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(value.as_u64().unwrap()).ok().unwrap()
}

fn if_any<T>(value: &Value, read: impl Fn(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}

fn entry_of(case: &Value) -> (u64, LedgerEntry) {
    let entry = LedgerEntry {
        event_id: EventId::new(fixed(&case["event_id"])),
        occurred_at: Timestamp::from_millis(number(&case["occurred_ms"])),
        recorded_at: Timestamp::from_millis(number(&case["recorded_ms"])),
        newsletter: if_any(&case["newsletter"], |it| NewsletterNumber(number(it))),
        subscription_id: if_any(&case["subscription_id"], |it| {
            SubscriptionId::new(fixed(it))
        }),
        issue: IssueNumber(number(&case["issue"])),
        method: Method::from_number(number(&case["method"])).unwrap(),
        effect: Effect::from_number(number(&case["effect"])).unwrap(),
        token: if_any(&case["kid"], |kid| TokenKey {
            version: number(&case["token_version"]),
            kid: KeyId(number(kid)),
            state: KeyState::from_number(number(&case["key_state"])).unwrap(),
        }),
        actor: Actor::from_number(number(&case["actor"])).unwrap(),
        staff_reference: if_any(&case["staff_reference"], |it| EventId::new(fixed(it))),
        decision_id: if_any(&case["decision_id"], |it| EventId::new(fixed(it))),
        spool_id: if_any(&case["spool_id"], |it| SpoolId::new(fixed(it))),
        restored: if_any(&case["abandoned_seq"], |seq| Restored {
            checkpoint_seq: number(seq),
            checkpoint_h: fixed(&case["abandoned_h"]),
        }),
    };
    (number(&case["seq"]), entry)
}

#[test]
fn entries_and_the_chain_over_them() {
    let cases = for_each_case("ledger-entry", |name, kind, case| match kind {
        "entry" => {
            let (seq, entry) = entry_of(&case["in"]);
            let made = encode(seq, &entry);
            assert_eq!(made, bytes(&case["out"]["entry"]), "{name}");
            assert_eq!(chain::leaf(&made), fixed(&case["out"]["leaf"]), "{name}");
            assert_eq!(decode(&made), Ok((seq, entry)), "{name}");
        }
        "decode" => {
            let read = decode(&bytes(&case["in"]["entry"]));
            match case["reject"].as_str() {
                Some(why) => assert!(read.is_err(), "{name}: {why}"),
                None => assert_eq!(read, Ok(entry_of(&case["out"])), "{name}"),
            }
        }
        "chain" => {
            let mut head = Head::start(BodyId::new(fixed(&case["in"]["body_id"])));
            let mut hashes = vec![HEXLOWER.encode(&head.h)];
            for entry in case["in"]["entries"].as_array().unwrap() {
                let (seq, entry) = decode(&bytes(entry)).unwrap();
                let link = head.append(&entry);
                assert_eq!(link.seq, seq, "{name}");
                hashes.push(HEXLOWER.encode(&link.h));
            }
            assert_eq!(json!(hashes), case["out"]["h"], "{name}");
        }
        other => panic!("a kind called {other}"),
    });
    assert_eq!(cases, 28);
}

#[test]
fn checkpoints() {
    let cases = for_each_case("checkpoint", |name, kind, case| {
        let given = &case["in"];
        let body_id = BodyId::new(fixed(&given["body_id"]));
        let checkpoint = Checkpoint {
            seq: number(&given["seq"]),
            h: fixed(&given["h"]),
            time: Timestamp::from_millis(number(&given["time_ms"])),
        };
        match kind {
            "sign" => {
                let key = SigningKey::from_seed(&fixed(&given["private_key"])).unwrap();
                assert_eq!(
                    key.public_key(),
                    fixed(&case["mid"]["public_key"]),
                    "{name}"
                );
                let signed = key.sign(body_id, checkpoint);
                assert_eq!(signed.signature, fixed(&case["out"]["signature"]), "{name}");
                assert!(signed.is_signed(body_id), "{name}");
            }
            "verify" => {
                let signature = bytes(&given["signature"]).try_into();
                let is_signed = signature.is_ok_and(|signature| {
                    let signed = SignedCheckpoint {
                        checkpoint,
                        signature,
                        public_key: fixed(&given["public_key"]),
                    };
                    signed.is_signed(body_id)
                });
                assert_eq!(is_signed, case["reject"].is_null(), "{name}");
            }
            other => panic!("a kind called {other}"),
        }
    });
    assert_eq!(cases, 18);
}

/// An export, gone through as often as it takes.
fn verified(keys: &[[u8; 32]], lines: &[&str]) -> Result<Verified, Bad> {
    let mut survey = Survey::new(keys.to_vec());
    for line in lines {
        survey.line(line)?;
    }
    let mut walk = survey.walk()?;
    for line in lines {
        if !walk.line(line) {
            break;
        }
    }
    let (parts, of) = walk.searches();
    let mut repeated = None;
    for part in parts {
        let mut search = Search::new(part, of);
        for line in lines {
            repeated = first_of(repeated, search.line(line));
        }
    }
    walk.end(repeated)
}

#[test]
fn exports() {
    let cases = for_each_case("ledger-export", |name, kind, case| {
        assert_eq!(kind, "export", "{name}");
        let strings = |value: &Value| -> Vec<String> {
            let all = value.as_array().unwrap().iter();
            all.map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let keys: Vec<[u8; 32]> = case["in"]["public_keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(fixed)
            .collect();
        let lines = strings(&case["in"]["lines"]);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let found = match verified(&keys, &lines) {
            Ok(good) => json!({
                "entries": good.entries, "checkpoints": good.checkpoints,
                "proven_upto": good.proven_upto, "abandoned": good.abandoned,
            }),
            Err(bad) => json!({ "bad": { "seq": bad.seq, "line": bad.line } }),
        };
        assert_eq!(found, case["out"], "{name}");
        // What is written has the same meaning as what was read.
        for line in lines {
            if let Ok(read) = Line::read(line) {
                assert_eq!(Line::read(&read.write()), Ok(read), "{name}");
            }
        }
    });
    assert_eq!(cases, 28);
}

//! Every case of the independent vectors that concern this crate. A kind, name or key state that is
//! not known here fails the test: a vector that nobody reads proves nothing.

use std::fs;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use domain::{BodyId, EventId, IssueNumber, KeyId, KeyState, Timestamp};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::return_path::{self, CheckedMailbox, MailtoKeys, ReturnPathKeys};
use crate::secret_key::{self, KeyName, SecretKey};
use crate::{
    ClassKey, LinkClass, LinkKeys, LinkMaster, Purpose, Route, expiry_aux, is_expired, receipt,
};

/// Names of keys that `address-open` derives and checks against the same file.
const NAMES_OF_ADDRESS_KEYS: [&str; 4] = ["index", "suppression", "row", "message-id"];

/// Calls `check` for each case and says how many there were.
fn for_each_case(file: &str, check: impl Fn(&Case<'_>)) -> usize {
    let path = format!(
        "{}/../../tests/vectors/{file}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(path).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let cases = all["cases"].as_array().unwrap();
    for case in cases {
        check(&Case(case));
    }
    cases.len()
}

struct Case<'a>(&'a Value);

impl Case<'_> {
    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap()
    }

    /// Whether the case must be refused; it has a result if and only if it must not.
    fn is_refused(&self) -> bool {
        assert_ne!(
            self.0["reject"].is_null(),
            self.0["out"].is_null(),
            "{}",
            self.name()
        );
        self.0["out"].is_null()
    }

    fn text(&self, part: &str, key: &str) -> &str {
        let value = self.0[part][key].as_str();
        value.unwrap_or_else(|| panic!("{}: no {part}.{key}", self.name()))
    }

    fn number(&self, part: &str, key: &str) -> u64 {
        let value = self.0[part][key].as_u64();
        value.unwrap_or_else(|| panic!("{}: no {part}.{key}", self.name()))
    }

    fn bytes(&self, part: &str, key: &str) -> Vec<u8> {
        HEXLOWER.decode(self.text(part, key).as_bytes()).unwrap()
    }

    fn sixteen(&self, part: &str, key: &str) -> [u8; 16] {
        self.bytes(part, key).try_into().unwrap()
    }

    fn body(&self) -> BodyId {
        BodyId::new(self.sixteen("in", "body_id"))
    }

    /// The derived key of a `mint` case, as the vector itself has it.
    fn derived_key(&self) -> ClassKey {
        ClassKey {
            kid: self.masters()[0].kid,
            bytes: Zeroizing::new(self.bytes("mid", "key").try_into().unwrap()),
            state: KeyState::Current,
        }
    }

    /// The one master of a `mint` case, or the `keys` of a `verify` case.
    fn masters(&self) -> Vec<LinkMaster> {
        let Some(keys) = self.0["in"]["keys"].as_array() else {
            return vec![master(&self.0["in"], KeyState::Current)];
        };
        let state = |key: &Value| match key["state"].as_str().unwrap() {
            "current" => KeyState::Current,
            "retired" => KeyState::Retired,
            "compromised" => KeyState::Compromised,
            other => panic!("a key state called {other}"),
        };
        keys.iter().map(|key| master(key, state(key))).collect()
    }
}

fn master(value: &Value, state: KeyState) -> LinkMaster {
    let bytes = HEXLOWER
        .decode(value["master"].as_str().unwrap().as_bytes())
        .unwrap();
    LinkMaster {
        kid: KeyId(u16::try_from(value["kid"].as_u64().unwrap()).unwrap()),
        bytes: Zeroizing::new(bytes.try_into().unwrap()),
        state,
    }
}

fn purpose(number: u64) -> Purpose {
    Purpose::from_number(u8::try_from(number).unwrap()).unwrap()
}

fn class_name(class: LinkClass) -> &'static str {
    match class {
        LinkClass::Leave => "leave",
        LinkClass::Join => "join",
        LinkClass::Rights => "rights",
    }
}

fn class_of(route: Route) -> LinkClass {
    match route {
        Route::Leave | Route::Undo => LinkClass::Leave,
        Route::Confirm => LinkClass::Join,
        Route::MyData => LinkClass::Rights,
    }
}

#[test]
fn link_tokens_are_those_of_the_vectors() {
    let cases = for_each_case("link-tokens", |case| match case.kind() {
        "mint" => mint_link(case),
        "verify" => verify_link(case),
        "expiry" => {
            let sent = Timestamp::from_millis(case.number("in", "sent_ms"));
            let accepted = Timestamp::from_millis(case.number("in", "accepted_ms"));
            let life = purpose(case.number("in", "purpose")).life();
            let aux = life.map_or(0, |life| expiry_aux(sent, life));
            let expired = life.is_some() && is_expired(aux, accepted);
            assert_eq!(u64::from(aux), case.number("mid", "aux"), "{}", case.name());
            assert_eq!(
                Some(expired),
                case.0["out"]["expired"].as_bool(),
                "{}",
                case.name()
            );
        }
        other => panic!("a kind called {other}"),
    });
    assert_eq!(cases, 53);
}

fn mint_link(case: &Case<'_>) {
    let purpose = purpose(case.number("in", "purpose"));
    let class = purpose.class();
    let keys = LinkKeys::derive(class, case.body(), &case.masters()).unwrap();
    let aux = u32::try_from(case.number("in", "aux")).unwrap();
    let token = keys.mint(purpose, &case.sixteen("in", "subject"), aux);
    assert_eq!(token, case.text("out", "token"), "{}", case.name());
    assert_eq!(class_name(class), case.text("mid", "class"));
    assert_eq!(purpose.route().path(), case.text("mid", "route"));
    let raw = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    assert_eq!(raw, case.bytes("mid", "raw"));
    assert_eq!(raw[24..], case.bytes("mid", "mac")[..16]);
    let derived = case.masters()[0].class_key(class, case.body());
    assert_eq!(derived.bytes[..], case.bytes("mid", "key"));
    assert_eq!(
        SecretKey::from_bytes(derived.bytes).mac(&[&case.bytes("mid", "mac_input")])[..],
        case.bytes("mid", "mac")
    );
    // As a role has it: the derived key alone, out of a file.
    let from_file = LinkKeys::from_class_keys(class, vec![case.derived_key()]).unwrap();
    assert_eq!(
        from_file.mint(purpose, &case.sixteen("in", "subject"), aux),
        token
    );
    let checked = from_file.check(purpose.route(), &token);
    assert_eq!(checked, keys.check(purpose.route(), &token));
    let checked = checked.unwrap();
    assert_eq!(
        (checked.purpose, checked.aux),
        (purpose, aux),
        "it checks what it mints"
    );
}

fn verify_link(case: &Case<'_>) {
    let route = Route::ALL
        .into_iter()
        .find(|route| route.path() == case.text("in", "route"));
    let route = route.unwrap();
    let keys = LinkKeys::derive_for_checking(class_of(route), case.body(), &case.masters());
    let checked = keys.check(route, case.text("in", "rest"));
    if case.is_refused() {
        assert_eq!(checked, None, "{}", case.name());
        return;
    }
    let checked = checked.unwrap_or_else(|| panic!("{} is refused", case.name()));
    assert_eq!(checked.purpose, purpose(case.number("out", "purpose")));
    assert_eq!(checked.subject, case.sixteen("out", "subject"));
    assert_eq!(u64::from(checked.aux), case.number("out", "aux"));
    assert_eq!(u64::from(checked.key.kid.0), case.number("out", "kid"));
    assert_eq!(checked.key.state.label(), case.text("out", "state"));
    assert_eq!(checked.key.version, 1);
}

#[test]
fn return_paths_are_those_of_the_vectors() {
    let cases = for_each_case("return-paths", |case| match case.kind() {
        "mint" => mint_return_path(case),
        "verify" => verify_return_path(case),
        "expiry" => {
            let day = u16::try_from(case.number("in", "day")).unwrap();
            let now = Timestamp::from_millis(case.number("in", "now_ms"));
            let expired = !return_path::is_alive(day, now);
            assert_eq!(
                Some(expired),
                case.0["out"]["expired"].as_bool(),
                "{}",
                case.name()
            );
        }
        other => panic!("a kind called {other}"),
    });
    assert_eq!(cases, 30);
}

fn mint_return_path(case: &Case<'_>) {
    let issue = IssueNumber(u32::try_from(case.number("in", "issue")).unwrap());
    let subject = case.sixteen("in", "subscription_id");
    let (name, local_part) = match case.text("in", "prefix") {
        "b" => {
            let keys = ReturnPathKeys::derive(case.body(), &case.masters()).unwrap();
            let now = Timestamp::from_millis(case.number("in", "day") * 86_400_000 + 5);
            let local_part = keys.mint(&subject, issue, now);
            // As a role has it: the derived key alone, out of a file.
            let from_file = ReturnPathKeys::from_keys(vec![case.derived_key()]).unwrap();
            assert_eq!(from_file.mint(&subject, issue, now), local_part);
            assert_eq!(from_file.check(&local_part), keys.check(&local_part));
            assert!(from_file.check(&local_part).is_some());
            (KeyName::ReturnPath, local_part)
        }
        "u" => {
            let keys = MailtoKeys::derive(case.body(), &case.masters()).unwrap();
            (KeyName::Mailto, keys.mint(&subject, issue))
        }
        other => panic!("a prefix {other}"),
    };
    assert_eq!(
        local_part,
        case.text("out", "local_part"),
        "{}",
        case.name()
    );
    let derived = case.masters()[0].key_called(name, case.body());
    assert_eq!(derived.bytes[..], case.bytes("mid", "key"));
    assert_eq!(
        SecretKey::from_bytes(derived.bytes).mac(&[&case.bytes("mid", "mac_input")])[..],
        case.bytes("mid", "mac")
    );
}

/// Offers the local part to both kinds of keys, as an inbound server would.
fn verify_return_path(case: &Case<'_>) {
    let local_part = case.text("in", "local_part");
    let return_paths = ReturnPathKeys::derive_for_checking(case.body(), &case.masters());
    let mailtos = MailtoKeys::derive_for_checking(case.body(), &case.masters());
    let found: Vec<(&str, CheckedMailbox)> = [
        ("b", return_paths.check(local_part)),
        ("u", mailtos.check(local_part)),
    ]
    .into_iter()
    .filter_map(|(kind, checked)| Some((kind, checked?)))
    .collect();
    if case.is_refused() {
        assert_eq!(found, vec![], "{}", case.name());
        return;
    }
    assert_eq!(found.len(), 1, "{}", case.name());
    let (kind, mailbox) = found[0];
    assert_eq!(kind, case.text("out", "kind"));
    assert_eq!(u64::from(mailbox.key.kid.0), case.number("out", "kid"));
    assert_eq!(mailbox.subject, case.sixteen("out", "subscription_id"));
    assert_eq!(u64::from(mailbox.issue.0), case.number("out", "issue"));
    assert_eq!(mailbox.day.map(u64::from), case.0["out"]["day"].as_u64());
}

#[test]
fn receipts_are_those_of_the_vectors() {
    let cases = for_each_case("receipt", |case| match case.kind() {
        "encode" => {
            let event_id = EventId::new(case.sixteen("in", "event_id"));
            assert_eq!(
                receipt::of(event_id),
                case.text("out", "receipt"),
                "{}",
                case.name()
            );
        }
        "read" => {
            let expected = (!case.is_refused()).then(|| case.sixteen("out", "event_id"));
            let read = receipt::read(case.text("in", "receipt"));
            assert_eq!(read, expected.map(EventId::new), "{}", case.name());
        }
        other => panic!("a kind called {other}"),
    });
    assert_eq!(cases, 11);
}

#[test]
fn keys_are_those_of_the_vectors() {
    let cases = for_each_case("keys", |case| {
        assert_eq!(case.kind(), "derive", "{}", case.name());
        let text = case.text("in", "name");
        let name = KeyName::ALL.into_iter().find(|name| name.text() == text);
        let master: Option<[u8; 32]> = case.bytes("in", "master").try_into().ok();
        if case.is_refused() {
            assert!(name.is_none() || master.is_none(), "{}", case.name());
        } else if let Some(name) = name {
            let key = secret_key::derive(&master.unwrap(), case.body(), name);
            assert_eq!(key[..], case.bytes("out", "key"), "{}", case.name());
        } else {
            assert!(NAMES_OF_ADDRESS_KEYS.contains(&text), "a key called {text}");
        }
    });
    assert_eq!(cases, 13);
}

//! DKIM signatures, checked by others (`privacy.md` EML-03, EML-30, EML-31): Debian's `python3-dkim`
//! with `python3-nacl`, and `libmail-dkim-perl`, with keys from a file in place of the DNS.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use domain::Language;
use mail::{DkimAlgorithm, DkimKey, DkimKeyError, DkimSigner, SignError};
use tempfile::TempDir;

use crate::{all_mails, headers, support};

const DOMAIN: &str = "news.example.gov.uk";
/// Debian's own, for which its packages are.
const PYTHON: &str = "/usr/bin/python3";

static KEYS: LazyLock<[DkimKey; 2]> = LazyLock::new(|| {
    let key = |selector: &str, algorithm| {
        DkimKey::from_pem(selector, &DkimKey::generate(algorithm).unwrap()).unwrap()
    };
    [
        key("letterbox-rsa", DkimAlgorithm::Rsa),
        key("letterbox-ed25519", DkimAlgorithm::Ed25519),
    ]
});

fn both() -> DkimSigner {
    DkimSigner::new(KEYS.to_vec())
}

/// A folder with messages, and the records of [`KEYS`].
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let records = KEYS.iter().map(|key| {
            let name = format!("{}._domainkey.{DOMAIN}", key.selector());
            format!("{name} {}\n", key.record())
        });
        fs::write(folder.path().join("keys"), records.collect::<String>()).unwrap();
        Self(folder)
    }

    fn put(&self, name: &str, message: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, message).unwrap();
        path
    }

    fn run(&self, program: &str, script: &str, messages: &[PathBuf]) -> String {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers");
        let output = Command::new(program)
            .arg(scripts.join(script))
            .arg(self.0.path().join("keys"))
            .args(messages)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{script}: {}\ntests/run installs what it needs: python3-dkim, python3-nacl, libmail-dkim-perl",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Which verdicts of which verifier say "pass", by message.
    fn verdicts(&self, messages: &[PathBuf]) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (program, script) in [(PYTHON, "dkimpy.py"), ("perl", "mail-dkim.pl")] {
            for line in self.run(program, script, messages).lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let passes = found.entry(words[0].to_owned()).or_default();
                if words[3] == "pass" {
                    passes.insert(format!("{script} {}", words[2]));
                }
            }
        }
        found
    }
}

const DKIMPY_RSA: &str = "dkimpy.py rsa-sha256";
const DKIMPY_ED25519: &str = "dkimpy.py ed25519-sha256";
const PERL_RSA: &str = "mail-dkim.pl rsa-sha256";
/// Of the message, whatever signature it is that passes.
const PERL: &str = "mail-dkim.pl overall";

fn passes<const N: usize>(verdicts: [&str; N]) -> BTreeSet<String> {
    verdicts.into_iter().map(str::to_owned).collect()
}

/// Everything that knows the key's kind says "pass".
fn all() -> BTreeSet<String> {
    passes([DKIMPY_RSA, DKIMPY_ED25519, PERL_RSA, PERL])
}

/// A message that passed a relay: `Received` and `Return-Path` in front, as RFC 5321 wants.
fn relayed(message: &[u8]) -> Vec<u8> {
    let trace = b"Return-Path: <b-x@bounces.example.gov.uk>\r\nReceived: from letterbox (localhost [127.0.0.1])\r\n\tby relay.example.org (Postfix) with ESMTPS id 4XyZ\r\n\tfor <resident@example.org>; Tue, 24 Nov 2026 06:02:04 +0000 (UTC)\r\n";
    [trace, message].concat()
}

#[test]
fn every_mail_passes_two_verifiers_also_behind_a_relay() {
    let desk = Desk::new();
    let mut paths = Vec::new();
    for (kind, language, message) in all_mails() {
        let signed = both().sign(message, DOMAIN).unwrap();
        let name = format!("{kind}-{}", language.tag());
        paths.push(desk.put(&name, &signed));
        paths.push(desk.put(&format!("{name}-relayed"), &relayed(&signed)));
    }
    // Bodies that the canonical form changes, and one that is empty.
    for (name, body) in [
        ("spaces", "a  b \t c \r\n \r\n\r\nd\r\n \r\n\r\n"),
        ("empty", ""),
        ("blank", "\r\n\r\n"),
        ("no-end", "a\r\nb"),
        ("dots", ".\r\n..\r\nFrom here\r\n"),
    ] {
        let head = "From: A <a@news.example.gov.uk>\r\nTo: b@example.org\r\nSubject:  two   words\r\n\tfolded \r\nDate: Tue, 24 Nov 2026 06:02:03 +0000\r\nMessage-ID: <x@news.example.gov.uk>\r\n\r\n";
        let signed = both()
            .sign([head, body].concat().into_bytes(), DOMAIN)
            .unwrap();
        paths.push(desk.put(name, &signed));
    }
    let verdicts = desk.verdicts(&paths);
    assert_eq!(verdicts.len(), paths.len());
    for (name, verdict) in verdicts {
        assert_eq!(verdict, all(), "{name}");
    }
}

#[test]
fn either_key_is_enough_and_none_changes_nothing() {
    let desk = Desk::new();
    let [rsa, ed25519] = &*KEYS;
    let message = support::confirmation(Language::Cy);
    let sign = |keys: &[&DkimKey]| {
        let keys = keys.iter().map(|key| (*key).clone()).collect();
        DkimSigner::new(keys).sign(message.clone(), DOMAIN).unwrap()
    };
    assert_eq!(sign(&[]), message);
    let paths = [
        desk.put("rsa", &sign(&[rsa])),
        desk.put("ed25519", &sign(&[ed25519])),
    ];
    let verdicts = desk.verdicts(&paths);
    assert_eq!(verdicts["rsa"], passes([DKIMPY_RSA, PERL_RSA, PERL]));
    assert_eq!(verdicts["ed25519"], passes([DKIMPY_ED25519]));
}

#[test]
fn what_a_reader_sees_cannot_be_changed_or_added_to() {
    let desk = Desk::new();
    let text = issue_text::parse(support::ISSUE).unwrap();
    let issue = support::issue(&text, Language::En);
    let signed = String::from_utf8(both().sign(issue, DOMAIN).unwrap()).unwrap();
    let mut paths = Vec::new();
    let mut changed = |name: &str, from: &str, to: &str| {
        let other = signed.replacen(from, to, 1);
        assert!(other != signed, "{name}");
        paths.push(desk.put(name, other.as_bytes()));
    };
    changed("body", "in Millbrook", "in Mill\tbrook");
    changed("end", "--\r\n", "--\r\nmore\r\n");
    changed("subject", "Subject: ", "Subject: Re: ");
    changed(
        "link",
        "List-Unsubscribe: <https://",
        "List-Unsubscribe: <https://evil.",
    );
    changed("language", "Content-Language: en", "Content-Language: cy");
    changed("list", "List-Id: ", "List-Id: Other ");
    changed("feedback", "Feedback-ID: 42", "Feedback-ID: 43");
    changed("date", "24 Nov 2026", "25 Nov 2026");
    for field in [
        "From: Other <other@example.org>",
        "To: <other@example.org>",
        "Cc: <other@example.org>",
        "Subject: Other",
        "Reply-To: <other@example.org>",
        "List-Unsubscribe: <https://evil.example/>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ] {
        let name = format!("added-{}", field.split(':').next().unwrap());
        paths.push(desk.put(&name, format!("{field}\r\n{signed}").as_bytes()));
    }
    paths.push(desk.put("unchanged", signed.as_bytes()));
    for (name, verdict) in desk.verdicts(&paths) {
        let expected = if name == "unchanged" {
            all()
        } else {
            passes([])
        };
        assert_eq!(verdict, expected, "{name}");
    }
}

#[test]
fn the_fields_are_those_of_the_list_and_nothing_of_the_body_is_left_out() {
    for (kind, _, message) in all_mails() {
        let signed = both().sign(message.clone(), DOMAIN).unwrap();
        assert!(signed.ends_with(&message));
        crate::assert_fit_for_the_wire(&signed);
        let signatures = headers(&signed, "DKIM-Signature");
        assert_eq!(signatures.len(), 2);
        for (signature, key) in signatures.iter().zip(KEYS.iter()) {
            let tags: BTreeMap<&str, String> = signature
                .split(';')
                .map(|tag| tag.trim().split_once('=').unwrap())
                .map(|(name, value)| (name, value.replace([' ', '\t'], "")))
                .collect();
            let tag = |name: &str| tags[name].as_str();
            assert_eq!(tag("v"), "1");
            assert_eq!(tag("a"), format!("{}-sha256", key.algorithm().label()));
            assert_eq!(tag("c"), "relaxed/relaxed");
            assert_eq!((tag("d"), tag("s")), (DOMAIN, key.selector()));
            // The moment of the mail's own date.
            assert_eq!(tag("t"), "1795500123");
            assert!(!tags.contains_key("l") && !tags.contains_key("x"));

            let names: Vec<String> = tag("h").split(':').map(str::to_lowercase).collect();
            let times = |name: &str| names.iter().filter(|found| *found == name).count();
            for name in [
                "from",
                "subject",
                "to",
                "list-unsubscribe",
                "list-unsubscribe-post",
            ] {
                assert_eq!(times(name), 2, "{kind} {name}");
            }
            let text = String::from_utf8(message.clone()).unwrap();
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            for line in head.split("\r\n").filter(|line| !line.starts_with(' ')) {
                let name = line.split(':').next().unwrap().to_lowercase();
                assert!(times(&name) > 0, "{kind}: {name} is not signed");
            }
            for name in names {
                assert!(!["received", "return-path", "dkim-signature"].contains(&name.as_str()));
            }
        }
    }
}

#[test]
fn a_signature_made_again_is_the_same() {
    let message = support::already_subscribed(Language::En);
    let signed = both().sign(message.clone(), DOMAIN).unwrap();
    assert_eq!(both().sign(message, DOMAIN).unwrap(), signed);
}

#[test]
fn only_a_message_from_the_domain_is_signed() {
    let refused = |message: &str| {
        both()
            .sign(message.as_bytes().to_vec(), DOMAIN)
            .unwrap_err()
    };
    let date = "Date: Tue, 24 Nov 2026 06:02:03 +0000\r\n";
    let from = "From: A <a@news.example.gov.uk>\r\n";
    for other in [
        "From: a@example.gov.uk\r\n".to_owned(),
        "From: \"a@news.example.gov.uk\" <a@example.org>\r\n".to_owned(),
        format!("{from}From: <b@example.org>\r\n"),
        String::new(),
    ] {
        let message = format!("{other}{date}\r\nbody\r\n");
        assert_eq!(refused(&message), SignError::OtherDomain, "{other:?}");
    }
    for other in ["", "Date: today\r\n", &format!("{date}{date}")] {
        let message = format!("{from}{other}\r\nbody\r\n");
        assert_eq!(refused(&message), SignError::NoDate, "{other:?}");
    }
    let no_head = format!("{from}{date}");
    assert_eq!(refused(&no_head), SignError::NoHead);
    assert_eq!(refused(&format!("{no_head}\nbody")), SignError::NoHead);
}

#[test]
fn openssl_and_we_read_each_others_keys() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {why}");
        String::from_utf8(output.stdout).unwrap()
    };
    for algorithm in [DkimAlgorithm::Rsa, DkimAlgorithm::Ed25519] {
        let name = algorithm.label();
        let theirs = openssl(&["genpkey", "-quiet", "-algorithm", name]);
        let key = DkimKey::from_pem("a", &theirs).unwrap();
        assert_eq!(key.algorithm(), algorithm);

        let ours = DkimKey::generate(algorithm).unwrap();
        fs::write(folder.path().join("key"), ours.as_bytes()).unwrap();
        let public = openssl(&["pkey", "-in", "key", "-pubout"]);
        let digits: String = public
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let record = DkimKey::from_pem("a", &ours).unwrap().record();
        let published = record.rsplit("p=").next().unwrap();
        assert!(record.starts_with(&format!("v=DKIM1; k={name}; p=")));
        // An Ed25519 record has the bare key (RFC 8463, 4.2), the last 32 bytes of what OpenSSL prints.
        match algorithm {
            DkimAlgorithm::Rsa => assert_eq!(digits, published),
            DkimAlgorithm::Ed25519 => assert!(digits.ends_with(published)),
        }
    }
}

#[test]
fn a_key_that_cannot_sign_is_refused() {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let refused = |selector: &str, pem: &str| DkimKey::from_pem(selector, pem).unwrap_err();
    let good = DkimKey::generate(DkimAlgorithm::Ed25519).unwrap();
    for selector in [
        "",
        "-a",
        "a-",
        "A",
        "a.b",
        "a_b",
        "ä",
        "a b",
        &"a".repeat(64),
    ] {
        assert_eq!(
            refused(selector, &good),
            DkimKeyError::Selector,
            "{selector}"
        );
    }
    let short = openssl(&[
        "genpkey",
        "-quiet",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:1024",
    ]);
    assert!(matches!(
        refused("a", &short),
        DkimKeyError::Size { bits: 1024 } | DkimKeyError::Kind
    ));
    let curve = openssl(&[
        "genpkey",
        "-quiet",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    assert_eq!(refused("a", &curve), DkimKeyError::Kind);
    let spoilt = good.replacen("MC4", "MC5", 1);
    for text in [
        "",
        "nonsense",
        &good[..good.len() / 2],
        &[good.as_str(), good.as_str()].concat(),
        &good.replace("PRIVATE", "PUBLIC"),
        &good.replace("PRIVATE", "RSA PRIVATE"),
    ] {
        assert_eq!(refused("a", text), DkimKeyError::NotPem, "{text}");
    }
    assert_eq!(refused("a", &spoilt), DkimKeyError::Kind);
}

#[test]
fn no_key_is_shown() {
    let pem = DkimKey::generate(DkimAlgorithm::Ed25519).unwrap();
    let key = DkimKey::from_pem("letterbox", &pem).unwrap();
    let shown = format!("{:?}", DkimSigner::new(vec![key]));
    assert_eq!(shown, "DkimSigner { keys: [DkimKey(letterbox, ed25519)] }");
}

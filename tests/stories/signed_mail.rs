//! What is sent is signed and has a return path of its own; others check both.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use support::{Letterbox, Resident, SmtpSink, repository};

use crate::through_a_relay::{join, sending_to};

const BOUNCES: &str = "bounces.council.example";

#[test]
fn every_mail_is_signed_twice_and_bounces_to_an_address_of_its_own() -> Result<()> {
    let sink = SmtpSink::start(Vec::new())?;
    let mut letterbox = sending_to(&sink, &[])?;
    let printed = letterbox.command(&["keys", "dkim"])?.ok()?;
    let records = records(&printed, "council.example")?;
    ensure!(records.len() == 2, "two records in: {printed}");
    let shown = letterbox.command(&["keys", "show"])?.ok()?;
    for line in printed.lines().filter(|line| line.contains("_domainkey")) {
        ensure!(shown.contains(line), "{line} is not in: {shown}");
    }
    let again = letterbox.command(&["keys", "dkim"])?;
    assert_eq!(again.code, Some(2), "keys are never overwritten");
    letterbox.stop()?;
    let url = sink.url();
    letterbox.set_options(&["--smtp", &url, "--return-path-domain", BOUNCES]);
    letterbox.resume()?;

    let names = ["anna", "ben.dot", "siân"];
    for (number, name) in names.iter().enumerate() {
        let resident = Resident::new(&format!("{name}@example.org"));
        join(&letterbox, &sink, &resident)?;
        letterbox.wait_for_active(number + 1)?;
    }
    letterbox.send_issue("Bins", ".a dot  and   spaces \n\nFrom here on: ŵ ŷ\n")?;

    let transcript = sink.transcript();
    assert_eq!(transcript.taken.len(), names.len() * 2);
    let messages = transcript
        .taken
        .iter()
        .map(|(_, message)| message.as_slice());
    let verdicts = verdicts(&letterbox, &records, messages)?;
    let expected: BTreeSet<String> = [
        "letterbox-rsa rsa-sha256",
        "letterbox-ed25519 ed25519-sha256",
    ]
    .iter()
    .flat_map(|signature| {
        (0..names.len() * 2).map(move |number| format!("{number} {signature} pass"))
    })
    .collect();
    assert_eq!(verdicts, expected);

    let paths = transcript.lines.iter().filter_map(|line| {
        let path = line.strip_prefix("C: MAIL FROM:<")?;
        path.split('>').next()
    });
    let paths: Vec<_> = paths.map(str::to_owned).collect();
    assert_eq!(paths.len(), names.len() * 2);
    let checked: Vec<ReturnPath> = paths
        .iter()
        .map(|path| ReturnPath::check(&letterbox, path))
        .collect::<Result<_>>()?;
    let of_issue = |number| {
        let found = checked.iter().filter(|path| path.issue == number);
        found
            .map(|path| path.subject.clone())
            .collect::<BTreeSet<_>>()
    };
    let ids = letterbox.sql("SELECT encode(subscription_id, 'hex') FROM subscription")?;
    let subscriptions: BTreeSet<String> = ids.lines().map(str::to_owned).collect();
    assert_eq!(of_issue(1), subscriptions);
    let boxes = of_issue(0);
    assert_eq!(boxes.len(), names.len(), "a confirmation names its box");
    assert!(boxes.is_disjoint(&subscriptions));
    Ok(())
}

/// Name and text of each record that was printed, for a zone.
fn records(printed: &str, zone: &str) -> Result<Vec<(String, String)>> {
    printed
        .lines()
        .filter(|line| line.contains("_domainkey"))
        .map(|line| {
            let (name, strings) = line.split_once(" IN TXT ( ").context("no TXT record")?;
            let text: String = strings.split('"').skip(1).step_by(2).collect();
            ensure!(
                strings.split('"').all(|string| string.len() <= 255),
                "{line}"
            );
            Ok((format!("{name}.{zone}"), text))
        })
        .collect()
}

/// "NUMBER SELECTOR ALGORITHM VERDICT" of each signature, by `python3-dkim`.
fn verdicts<'a>(
    letterbox: &Letterbox,
    records: &[(String, String)],
    messages: impl Iterator<Item = &'a [u8]>,
) -> Result<BTreeSet<String>> {
    let keys = letterbox.folder().join("records");
    let lines = records
        .iter()
        .map(|(name, text)| format!("{name} {text}\n"));
    fs::write(&keys, lines.collect::<String>())?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for (number, message) in messages.enumerate() {
        let path = letterbox.folder().join(number.to_string());
        fs::write(&path, message)?;
        paths.push(path);
    }
    let ended = Command::new("/usr/bin/python3")
        .arg(repository().join("crates/mail/tests/verifiers/dkimpy.py"))
        .arg(&keys)
        .args(&paths)
        .output()?;
    let errors = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.success(),
        "tests/run installs python3-dkim: {errors}"
    );
    let printed = String::from_utf8(ended.stdout)?;
    Ok(printed.lines().map(str::to_owned).collect())
}

/// What a genuine return path says, read by the page of formats alone.
struct ReturnPath {
    /// Hexadecimal.
    subject: String,
    issue: u32,
}

impl ReturnPath {
    fn check(letterbox: &Letterbox, path: &str) -> Result<Self> {
        let (local, domain) = path.rsplit_once('@').context("no domain")?;
        ensure!(domain == BOUNCES && local.len() == 58, "{path}");
        ensure!(local == local.to_lowercase(), "{path}");
        let digits = local.strip_prefix("b-").context("no b-")?.to_uppercase();
        let bytes = BASE32_NOPAD.decode(digits.as_bytes())?;
        let (signed, tag) = bytes.split_at(25);
        let label: &[u8] = b"letterbox/verp/v1\0";
        let expected = mac(&verp_key(letterbox)?, &[label, signed])?;
        ensure!(expected[..10] == *tag, "{path} has a wrong tag");
        ensure!(
            signed[..3] == [1, 0, 1],
            "{path} has another version or key"
        );
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        };
        let days = std::time::UNIX_EPOCH.elapsed()?.as_secs() / 86_400;
        let day = u64::from(number(&signed[23..]));
        ensure!(
            day == days || day + 1 == days,
            "{path} was made on day {day}"
        );
        Ok(Self {
            subject: HEXLOWER.encode(&signed[3..19]),
            issue: number(&signed[19..23]),
        })
    }
}

/// HKDF-SHA-256 without salt from the master of link generation 1.
fn verp_key(letterbox: &Letterbox) -> Result<Vec<u8>> {
    let file = |name: &str| {
        let text = fs::read_to_string(letterbox.data().join("keys").join(name))?;
        anyhow::Ok(text.trim().to_owned())
    };
    let master = HEXLOWER.decode(file("link-1.key")?.as_bytes())?;
    let info = format!("letterbox|verp|{}", file("body-id")?);
    let extracted = mac(&[0; 32], &[&master])?;
    mac(&extracted, &[info.as_bytes(), &[1]])
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

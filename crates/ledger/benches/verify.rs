//! Verifying an export of a million entries against bare SHA-256 of the same bytes, and how much memory it
//! takes: `cargo bench -p ledger [-- NUMBER]`.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use domain::{
    Actor, BodyId, Effect, EventId, IssueNumber, KeyId, KeyState, LedgerEntry, Method,
    NewsletterNumber, SpoolId, SubscriptionId, Timestamp, TokenKey,
};
use ledger::{Checkpoint, Head, Line, Search, SigningKey, Survey, Verified, encode, first_of};
use sha2::{Digest, Sha256};

const BODY: BodyId = BodyId::new([7; 16]);
/// Entries between two checkpoints.
const APART: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let number = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000_000);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("export.jsonl");
    let mut ratio = 0.0;
    for entries in [number / 10, number] {
        let key = write(&path, entries)?;
        let bare = rate(entries, hash_only(entries));
        let before = peak()?;
        let started = Instant::now();
        let verified = verify(&path, &key)?;
        let took = started.elapsed();
        assert_eq!((verified.entries, verified.proven_upto), (entries, entries));
        ratio = rate(entries, took) / bare;
        report(&format!(
            "{entries} entries, {} checkpoints: {:.0} a second beside {bare:.0} of bare SHA-256, ratio {ratio:.3}; peak memory {} KiB before, {} KiB after",
            verified.checkpoints,
            rate(entries, took),
            before,
            peak()?
        ));
    }
    assert!(ratio > 0.0);
    Ok(())
}

fn entry(seq: u64) -> LedgerEntry {
    let id = || -> [u8; 16] {
        let hash: [u8; 32] = Sha256::digest(seq.to_be_bytes()).into();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        id
    };
    LedgerEntry {
        event_id: EventId::new(id()),
        occurred_at: Timestamp::from_millis(1_795_500_000_000 + seq),
        recorded_at: Timestamp::from_millis(1_795_500_000_600 + seq),
        newsletter: Some(NewsletterNumber(seq % 50)),
        subscription_id: Some(SubscriptionId::new(id())),
        issue: IssueNumber(512),
        method: Method::OneClick,
        effect: Effect::Stopped,
        token: Some(TokenKey {
            version: 1,
            kid: KeyId(1),
            state: KeyState::Current,
        }),
        actor: Actor::Subscriber,
        staff_reference: None,
        decision_id: None,
        spool_id: Some(SpoolId::new([9; 16])),
        restored: None,
    }
}

/// Writes an export of so many entries; gives the key of its checkpoints.
fn write(path: &Path, entries: u64) -> Result<[u8; 32], Box<dyn Error>> {
    let key = SigningKey::from_seed(&[1; 32])?;
    let mut out = BufWriter::new(File::create(path)?);
    writeln!(out, "{}", Line::Body(BODY).write())?;
    let mut head = Head::start(BODY);
    for seq in 1..=entries {
        let entry = entry(seq);
        let link = head.append(&entry);
        let written = Line::Entry {
            entry: encode(seq, &entry),
            leaf: link.leaf,
            h: link.h,
        };
        writeln!(out, "{}", written.write())?;
        if seq % APART == 0 || seq == entries {
            let checkpoint = Checkpoint {
                seq,
                h: link.h,
                time: entry.recorded_at,
            };
            let signed = key.sign(BODY, checkpoint);
            writeln!(out, "{}", Line::Checkpoint(signed).write())?;
        }
    }
    out.flush()?;
    Ok(key.public_key())
}

fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>, Box<dyn Error>> {
    Ok(BufReader::with_capacity(256 * 1024, File::open(path)?).lines())
}

/// As `letterbox ledger verify --export` does it.
fn verify(path: &Path, key: &[u8; 32]) -> Result<Verified, Box<dyn Error>> {
    let bad = |bad: ledger::Bad| format!("entry {}: {}", bad.seq, bad.fault);
    let mut survey = Survey::new(vec![*key]);
    for line in lines(path)? {
        survey.line(&line?).map_err(bad)?;
    }
    let mut walk = survey.walk().map_err(bad)?;
    for line in lines(path)? {
        walk.line(&line?);
    }
    let (parts, of) = walk.searches();
    let mut repeated = None;
    for part in parts {
        let mut search = Search::new(part, of);
        for line in lines(path)? {
            repeated = first_of(repeated, search.line(&line?));
        }
    }
    Ok(walk.end(repeated).map_err(bad)?)
}

/// Bare SHA-256 of each entry's bytes, which are made before the clock starts.
fn hash_only(entries: u64) -> Duration {
    const AT_ONCE: u64 = 10_000;
    let mut took = Duration::ZERO;
    for first in (1..=entries).step_by(10_000) {
        let last = entries.min(first + AT_ONCE - 1);
        let made: Vec<Vec<u8>> = (first..=last).map(|seq| encode(seq, &entry(seq))).collect();
        let started = Instant::now();
        for bytes in &made {
            black_box(Sha256::digest(black_box(bytes)));
        }
        took += started.elapsed();
    }
    took
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn rate(entries: u64, took: Duration) -> f64 {
    entries as f64 / took.as_secs_f64()
}

/// The most memory that this process has had, in KiB.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no VmHWM")?.parse()?)
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn report(line: &str) {
    println!("{line}");
}

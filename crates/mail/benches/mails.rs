//! What a mail costs before it is sent: rendering for one recipient, and signing, of a 10 KiB issue on
//! one thread; signing beside `openssl speed`.
//!
//! `cargo bench -p mail --bench mails`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and what is shared with the tests fails by panicking"
)]
#![expect(dead_code, reason = "the tests use more of what is shared")]

use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use domain::{EmailAddress, Language};
use mail::{DkimAlgorithm, DkimKey, DkimSigner, IssueTemplate, Recipient};

#[path = "../tests/support/mod.rs"]
mod support;

const DOMAIN: &str = "news.example.gov.uk";
const SIZE: usize = 10 * 1024;
const ROUND: Duration = Duration::from_millis(700);

fn main() {
    let template = template_of(SIZE);
    let address = support::address("resident@example.org");
    let message = render(&template, &address);
    println!(
        "an issue of {} bytes, medians of three rounds",
        message.len()
    );
    let rendering = micros(|| drop(black_box(render(&template, &address))));
    println!("rendering for a recipient   {rendering:8.2} µs");

    let key = |algorithm: DkimAlgorithm| {
        DkimKey::from_pem(algorithm.label(), &DkimKey::generate(algorithm).unwrap()).unwrap()
    };
    let (rsa, ed25519) = (key(DkimAlgorithm::Rsa), key(DkimAlgorithm::Ed25519));
    let mut both = 0.0;
    for (name, keys) in [
        ("Ed25519", vec![ed25519.clone()]),
        ("RSA-2048", vec![rsa.clone()]),
        ("RSA-2048 and Ed25519", vec![rsa, ed25519]),
    ] {
        let signer = DkimSigner::new(keys);
        let all = micros(|| {
            let message = render(&template, &address);
            drop(black_box(signer.sign(message, DOMAIN).unwrap()));
        });
        let signing = all - rendering;
        println!(
            "signing, {name:<20} {signing:6.1} µs, {:7.0} mails a second",
            1e6 / signing
        );
        both = 1e6 / signing;
    }
    match openssl() {
        Some(openssl) => println!(
            "openssl speed rsa2048 signs {openssl:.0} times a second: both signatures of a mail are made at {:.2} of that",
            both / openssl
        ),
        None => println!("openssl speed rsa2048 did not run"),
    }
}

/// An issue whose mails have about this size.
fn template_of(size: usize) -> IssueTemplate {
    let mut text = issue_text::parse(support::ISSUE).unwrap();
    let address = support::address("resident@example.org");
    loop {
        let template = support::template(&text, Language::En);
        if render(&template, &address).len() >= size {
            return template;
        }
        text.markdown
            .push_str("\nA few words more for everybody who reads on.\n");
    }
}

fn render(template: &IssueTemplate, address: &EmailAddress) -> Vec<u8> {
    let recipient = Recipient {
        address,
        unsubscribe_url: support::UNSUBSCRIBE_URL,
        message_id: support::MESSAGE_ID,
        date: support::DATE,
    };
    template.render(&recipient).unwrap()
}

/// Microseconds of processor time that a run takes: the median of three rounds. Whatever else the
/// machine does is not counted, as `openssl speed` does not count it either.
fn micros(mut run: impl FnMut()) -> f64 {
    let mut rounds = [0.0; 3];
    for round in &mut rounds {
        let (started, on_processor) = (Instant::now(), processor_nanos());
        let mut runs = 0_u32;
        while started.elapsed() < ROUND {
            for _ in 0..20 {
                run();
            }
            runs += 20;
        }
        *round = (processor_nanos() - on_processor) / 1e3 / f64::from(runs);
    }
    rounds.sort_by(f64::total_cmp);
    rounds[1]
}

/// How long this thread has been on a processor.
fn processor_nanos() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// RSA-2048 signatures a second on one core, as OpenSSL measures itself.
fn openssl() -> Option<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-seconds", "1", "-mr", "rsa2048"])
        .output()
        .ok()?;
    // "+F2:2:2048:SIGN:VERIFY", in seconds or in operations a second, as the version has it.
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().find(|line| line.starts_with("+F2:"))?;
    let signs: f64 = line.split(':').nth(3)?.parse().ok()?;
    Some(if signs < 1.0 { 1.0 / signs } else { signs })
}

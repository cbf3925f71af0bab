//! How many records a second a spool takes, each durable before its writer goes on, and how long one
//! waits: `cargo bench -p spool`. The folder is made in `TMPDIR`, which should be on a disk and not in
//! memory.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{
    Channel, Choice, CountingEntropy, Entropy as _, EventId, Language, ManualClock,
    NewsletterNumber, NoticeHash, Request, SealedAddress, SignUp, Timestamp,
};
use spool::{AcceptError, REQUEST_LIMIT_BYTES, Spool, SpoolSettings};
use tokio::task::JoinSet;

const TIME: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for writers in [1, 8, 64, 512] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(runtime.block_on(append(writers))?);
        }
        rounds.sort_by_key(|round| round.records);
        report(writers, &rounds[ROUNDS / 2]);
    }
    Ok(())
}

struct Round {
    records: usize,
    waited: Vec<Duration>,
}

async fn append(writers: usize) -> Result<Round, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let settings = SpoolSettings {
        folder: folder.path().join("spool"),
        limit_bytes: REQUEST_LIMIT_BYTES,
        keep_archive: None,
    };
    let entropy = Arc::new(CountingEntropy::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1)));
    let spool = Spool::open(settings, clock, entropy.as_ref())?;
    let request = Arc::new(sign_up()?);
    let until = Instant::now() + TIME;
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (spool, entropy, request) = (spool.clone(), entropy.clone(), request.clone());
        tasks.spawn(async move {
            let mut waited = Vec::new();
            while Instant::now() < until {
                let began = Instant::now();
                spool
                    .accept(EventId::new(entropy.sixteen()), &request)
                    .await?;
                waited.push(began.elapsed());
            }
            Ok::<_, AcceptError>(waited)
        });
    }
    let mut waited = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        waited.extend(ended??);
    }
    waited.sort_unstable();
    Ok(Round {
        records: waited.len(),
        waited,
    })
}

/// A sign-up as the form makes it, with an address of 36 characters.
fn sign_up() -> Result<Request, Box<dyn Error>> {
    Ok(Request::SignUp(SignUp {
        sealed: SealedAddress::from_bytes(vec![1; 115])?,
        choices: vec![Choice {
            newsletter: NewsletterNumber(1),
            notice: NoticeHash::new([2; 32]),
        }],
        language: Language::En,
        origin: Some("https://news.example.org".to_owned()),
        channel: Channel::Web,
        wording: Some([3; 32]),
    }))
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 records")]
fn report(writers: usize, round: &Round) {
    let at = |share: usize| {
        let place = round.waited.len() * share / 100;
        round.waited.get(place).copied().unwrap_or_default()
    };
    println!(
        "spool append, {writers:>3} writers {:>9.0} records/s   p50 {:>6} us   p99 {:>6} us",
        round.records as f64 / TIME.as_secs_f64(),
        at(50).as_micros(),
        at(99).as_micros(),
    );
}

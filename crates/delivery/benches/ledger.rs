//! What the ledger costs the registrar: turns of 500 unsubscribes as it commits them, with the entries and
//! without. `LETTERBOX_BENCH_DATABASE=postgres://… cargo bench -p delivery --bench ledger [-- NUMBER]`, on a
//! database of a server that syncs to disk. Both in turns, so that neither has the better moments.

use std::error::Error;
use std::time::{Duration, Instant};

use domain::{
    Actor, BodyId, Clock, Effect, Entropy, EventId, IssueNumber, KeyId, KeyState, LedgerEntry,
    Method, NewsletterNumber, SpoolId, SubscriptionId, TokenKey,
};
use service_runtime::{OsEntropy, SystemClock};
use store::{Changes, ConnectSettings, Database, Left, Place, UnsubscribeRow, Wanted};

const BODY: BodyId = BodyId::new([0xb0; 16]);
const BATCH: u64 = 500;

#[expect(clippy::disallowed_methods, reason = "a bench has no settings")]
fn main() -> Result<(), Box<dyn Error>> {
    let Ok(url) = std::env::var("LETTERBOX_BENCH_DATABASE") else {
        report("nothing measured: LETTERBOX_BENCH_DATABASE is not set");
        return Ok(());
    };
    let number = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(40_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(&url, number))
}

async fn measure(url: &str, number: u64) -> Result<(), Box<dyn Error>> {
    let database = Database::connect(&ConnectSettings::parse(url, None, 4)?).await?;
    database.migrate(BODY, SystemClock.now()).await?;
    let (mut with, mut without) = (Duration::ZERO, Duration::ZERO);
    let batches = number.div_ceil(BATCH);
    for _ in 0..batches {
        with += one_turn(&database, true).await?;
        without += one_turn(&database, false).await?;
    }
    let [with, without] = [with, without].map(|took| rate(batches * BATCH, took));
    report(&format!(
        "unsubscribes committed in turns of {BATCH}: {with:.0} a second with the ledger, {without:.0} without, ratio {:.2}",
        with / without
    ));
    Ok(())
}

async fn one_turn(database: &Database, with_ledger: bool) -> Result<Duration, Box<dyn Error>> {
    let now = SystemClock.now();
    let spool_id = SpoolId::new(OsEntropy.sixteen());
    let spools = database.spools();
    spools.register(spool_id, "unsubscribe", false, now).await?;
    let events: Vec<(EventId, SubscriptionId)> = (0..BATCH)
        .map(|_| {
            let [event, subscription] = [OsEntropy.sixteen(), OsEntropy.sixteen()];
            (EventId::new(event), SubscriptionId::new(subscription))
        })
        .collect();
    let started = Instant::now();
    let places = (1..=BATCH).map(|seq| Place { spool_id, seq });
    let mut turn = database.registrar().take_turn(places).await?;
    let wanted = Wanted {
        recorded: events.iter().map(|(event, _)| *event).collect(),
        subscriptions: events.iter().map(|(_, id)| *id).collect(),
        ..Wanted::default()
    };
    turn.load(&wanted, now).await?;
    let entry = |(event_id, id): &(EventId, SubscriptionId)| LedgerEntry {
        event_id: *event_id,
        occurred_at: now,
        recorded_at: now,
        newsletter: Some(NewsletterNumber(1)),
        subscription_id: Some(*id),
        issue: IssueNumber(1),
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
        spool_id: Some(spool_id),
        restored: None,
    };
    let changes = Changes {
        applied: turn.fresh().iter().copied().collect(),
        unsubscribes: events
            .iter()
            .map(|(event_id, subscription_id)| UnsubscribeRow {
                event_id: *event_id,
                left: Some(Left {
                    subscription_id: *subscription_id,
                    accepted_at: now,
                    ledger_seq: None,
                    everything_of: None,
                }),
                undone: None,
            })
            .collect(),
        ledger: if with_ledger {
            events.iter().map(entry).collect()
        } else {
            Vec::new()
        },
        ..Changes::default()
    };
    turn.finish(&changes, now).await?;
    Ok(started.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn rate(number: u64, took: Duration) -> f64 {
    number as f64 / took.as_secs_f64()
}

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn report(line: &str) {
    println!("{line}");
}

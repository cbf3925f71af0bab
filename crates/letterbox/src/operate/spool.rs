//! `letterbox spool` and `letterbox barrier`: what an operator sees of the web roles' spools, and says to
//! the barrier.

use std::time::Duration;

use anyhow::Context;
use domain::{Clock, Entropy, EventId, SpoolId, Timestamp};
use service_runtime::{OsEntropy, SystemClock};
use store::{BarrierAct, BarrierActs, SpoolStanding};

use super::{block_on, installation};
use crate::cli::{BarrierCommand, SpoolCommand, Target};
use crate::failure::SettingsError;
use crate::up::print_line;

/// A spool that has reported since then is alive.
const ALIVE: Duration = Duration::from_mins(1);
/// How long a registrar is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `letterbox spool`.
pub(crate) fn run(command: SpoolCommand) -> anyhow::Result<()> {
    match command {
        SpoolCommand::List { target } => list(&target),
        SpoolCommand::Retire { id, reason, target } => retire(&id, &reason, &target),
    }
}

/// Runs `letterbox barrier`.
pub(crate) fn run_barrier(command: BarrierCommand) -> anyhow::Result<()> {
    let BarrierCommand::Override {
        reason,
        time,
        target,
    } = command;
    check_reason(&reason)?;
    let place = installation::place_of(&target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let until = SystemClock.now().plus(time);
        let seq = act(
            &open.database.barrier_acts(),
            BarrierAct::Override { until },
            &reason,
        )
        .await?;
        print_line(&format!(
            "Bulk mail goes out until {} whatever the barrier says; the ledger says so in entry {seq}.",
            moment(until)
        ));
        Ok(())
    })
}

fn list(target: &Target) -> anyhow::Result<()> {
    let place = installation::place_of(target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let spools = open.database.spools().list().await;
        let spools = spools.context("the spools cannot be read")?;
        if spools.is_empty() {
            print_line("No role has made a spool known yet.");
        }
        let now = SystemClock.now();
        for spool in &spools {
            print_line(&described(spool, now));
        }
        Ok(())
    })
}

/// One spool in a line.
pub(crate) fn described(spool: &SpoolStanding, now: Timestamp) -> String {
    let role = if spool.role.is_empty() {
        "unknown"
    } else {
        &spool.role
    };
    let standing = match (spool.retired_at, spool.oldest_waiting) {
        (Some(at), _) => format!("retired at {}", moment(at)),
        // The worker's own, which reports by no heartbeat.
        (None, _) if spool.role == "deliver" => "the worker's own".to_owned(),
        (None, None) => format!(
            "reported {} ago, nothing waits",
            ago(spool.reported_at, now)
        ),
        (None, Some(oldest)) => format!(
            "reported {} ago, its oldest request waits for {}",
            ago(spool.reported_at, now),
            ago(oldest, now)
        ),
    };
    format!(
        "{}  {role:<11} {:<6} applied up to {:<9} {standing}",
        spool.spool_id,
        if spool.holds_stops { "stops" } else { "others" },
        spool.applied_upto,
    )
}

fn retire(id: &str, reason: &str, target: &Target) -> anyhow::Result<()> {
    check_reason(reason)?;
    let id = parse(id)?;
    let place = installation::place_of(target)?;
    block_on(async {
        let open = installation::open(place).await?;
        let spools = open.database.spools().list().await;
        let spools = spools.context("the spools cannot be read")?;
        let missing = open
            .database
            .restores()
            .obstacles(SystemClock.now())
            .await?;
        // After a restore the time of its last report is that of the backup.
        let is_missing = missing.iter().any(|one| {
            matches!(one, store::Obstacle::Spool { spool_id, reported: false, .. } if *spool_id == id)
        });
        let known = spools.iter().find(|spool| spool.spool_id == id);
        let now = SystemClock.now();
        match known {
            None if !is_missing => {
                return Err(SettingsError::new(
                    "there is no spool of this id: `letterbox spool list` shows them",
                )
                .into());
            }
            Some(spool) if spool.retired_at.is_some() => {
                print_line("It is retired already.");
                return Ok(());
            }
            Some(spool) if !is_missing && now.since(spool.reported_at) < ALIVE => {
                return Err(SettingsError::new(format!(
                    "its role reported {} ago, so it is alive: stop the role first, and let a minute pass",
                    ago(spool.reported_at, now)
                ))
                .into());
            }
            _ => {}
        }
        let acts = open.database.barrier_acts();
        let seq = act(&acts, BarrierAct::Retire(id), reason).await?;
        print_line(&format!(
            "Spool {id} is retired: nothing waits for it any more. The ledger says so in entry {seq}."
        ));
        Ok(())
    })
}

/// Asks for it, and waits until a registrar has recorded it.
async fn act(acts: &BarrierActs, act: BarrierAct, reason: &str) -> anyhow::Result<u64> {
    let event_id = EventId::new(OsEntropy.sixteen());
    acts.ask(event_id, act, reason, SystemClock.now())
        .await
        .context("it could not be asked for")?;
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seq) = acts.recorded(event_id).await? {
            return Ok(seq);
        }
        anyhow::ensure!(
            std::time::Instant::now() < until,
            "it is asked for and takes effect once a worker has put it into the ledger: is `letterbox \
             deliver` running, and is all that was shipped of the spool applied?"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn check_reason(reason: &str) -> Result<(), SettingsError> {
    if reason.trim().is_empty() || reason.len() > 1_000 {
        return Err(SettingsError::new(
            "--reason: say why in a sentence, in at most 1,000 bytes; no address and no name",
        ));
    }
    Ok(())
}

fn parse(id: &str) -> Result<SpoolId, SettingsError> {
    let number = (id.len() == 32)
        .then(|| u128::from_str_radix(id, 16).ok())
        .flatten();
    number
        .map(|number| SpoolId::new(number.to_be_bytes()))
        .ok_or_else(|| {
            SettingsError::new(
                "a spool's id is 32 hexadecimal digits: `letterbox spool list` shows them",
            )
        })
}

/// A moment in words.
pub(crate) fn moment(at: Timestamp) -> String {
    at.to_date_time()
        .map_or_else(String::new, |moment| moment.to_string())
}

/// How long ago that was.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.since(at).as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

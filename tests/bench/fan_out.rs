//! Writing down who gets an issue: a million deliveries in chunks with their hints, by `letterbox
//! deliver`, step by step; beside the sign-ups a second that PostgreSQL alone takes, one by one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use support::{Roles, RolesPlan};

use crate::ROUNDS;
use crate::table::{self, Sample, Side};
use crate::usage::peak_memory;
use crate::yard::{self, Script, Yard};

const READERS: u32 = 1_000_000;
const PATIENCE: Duration = Duration::from_mins(5);
/// A relay that nobody answers for.
const NO_RELAY: &str = "smtp://127.0.0.1:9";

/// Readers whose addresses nobody can open: fan-out opens none.
const SEED: &[&str] = &[
    "INSERT INTO subscriber (address_index, suppression_code, mailbox_code, code_generation, created_at)
     SELECT sha256(i::text::bytea), sha256(('s' || i)::bytea), sha256(('m' || i)::bytea), 1, now()
     FROM generate_series(1, 1000000) i",
    "INSERT INTO subscription (subscription_id, subscriber_id, newsletter_id, state, language, box_id,
         box_accepted_at, sealed, consent_event_id, row_mac, changed_at)
     SELECT substr(sha256(s.id::text::bytea), 1, 16), s.id, n.id, 1, 0,
            substr(sha256(('b' || s.id)::bytea), 1, 16), now(), decode(repeat('01', 115), 'hex'),
            decode(repeat('05', 16), 'hex'), sha256('mac'), now()
     FROM subscriber s, newsletter n WHERE n.slug = 'council-news' ORDER BY s.id",
    // a stop that nobody has looked at: bulk waits, and only the planner works
    "INSERT INTO dead_request (spool_id, seq, stop, reason, envelope, died_at)
     VALUES ('\\x00112233445566778899aabbccddeeff', 1, true, 'bench', '', now())",
    "VACUUM ANALYZE subscription",
];

pub(crate) fn run() -> Result<()> {
    let mut yard = Yard::set_up(Script::SignUp)?;
    let roles = Roles::start(RolesPlan {
        unsubscribes: 0,
        smtp: Some(NO_RELAY.to_owned()),
        postgres: yard::SETTINGS,
        log: "warn",
        ..RolesPlan::default()
    })?;
    for statement in SEED {
        roles.sql(statement)?;
    }
    let mut ours = Side::new("letterbox deliver, fan-out of 1,000,000");
    for round in 1..=ROUNDS {
        yard.round()?;
        ours.samples.push(fan_out(&roles, round)?);
    }
    table::say(&format!(
        "    deliver's peak {:.1} MiB",
        peak_memory(roles.delivers[0].pid()?)?
    ));
    table::print(
        "Rows a second, from the approval to a complete audience",
        &yard.sides,
        &[(ours, Some(10.0))],
    );
    Ok(())
}

/// Approves an issue: its recipients a second, from the approval to the last of them.
fn fan_out(roles: &Roles, round: usize) -> Result<Sample> {
    roles.sql("TRUNCATE delivery, chunk, outbox")?;
    roles.sql("CHECKPOINT")?;
    roles.hand_over_issue(&format!("What is new, {round}"), "The library opens.")?;
    let until = Instant::now() + PATIENCE;
    let complete = "SELECT fanned_out_at IS NOT NULL FROM issue ORDER BY id DESC LIMIT 1";
    while roles.sql(complete)? != "t" {
        ensure!(Instant::now() < until, "the audience is never complete");
        std::thread::sleep(Duration::from_millis(200));
    }
    let rows = roles.sql("SELECT count(*) FROM delivery")?;
    ensure!(rows == READERS.to_string(), "{rows} deliveries");
    let seconds: f64 = roles
        .sql("SELECT extract(epoch FROM fanned_out_at - approved_at) FROM issue ORDER BY id DESC LIMIT 1")?
        .parse()?;
    Ok(Sample::rate(f64::from(READERS) / seconds))
}

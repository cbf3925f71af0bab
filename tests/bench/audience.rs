//! An audience that came as residents do: each signed up by the form, and confirmed by a link.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use data_encoding::HEXLOWER;
use support::Roles;

use crate::load::Load;
use crate::requests::{Confirms, SignUps};

/// Residents who do something at once.
const CONNECTIONS: usize = 64;
/// How long a step may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// Gives `council-news` so many readers, and waits until their confirmations have gone.
pub(crate) fn gather(roles: &Roles, number: usize) -> Result<()> {
    let intake = &roles.intakes[0];
    let load = |status| Load {
        port: intake.port(),
        connections: CONNECTIONS,
        time: PATIENCE,
        status,
    };
    let mut sign_ups = SignUps::at(intake, 0)?;
    let mut left = number;
    load(303).run(move |request| {
        if left > 0 {
            left -= 1;
            sign_ups.write_next(request);
        }
    })?;
    // a confirmation that has not gone when its sign-up is confirmed is never sent
    for (what, statement) in [
        ("sign-ups", "SELECT count(*) FROM sign_up"),
        (
            "confirmations",
            "SELECT count(*) FROM mail WHERE state = 2 AND kind = 1",
        ),
    ] {
        wait(what, roles, statement, number)?;
    }
    let boxes = roles.sql("SELECT string_agg(encode(box_id, 'hex'), ' ') FROM sign_up")?;
    let boxes: Vec<Vec<u8>> = boxes
        .split_whitespace()
        .map(|word| Ok(HEXLOWER.decode(word.as_bytes())?))
        .collect::<Result<_>>()?;
    let expiry = "SELECT ceil(extract(epoch FROM now()) / 60)::bigint + 1440";
    let expiry = roles.sql(expiry)?.parse()?;
    let mut confirms = Confirms::at(intake, &roles.keys().join("intake"), boxes, expiry)?;
    load(200).run(move |request| confirms.write_next(request))?;
    let statement = "SELECT count(*) FROM subscription WHERE state = 1";
    wait("subscriptions", roles, statement, number)
}

fn wait(what: &str, roles: &Roles, statement: &str, number: usize) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = roles.sql(statement)?;
        if found == number.to_string() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(anyhow::anyhow!("{found} of {number}")).with_context(|| what.to_owned());
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

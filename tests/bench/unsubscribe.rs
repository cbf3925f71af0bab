//! One-click unsubscribes over HTTP against `letterbox unsubscribe`: link checked, synced to disk,
//! answered 200; beside what PostgreSQL alone does.

use anyhow::Result;

use crate::load::Load;
use crate::requests::Unsubscribes;
use crate::sign_up::alone;
use crate::table::{self, Side};
use crate::yard::{Script, Yard};
use crate::{ROUNDS, TIME};

pub(crate) fn run() -> Result<()> {
    let mut yard = Yard::set_up(Script::Unsubscribe)?;
    let mut ours = Side::new("letterbox unsubscribe, 64 connections");
    for _ in 0..ROUNDS {
        yard.round()?;
        // A new one for each round: the 64 MiB for stops, which nobody takes away, are full soon.
        let roles = alone("unsubscribe")?;
        let role = &roles.unsubscribes[0];
        let mut requests = Unsubscribes::at(role, &roles.keys().join("unsubscribe"))?;
        let load = Load {
            port: role.port(),
            connections: 64,
            time: TIME,
            status: 200,
        };
        ours.samples
            .push(load.run(move |request| requests.write_next(request))?);
    }
    table::print(
        "Unsubscribes a second, each its own link, shipping stopped",
        &yard.sides,
        &[(ours, Some(2.5))],
    );
    Ok(())
}

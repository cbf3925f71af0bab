//! Sign-ups over HTTP against `letterbox intake`: form body, address sealed, synced to disk, answered
//! 303; beside what PostgreSQL alone does.

use anyhow::Result;
use support::{RoleProcess, Roles, RolesPlan};

use crate::load::Load;
use crate::requests::SignUps;
use crate::table::{self, Sample, Side};
use crate::yard::{self, Script, Yard};
use crate::{ROUNDS, TIME};

pub(crate) fn run() -> Result<()> {
    let mut yard = Yard::set_up(Script::SignUp)?;
    let mut few = Side::new("letterbox intake, 64 connections");
    let mut many = Side::new("letterbox intake, 512 connections");
    let roles = alone("intake")?;
    let intake = &roles.intakes[0];
    let mut load = 0;
    for _ in 0..ROUNDS {
        yard.round()?;
        for (side, connections) in [(&mut few, 64), (&mut many, 512)] {
            load += 1;
            side.samples.push(post(intake, connections, load)?);
        }
    }
    drop(roles);
    table::print(
        "Sign-ups a second, each its own address, shipping stopped",
        &yard.sides,
        &[(few, Some(2.5)), (many, Some(3.5))],
    );
    Ok(())
}

/// One process of a web role, ready, and nothing that it could ship to: no broker, and a database that
/// stopped once the role had the catalogue.
pub(crate) fn alone(role: &str) -> Result<Roles> {
    let of = |name| usize::from(role == name);
    let roles = Roles::start(RolesPlan {
        intakes: of("intake"),
        unsubscribes: of("unsubscribe"),
        delivers: 0,
        postgres: yard::SETTINGS,
        ..RolesPlan::default()
    })?;
    roles.postgres.stop()?;
    Ok(roles)
}

/// Sign-ups for the time of one round; `load` keeps the addresses of several loads apart.
pub(crate) fn post(intake: &RoleProcess, connections: usize, load: usize) -> Result<Sample> {
    let mut sign_ups = SignUps::at(intake, load)?;
    Load {
        port: intake.port(),
        connections,
        time: TIME,
        status: 303,
    }
    .run(move |request| sign_ups.write_next(request))
}

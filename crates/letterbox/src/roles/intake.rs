//! `letterbox intake`: takes sign-ups, and can open no address.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use domain::Clock;
use service_runtime::{OsEntropy, SystemClock};

use super::process::{self, Process, Stop};
use super::web_role::{self, Backends};
use crate::cli::IntakeOptions;
use crate::keys::role_folders::{self, IntakeKeys};
use crate::keys::watch::{Settling, Watch};
use crate::settings::base_url;
use crate::{open_spool, public_pages, starting};

const ADMIN: SocketAddr = process::loopback(9101);

/// Checked settings, keys included: the public key that seals, what verifies confirm links, what
/// makes event ids. There is no field for anything that opens an address or reads a person's row.
struct IntakeSettings {
    listen: SocketAddr,
    admin_listen: SocketAddr,
    /// Without a slash at the end.
    base_url: String,
    keys: IntakeKeys,
    watch: Watch,
    data: PathBuf,
    spool_limit: u64,
    backends: Backends,
    stop: Stop,
}

impl IntakeSettings {
    fn check(options: IntakeOptions) -> anyhow::Result<Self> {
        let keys = role_folders::read_intake(&options.keys)?;
        Ok(Self {
            listen: options.listen,
            admin_listen: options.admin.admin_listen.unwrap_or(ADMIN),
            base_url: base_url::check(&options.base_url)?,
            backends: Backends::check(keys.body_id, &options.database, &options.broker)?,
            watch: Watch {
                held: keys.changing(),
                read: |folder| Ok(role_folders::read_intake(folder)?.changing()),
                settling: Settling::Short,
                folder: options.keys,
            },
            keys,
            data: options.data,
            spool_limit: options.spool_limit,
            stop: web_role::stop(&options.stop),
        })
    }
}

/// Runs until a signal.
pub(crate) fn run(options: IntakeOptions) -> anyhow::Result<()> {
    starting::log(&options.log.log)?;
    let settings = IntakeSettings::check(options)?;
    let public = process::listen(settings.listen, "--listen")?;
    let admin = process::listen(settings.admin_listen, "--admin-listen")?;
    let data = process::own_folder(&settings.data)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = data.root().join("spool");
    let spool = open_spool::of_requests(folder, settings.spool_limit, &clock)?;
    let catalogue = web_role::catalogue(&data);

    Process::run("intake", settings.stop, async |process| {
        process.follow_keys(settings.watch);
        let doors = intake::Doors {
            sealer: settings.keys.sealer,
            join: settings.keys.join,
            form_stamp: settings.keys.form_stamp,
            spool: spool.clone(),
            catalogue: catalogue.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::new(OsEntropy),
            base_url: settings.base_url,
        };
        web_role::connect(
            settings.backends,
            spool,
            "intake",
            false,
            &catalogue,
            &clock,
            process,
        );
        process.serve_admin(admin, intake::readiness(&doors), Router::new())?;
        let pages = public_pages::around(intake::router(doors), &catalogue);
        process.serve(public, pages)
    })
}

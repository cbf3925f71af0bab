//! `letterbox unsubscribe`: takes what is behind unsubscribe links, and knows nothing about anybody.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use domain::Clock;
use service_runtime::{OsEntropy, SystemClock};
use shipper::Resumptions;

use super::process::{self, Process, Stop};
use super::web_role::{self, Backends};
use crate::cli::UnsubscribeOptions;
use crate::keys::role_folders::{self, UnsubscribeKeys};
use crate::keys::watch::{Settling, Watch};
use crate::{open_spool, public_pages, starting};

const ADMIN: SocketAddr = process::loopback(9102);

/// Checked settings, keys included: what verifies links to leave. There is no field for any other
/// key.
struct UnsubscribeSettings {
    listen: SocketAddr,
    admin_listen: SocketAddr,
    keys: UnsubscribeKeys,
    watch: Watch,
    data: PathBuf,
    backends: Backends,
    stop: Stop,
}

impl UnsubscribeSettings {
    fn check(options: UnsubscribeOptions) -> anyhow::Result<Self> {
        let keys = role_folders::read_unsubscribe(&options.keys)?;
        Ok(Self {
            listen: options.listen,
            admin_listen: options.admin.admin_listen.unwrap_or(ADMIN),
            backends: Backends::check(keys.body_id, &options.database, &options.broker)?,
            watch: Watch {
                held: keys.changing(),
                read: |folder| Ok(role_folders::read_unsubscribe(folder)?.changing()),
                settling: Settling::Short,
                folder: options.keys,
            },
            keys,
            data: options.data,
            stop: web_role::stop(&options.stop),
        })
    }
}

/// Runs until a signal.
pub(crate) fn run(options: UnsubscribeOptions) -> anyhow::Result<()> {
    starting::log(&options.log.log)?;
    let settings = UnsubscribeSettings::check(options)?;
    let public = process::listen(settings.listen, "--listen")?;
    let admin = process::listen(settings.admin_listen, "--admin-listen")?;
    let data = process::own_folder(&settings.data)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let spool = open_spool::of_stops(data.root().join("spool"), &clock)?;
    let catalogue = web_role::catalogue(&data);

    Process::run("unsubscribe", settings.stop, async |process| {
        process.follow_keys(settings.watch);
        let database = web_role::connect(
            settings.backends,
            spool.clone(),
            "unsubscribe",
            true,
            &catalogue,
            &clock,
            process,
        );
        let doors = unsubscribe::Doors {
            leave: settings.keys.leave,
            spool,
            catalogue: catalogue.clone(),
            resumptions: Resumptions::new(database.resumptions()),
            clock,
            entropy: Arc::new(OsEntropy),
        };
        process.serve_admin(admin, unsubscribe::readiness(&doors), Router::new())?;
        let pages = public_pages::around(unsubscribe::router(doors), &catalogue);
        process.serve(public, pages)
    })
}

//! The parts in one process: what each is handed, and in which order they start and stop.
//!
//! The walls are kept here too: `intake` and `unsubscribe` get derived keys of their classes, a spool
//! and the catalogue copy; only `delivery` gets the opening key, the address keys and the database.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use address_open::{AddressKeys, Opener};
use address_seal::Sealer;
use anyhow::Context;
use axum::Router;
use domain::{Clock, Entropy};
use link_token::{LinkClass, LinkKeys};
use mail::Transport;
use service_runtime::metrics_page::{self, MetricsPage};
use service_runtime::{
    OsEntropy, ServerLimits, Shutdown, SystemClock, access_log, admin, http_server, loopback,
};
use shipper::{CatalogueCopy, Shipper};
use spool::{Spool, SpoolSettings};
use store::{ConnectSettings, Database, Host};

use super::private_postgres::{Connection, PrivatePostgres};
use super::settings::UpSettings;
use super::{caught_mail_page, examples, summary};
use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::key_files::KeyFiles;
use crate::operate;

/// Of the private server's 40 connections; the rest is for operator commands.
const CONNECTIONS: u32 = 24;
/// Stops have room of their own, which sign-ups cannot take (`FORMATS.md`, Spool).
const STOP_LIMIT: u64 = 64 * 1024 * 1024;
/// Finished stop segments are kept for this long, at least the life of backups.
const STOP_ARCHIVE: Duration = Duration::from_hours(35 * 24);
/// For open requests, replies after the dot and the last batch.
const GRACE: Duration = Duration::from_secs(25);

/// Starts PostgreSQL and every part, waits for a signal, and stops them in the opposite order.
pub(crate) async fn run(
    settings: UpSettings,
    data: DataFolder,
    keys: KeyFiles,
    listener: TcpListener,
) -> anyhow::Result<()> {
    let metrics = metrics_page::install().context("metrics cannot be collected")?;
    let postgres = PrivatePostgres::start(
        &data.postgres(),
        &data.run(),
        settings.postgres_bin.as_deref(),
        &OsEntropy,
    )
    .await?;
    summary::part(
        "PostgreSQL",
        &format!("unix socket only, programs: {}", postgres.description()),
    );
    let shutdown = Shutdown::new();
    let served = serve(
        &settings, &data, keys, listener, metrics, &postgres, &shutdown,
    )
    .await;
    if served.is_ok() {
        shutdown
            .wait_for_signal()
            .await
            .context("signals cannot be watched")?;
        summary::line("Stopping …");
    }
    shutdown.begin();
    let finished = shutdown.finish(GRACE).await;
    postgres.stop().await?;
    served?;
    anyhow::ensure!(
        !finished.task_panicked,
        "a part of Letterbox failed: read the log above"
    );
    summary::line("Stopped. Nothing that was answered is lost.");
    Ok(())
}

async fn serve(
    settings: &UpSettings,
    data: &DataFolder,
    keys: KeyFiles,
    listener: TcpListener,
    metrics: MetricsPage,
    postgres: &PrivatePostgres,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    postgres.create_database().await?;
    let connection = postgres.connection();
    let database = Database::connect(&connect_settings(&connection))
        .await
        .context("the private PostgreSQL does not answer")?;
    database
        .migrate(keys.body_id, clock.now())
        .await
        .context("the database could not be brought up to date")?;
    if settings.example {
        examples::set_up(&database, clock.now()).await?;
    }
    let catalogue = CatalogueCopy::load(data.catalogue());
    catalogue
        .refresh(&database.catalogue())
        .await
        .context("the catalogue cannot be read")?;
    operate::announce(data, &connection, &settings.base_url)?;

    let sign_ups = open_spool(data.spool("intake"), settings.spool_limit, None, &clock)?;
    let stops = open_spool(
        data.spool("unsubscribe"),
        STOP_LIMIT,
        Some(STOP_ARCHIVE),
        &clock,
    )?;
    let derived = Derived::from(keys)?;
    let public = intake::router(intake::Doors {
        sealer: derived.sealer,
        join: derived.join.clone(),
        form_stamp: derived.form_stamp,
        spool: sign_ups.clone(),
        catalogue: catalogue.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        base_url: settings.base_url.clone(),
    })
    .merge(unsubscribe::router(unsubscribe::Doors {
        leave: derived.leave.clone(),
        spool: stops.clone(),
        catalogue: catalogue.clone(),
        entropy: Arc::clone(&entropy),
    }));
    summary::part("intake", "takes sign-ups; cannot open an address");
    summary::part("unsubscribe", "works while the database is away");

    shutdown.spawn(
        "catalogue",
        catalogue
            .clone()
            .keep_fresh(database.catalogue(), shutdown.clone()),
    );
    for (spool, role, holds_stops) in [(stops, "unsubscribe", true), (sign_ups, "intake", false)] {
        let shipper = Shipper::new(
            spool,
            database.sign_up_inbox(),
            database.spools(),
            role,
            holds_stops,
            Arc::clone(&clock),
        );
        shutdown.spawn("shipper", shipper.run(shutdown.clone()));
    }
    let transport = match &settings.smtp {
        Some(relay) => Transport::smtp(relay.clone())
            .map_err(|error| SettingsError::new(format!("--smtp: {error}")))?,
        None => Transport::caught(data.caught_mail()).context("mail cannot be caught")?,
    };
    let keys = delivery::Keys {
        opener: derived.opener,
        address: derived.address,
        leave: derived.leave,
        join: derived.join,
    };
    let worker = delivery::Settings {
        base_url: settings.base_url.clone(),
        state_dir: data.state(),
        connections: usize::from(settings.connections),
    };
    delivery::run(&database, keys, transport, worker, clock, entropy, shutdown)
        .context("the delivery worker does not start")?;
    let relay = settings.smtp.as_ref().map_or_else(
        || format!("mail is caught in {}", data.caught_mail().display()),
        |relay| format!("mail goes to {} port {}", relay.host, relay.port),
    );
    summary::part("delivery", &relay);

    let slug = catalogue
        .current()
        .open_newsletters()
        .next()
        .map(|newsletter| newsletter.slug.to_string());
    let router = with_private_pages(settings, data, &catalogue, public, metrics, shutdown);
    let listener =
        tokio::net::TcpListener::from_std(listener).context("the listener cannot be used")?;
    http_server::serve(
        listener,
        access_log::logged(router),
        ServerLimits::default(),
        shutdown,
    );
    summary::ready(settings, data, slug.as_deref());
    Ok(())
}

/// The public pages, and for this machine only the metrics and the caught mail.
fn with_private_pages(
    settings: &UpSettings,
    data: &DataFolder,
    catalogue: &CatalogueCopy,
    public: Router,
    metrics: MetricsPage,
    shutdown: &Shutdown,
) -> Router {
    let mut private = admin::router(metrics, Vec::new(), shutdown);
    if settings.smtp.is_none() {
        private = private.merge(caught_mail_page::router(
            data.caught_mail(),
            catalogue.clone(),
        ));
    }
    let for_missing = catalogue.clone();
    public
        .merge(page_frame::styles())
        .merge(loopback::only(private))
        .fallback(async move || page_frame::not_found(&for_missing.current(), domain::Language::En))
}

fn connect_settings(connection: &Connection) -> ConnectSettings {
    ConnectSettings {
        host: Host::Socket(connection.socket_folder.clone()),
        port: connection.port,
        user: connection.user.clone(),
        password: Some(connection.password.to_string()),
        database: connection.database.clone(),
        max_connections: CONNECTIONS,
    }
}

fn open_spool(
    folder: PathBuf,
    limit_bytes: u64,
    keep_archive: Option<Duration>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Spool> {
    let shown = folder.display().to_string();
    let settings = SpoolSettings {
        folder,
        limit_bytes,
        keep_archive,
    };
    Spool::open(settings, Arc::clone(clock), &OsEntropy)
        .with_context(|| format!("the spool {shown} cannot be opened"))
}

/// The keys as the parts may hold them.
struct Derived {
    sealer: Sealer,
    opener: Opener,
    address: AddressKeys,
    leave: LinkKeys,
    join: LinkKeys,
    form_stamp: link_token::FormStampKey,
}

impl Derived {
    fn from(keys: KeyFiles) -> anyhow::Result<Self> {
        let body = keys.body_id;
        let newest = keys.sealing.last().context("there is no sealing key")?;
        let sealer =
            Sealer::new(body, newest.kid, newest.public).context("the sealing key is broken")?;
        Ok(Self {
            sealer,
            opener: Opener::new(
                body,
                keys.sealing
                    .into_iter()
                    .map(|key| (key.kid, key.secret))
                    .collect(),
            ),
            address: AddressKeys::derive(body, &keys.address)
                .context("the address keys are broken")?,
            leave: LinkKeys::derive(LinkClass::Leave, body, &keys.links)
                .context("the link keys are broken")?,
            join: LinkKeys::derive(LinkClass::Join, body, &keys.links)
                .context("the link keys are broken")?,
            form_stamp: keys.form_stamp,
        })
    }
}

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
use axum::extract::RawQuery;
use axum::http::{HeaderMap, header};
use domain::{BodyId, Clock, Language};
use link_token::{FormStampKey, LinkClass, LinkKeys};
use mail::Transport;
use service_runtime::admin::Check;
use service_runtime::metrics_page::{self, MetricsPage};
use service_runtime::{
    OsEntropy, ServerLimits, Shutdown, SystemClock, access_log, admin, http_server, loopback,
};
use shipper::{CatalogueCopy, Route, Shipper};
use spool::{Spool, SpoolSettings};
use store::{ConnectSettings, Database, Host};

use super::private_postgres::{Connection, PrivatePostgres};
use super::settings::UpSettings;
use super::{caught_mail_page, examples, summary};
use crate::data_folder::DataFolder;
use crate::key_files::KeyFiles;
use crate::operate;

/// Of the private server's 40 connections; the rest is for operator commands.
const CONNECTIONS: u32 = 24;
/// Stops have room of their own, which sign-ups cannot take (`FORMATS.md`, Spool).
const STOP_LIMIT: u64 = 64 * 1024 * 1024;
/// Finished stop segments are kept for this long, at least the life of backups.
const STOP_ARCHIVE: Duration = Duration::from_hours(35 * 24);
/// For open requests and the last batch, and above all for replies after the dot: cut short, they
/// leave doubts. A second signal does not wait.
const GRACE: Duration = Duration::from_mins(2);

/// Starts PostgreSQL and every part, waits for a signal, and stops them in the opposite order.
pub(crate) async fn run(
    settings: UpSettings,
    data: DataFolder,
    keys: KeyFiles,
    listener: TcpListener,
) -> anyhow::Result<()> {
    let metrics = metrics_page::install().context("metrics cannot be collected")?;
    let shutdown = Shutdown::new();
    metrics.keep_small(&shutdown);
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
    let (server, folder) = postgres.watched();
    shutdown.spawn(
        "private_postgres",
        PrivatePostgres::keep_running(server, folder, shutdown.clone()),
    );
    let outcome = serve(
        &settings, &data, keys, listener, metrics, &postgres, &shutdown,
    )
    .await;
    if outcome.is_ok() {
        shutdown
            .wait_for_signal()
            .await
            .context("signals cannot be watched")?;
        summary::line("Stopping …");
    }
    shutdown.begin();
    let finished = shutdown.finish(GRACE).await;
    postgres.stop().await?;
    outcome?;
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
    let database = open_database(settings, keys.body_id, postgres, &*clock).await?;
    let catalogue = CatalogueCopy::load(data.catalogue());
    catalogue
        .refresh(&database.catalogue())
        .await
        .context("the catalogue cannot be read")?;
    operate::announce(data, &postgres.connection(), &settings.base_url)?;

    let spools = Spools::open(settings, data, &clock)?;
    let (web_keys, worker_keys) = share_out(keys)?;
    let (public, checks) = web_roles(settings, web_keys, &spools, &catalogue, &clock);
    shutdown.spawn(
        "catalogue",
        catalogue
            .clone()
            .keep_fresh(database.catalogue(), shutdown.clone()),
    );
    spools.ship(&database, &clock, shutdown);
    start_delivery(settings, data, &database, worker_keys, clock, shutdown)?;

    let private = admin::router(metrics, checks, shutdown);
    let router = with_private_pages(settings, data, &catalogue, public, private);
    let listener =
        tokio::net::TcpListener::from_std(listener).context("the listener cannot be used")?;
    http_server::serve(
        listener,
        access_log::logged(router),
        ServerLimits::default(),
        shutdown,
    );
    summary::ready(
        settings,
        data,
        catalogue.current().open_newsletters().next(),
    );
    Ok(())
}

/// The database with its tables up to date and, on the first start of a trial, the examples in it.
async fn open_database(
    settings: &UpSettings,
    body_id: BodyId,
    postgres: &PrivatePostgres,
    clock: &dyn Clock,
) -> anyhow::Result<Database> {
    postgres.create_database().await?;
    let database = Database::connect(&connect_settings(&postgres.connection()))
        .await
        .context("the private PostgreSQL does not answer")?;
    database
        .migrate(body_id, clock.now())
        .await
        .context("the database could not be brought up to date")?;
    if settings.example {
        examples::set_up(&database, clock.now()).await?;
    }
    Ok(database)
}

/// The two web roles on one router, and what makes them ready.
fn web_roles(
    settings: &UpSettings,
    keys: WebKeys,
    spools: &Spools,
    catalogue: &CatalogueCopy,
    clock: &Arc<dyn Clock>,
) -> (Router, Vec<Check>) {
    let doors = intake::Doors {
        sealer: keys.sealer,
        join: keys.join,
        form_stamp: keys.form_stamp,
        spool: spools.sign_ups.clone(),
        catalogue: catalogue.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::new(OsEntropy),
        base_url: settings.base_url.clone(),
    };
    let checks = intake::readiness(&doors);
    let router = intake::router(doors).merge(unsubscribe::router(unsubscribe::Doors {
        leave: keys.leave,
        spool: spools.stops.clone(),
        catalogue: catalogue.clone(),
        entropy: Arc::new(OsEntropy),
    }));
    summary::part("intake", "takes sign-ups; cannot open an address");
    summary::part("unsubscribe", "works while the database is away");
    (router, checks)
}

fn start_delivery(
    settings: &UpSettings,
    data: &DataFolder,
    database: &Database,
    keys: delivery::Keys,
    clock: Arc<dyn Clock>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let (transport, described) = match &settings.relay {
        Some(relay) => (
            relay.transport.clone(),
            format!("mail goes to {}", relay.described),
        ),
        None => (
            Transport::caught(data.caught_mail()).context("mail cannot be caught")?,
            format!("mail is caught in {}", data.caught_mail().display()),
        ),
    };
    let worker = delivery::Settings {
        base_url: settings.base_url.clone(),
        state_dir: data.state(),
        connections: usize::from(settings.connections),
    };
    delivery::run(
        database,
        keys,
        transport,
        worker,
        clock,
        Arc::new(OsEntropy),
        shutdown,
    )
    .context("the delivery worker does not start")?;
    summary::part("delivery", &described);
    Ok(())
}

/// The public pages, and for this machine only the metrics and the caught mail.
fn with_private_pages(
    settings: &UpSettings,
    data: &DataFolder,
    catalogue: &CatalogueCopy,
    public: Router,
    mut private: Router,
) -> Router {
    if settings.relay.is_none() {
        private = private.merge(caught_mail_page::router(
            data.caught_mail(),
            catalogue.clone(),
        ));
    }
    let for_missing = catalogue.clone();
    public
        .merge(page_frame::styles())
        .merge(loopback::only(private))
        .fallback(async move |RawQuery(query): RawQuery, headers: HeaderMap| {
            let accepted = headers
                .get(header::ACCEPT_LANGUAGE)
                .and_then(|value| value.to_str().ok());
            let language = page_frame::language_from(query.as_deref(), accepted, Language::En);
            page_frame::not_found(&for_missing.current(), language)
        })
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

/// The web roles' spools: stops have a folder and a limit of their own.
struct Spools {
    sign_ups: Spool,
    stops: Spool,
}

impl Spools {
    fn open(
        settings: &UpSettings,
        data: &DataFolder,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let open = |folder: PathBuf, limit_bytes: u64, keep_archive: Option<Duration>| {
            let shown = folder.display().to_string();
            let settings = SpoolSettings {
                folder,
                limit_bytes,
                keep_archive,
            };
            Spool::open(settings, Arc::clone(clock), &OsEntropy)
                .with_context(|| format!("the spool {shown} cannot be opened"))
        };
        Ok(Self {
            sign_ups: open(data.spool("intake"), settings.spool_limit, None)?,
            stops: open(data.spool("unsubscribe"), STOP_LIMIT, Some(STOP_ARCHIVE))?,
        })
    }

    /// Starts a shipper for each, stops first.
    fn ship(self, database: &Database, clock: &Arc<dyn Clock>, shutdown: &Shutdown) {
        for (spool, role, holds_stops) in [
            (self.stops, "unsubscribe", true),
            (self.sign_ups, "intake", false),
        ] {
            let shipper = Shipper::new(
                spool,
                Route {
                    broker: None,
                    inbox: database.sign_up_inbox(),
                },
                database.spools(),
                role,
                holds_stops,
                Arc::clone(clock),
            );
            shutdown.spawn("shipper", shipper.run(shutdown.clone()));
        }
    }
}

/// What the web roles may hold: nothing that opens an address.
struct WebKeys {
    sealer: Sealer,
    join: LinkKeys,
    leave: LinkKeys,
    form_stamp: FormStampKey,
}

/// Derives each part's keys from the masters, which nobody gets.
fn share_out(keys: KeyFiles) -> anyhow::Result<(WebKeys, delivery::Keys)> {
    let body = keys.body_id;
    let newest = keys.sealing.last().context("there is no sealing key")?;
    let sealer =
        Sealer::new(body, newest.kid, newest.public).context("the sealing key is broken")?;
    let links =
        |class| LinkKeys::derive(class, body, &keys.links).context("the link keys are broken");
    let (leave, join) = (links(LinkClass::Leave)?, links(LinkClass::Join)?);
    let address =
        AddressKeys::derive(body, &keys.address).context("the address keys are broken")?;
    let opening = keys
        .sealing
        .into_iter()
        .map(|key| (key.kid, key.secret))
        .collect();
    Ok((
        WebKeys {
            sealer,
            join: join.clone(),
            leave: leave.clone(),
            form_stamp: keys.form_stamp,
        },
        delivery::Keys {
            opener: Opener::new(body, opening),
            address,
            leave,
            join,
        },
    ))
}

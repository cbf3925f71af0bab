//! The parts in one process: what each is handed, and in which order they start and stop.
//!
//! The walls are kept here too: `intake` and `unsubscribe` get derived keys of their classes, a spool
//! and the catalogue copy; only `delivery` gets the opening key, the address keys and the database.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use domain::{BodyId, Clock};
use mail::Transport;
use service_runtime::admin::Check;
use service_runtime::metrics_page::{self, MetricsPage};
use service_runtime::{OsEntropy, Shutdown, SystemClock, admin, loopback};
use shipper::{CatalogueCopy, Resumptions, Route, Shipper};
use spool::Spool;
use store::{ConnectSettings, Database, Host, Tls};

use super::private_postgres::{Connection, PrivatePostgres};
use super::settings::UpSettings;
use super::{examples, summary};
use crate::data_folder::DataFolder;
use crate::keys::role_folders::{IntakeKeys, UnsubscribeKeys};
use crate::keys::watch::{Settling, Watch};
use crate::keys::{Masters, masters};
use crate::{caught_mail_page, open_spool, operate, public_pages, starting};

/// Of the private server's 40 connections; the rest is for operator commands.
const CONNECTIONS: u32 = 24;
/// For open requests and the last batch, and above all for replies after the dot: cut short, they
/// leave doubts. A second signal does not wait.
const GRACE: Duration = Duration::from_mins(2);

/// Starts PostgreSQL and every part, waits for a signal, and stops them in the opposite order.
pub(crate) async fn run(
    settings: UpSettings,
    data: DataFolder,
    keys: Masters,
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
            .wait_for_signal(Duration::ZERO)
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
    keys: Masters,
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
    let (intake_keys, unsubscribe_keys, worker) = keys.share_out()?;
    // One set of handles for all parts: a new link key is made and verified from the same moment on.
    let watch = Watch {
        folder: data.keys(),
        read: |folder| Ok(masters::read(folder)?.share_out()?.2.changing()),
        held: worker.changing(),
        settling: Settling::Short,
    };
    shutdown.spawn("keys", watch.run(shutdown.clone()));
    let (public, checks) = web_roles(
        settings,
        intake_keys,
        unsubscribe_keys,
        Resumptions::new(database.resumptions()),
        &spools,
        &catalogue,
        &clock,
    );
    shutdown.spawn(
        "catalogue",
        catalogue
            .clone()
            .keep_fresh(database.catalogue(), shutdown.clone()),
    );
    spools.ship(&database, &clock, shutdown);
    start_delivery(settings, data, &database, worker.keys, clock, shutdown)?;

    let private = admin::router(metrics, checks, shutdown);
    let router = with_private_pages(settings, data, &catalogue, public, private);
    starting::serve(listener, router, shutdown)?;
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
    keys: IntakeKeys,
    leaving: UnsubscribeKeys,
    resumptions: Resumptions,
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
    let leaving = unsubscribe::Doors {
        leave: leaving.leave,
        spool: spools.stops.clone(),
        catalogue: catalogue.clone(),
        resumptions,
        clock: Arc::clone(clock),
        entropy: Arc::new(OsEntropy),
    };
    let mut checks = intake::readiness(&doors);
    checks.extend(unsubscribe::readiness(&leaving));
    let router = intake::router(doors).merge(unsubscribe::router(leaving));
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
        connections: usize::from(settings.connections),
        limits: settings.limits,
        return_path_domain: settings.return_path_domain.clone(),
        ..delivery::Settings::new(settings.base_url.clone(), data.state())
    };
    delivery::run(
        database,
        None,
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
    public_pages::around(public.merge(loopback::only(private)), catalogue)
}

fn connect_settings(connection: &Connection) -> ConnectSettings {
    ConnectSettings {
        hosts: vec![(
            Host::Socket(connection.socket_folder.clone()),
            connection.port,
        )],
        user: connection.user.clone(),
        password: Some(connection.password.clone()),
        database: connection.database.clone(),
        max_connections: CONNECTIONS,
        tls: Tls::Off,
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
        Ok(Self {
            sign_ups: open_spool::of_requests(data.spool("intake"), settings.spool_limit, clock)?,
            stops: open_spool::of_stops(data.spool("unsubscribe"), clock)?,
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

//! `letterbox deliver`: a worker, which applies requests and sends mail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use delivery::RouteLimits;
use mail::Transport;
use queue::{Broker, BrokerSettings};
use service_runtime::admin::{Check, Checks};
use service_runtime::{OsEntropy, SystemClock, loopback};
use shipper::CatalogueCopy;
use store::{ConnectSettings, Database};

use super::process::{self, Process, Stop};
use super::same_body;
use crate::cli::DeliverOptions;
use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::keys::role_folders::{self, DeliverKeys};
use crate::keys::watch::{Settling, Watch};
use crate::settings::{base_url, broker, database, limits, relay, return_path};
use crate::{caught_mail_page, starting};

const ADMIN: SocketAddr = process::loopback(9103);
/// Registrar, marks, planner, sweeper, heartbeat, look-out, outbox and mails have one each, besides
/// those of the connections that send.
const CONNECTIONS: u32 = 12;
/// How often it is looked whether the worker is ready.
const LOOK: Duration = Duration::from_millis(20);

/// Checked settings, keys included.
struct DeliverSettings {
    admin_listen: SocketAddr,
    /// Without a slash at the end.
    base_url: String,
    keys: DeliverKeys,
    watch: Watch,
    data: PathBuf,
    outlet: Outlet,
    connections: u16,
    limits: RouteLimits,
    return_path_domain: Option<String>,
    grace: Duration,
    database: ConnectSettings,
    broker: Option<BrokerSettings>,
}

/// Where mail goes.
enum Outlet {
    Relay(relay::Relay),
    Caught(PathBuf),
}

impl DeliverSettings {
    fn check(options: DeliverOptions) -> anyhow::Result<Self> {
        let base_url = base_url::check(&options.base_url)?;
        let outlet = match (
            relay::check(&options.relay, &base_url)?,
            options.caught_mail,
        ) {
            (Some(relay), _) => Outlet::Relay(relay),
            (None, Some(folder)) => Outlet::Caught(folder),
            (None, None) => {
                return Err(SettingsError::new(
                    "there is nowhere to send mail: name a relay with --smtp, or to try it a folder with --caught-mail",
                )
                .into());
            }
        };
        let connections = options.relay.connections;
        let keys = role_folders::read_deliver(&options.keys)?;
        Ok(Self {
            admin_listen: options.admin.admin_listen.unwrap_or(ADMIN),
            database: database::check(&options.database, CONNECTIONS + u32::from(connections))?,
            broker: broker::check(&options.broker)?,
            watch: Watch {
                held: keys.changing(),
                read: |folder| Ok(role_folders::read_deliver(folder)?.changing()),
                settling: Settling::Long,
                folder: options.keys,
            },
            keys,
            base_url,
            data: options.data,
            outlet,
            connections,
            limits: limits::of(&options.limits),
            grace: Duration::from_secs(options.grace.into()),
            return_path_domain: return_path::check(&options.relay)?,
        })
    }
}

/// Runs until a signal.
pub(crate) fn run(options: DeliverOptions) -> anyhow::Result<()> {
    let begin = Instant::now();
    starting::log(&options.log.log)?;
    let settings = DeliverSettings::check(options)?;
    let admin = process::listen(settings.admin_listen, "--admin-listen")?;
    let data = process::own_folder(&settings.data)?;
    let stop = Stop {
        notice: Duration::ZERO,
        // for the last batch, and above all for replies after the dot: cut short, they leave doubts
        grace: settings.grace,
    };
    Process::run("deliver", stop, async |process| {
        process.follow_keys(settings.watch);
        let database = Database::connect_later(&settings.database);
        let (transport, caught) = open_outlet(settings.outlet, &data)?;
        let for_operators = caught.as_ref().map_or_else(Router::new, caught_mail_pages);
        let waiting = || Err("the database has not answered yet".to_owned());
        let checks = Checks::from(vec![Check::new("database", waiting)]);
        process.serve_admin(admin, checks.clone(), for_operators)?;
        let (body_id, failure) = (settings.keys.body_id, &process.failure);
        if !same_body::confirm(&database, body_id, failure, &process.shutdown).await {
            return Ok(());
        }
        // Only now: the copy of another body's newsletters would outlive this process.
        if let Some(Caught { catalogue, .. }) = caught {
            process.shutdown.spawn(
                "catalogue",
                catalogue.keep_fresh(database.catalogue(), process.shutdown.clone()),
            );
        }
        let broker = settings
            .broker
            .map(|broker| Broker::new(broker, "deliver", Arc::new(OsEntropy)));
        let worker = delivery::Settings {
            connections: usize::from(settings.connections),
            limits: settings.limits,
            return_path_domain: settings.return_path_domain,
            ..delivery::Settings::new(settings.base_url, data.root().to_owned())
        };
        let started = delivery::run(
            &database,
            broker.as_ref(),
            settings.keys.keys,
            transport,
            worker,
            Arc::new(SystemClock),
            Arc::new(OsEntropy),
            &process.shutdown,
        );
        checks.set(started.map_err(explained)?);
        let token = process.shutdown.token().clone();
        process.shutdown.spawn("ready", async move {
            let ready = async {
                while !checks.hold() {
                    tokio::time::sleep(LOOK).await;
                }
                tracing::info!("ready after {} ms", begin.elapsed().as_millis());
            };
            tokio::select! {
                () = ready => {}
                () = token.cancelled() => {}
            }
        });
        Ok(())
    })
}

/// Mail that stays on this machine.
struct Caught {
    folder: PathBuf,
    /// For the names on its pages.
    catalogue: CatalogueCopy,
}

/// Where mail goes, and what is caught of it.
fn open_outlet(
    outlet: Outlet,
    data: &DataFolder,
) -> Result<(Transport, Option<Caught>), SettingsError> {
    match outlet {
        Outlet::Relay(relay) => {
            tracing::info!(relay = relay.described, "mail goes to the relay");
            Ok((relay.transport, None))
        }
        Outlet::Caught(folder) => {
            tracing::warn!(folder = %folder.display(), "mail is caught: none leaves this machine");
            let transport = Transport::caught(folder.clone()).map_err(|error| {
                SettingsError::new(format!(
                    "--caught-mail {}: {}: name a folder that this user may write to",
                    error.folder.display(),
                    error.source
                ))
            })?;
            let catalogue = CatalogueCopy::load(data.catalogue());
            Ok((transport, Some(Caught { folder, catalogue })))
        }
    }
}

/// To read it, for this machine only.
fn caught_mail_pages(caught: &Caught) -> Router {
    let pages = caught_mail_page::router(caught.folder.clone(), caught.catalogue.clone());
    loopback::only(pages.merge(page_frame::styles()))
}

fn explained(error: delivery::StartError) -> anyhow::Error {
    match error {
        delivery::StartError::InUse(folder) => SettingsError::new(format!(
            "another worker uses {}: stop it first, or give each worker a --data folder of its own",
            folder.display()
        ))
        .into(),
        other @ delivery::StartError::StateDir { .. } => {
            anyhow::Error::new(other).context("the worker does not start")
        }
    }
}

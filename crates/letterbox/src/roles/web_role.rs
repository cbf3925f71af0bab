//! What both web roles do: a spool of their own, a copy of the catalogue, and the way to the
//! registrar.

use std::sync::Arc;
use std::time::Duration;

use domain::{BodyId, Clock};
use queue::{Broker, BrokerSettings};
use service_runtime::OsEntropy;
use shipper::{CatalogueCopy, Route, Shipper};
use spool::Spool;
use store::{ConnectSettings, Database};

use super::process::{Process, Stop};
use super::same_body;
use crate::cli::{BrokerOptions, DatabaseOptions, StopOption};
use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::settings::{broker, database};

/// The heartbeat, a batch, the catalogue.
const CONNECTIONS: u32 = 3;
/// For open requests; what is in the spool is safe.
const GRACE: Duration = Duration::from_secs(30);

/// The servers behind a web role; it works while all of them are down.
pub(super) struct Backends {
    /// Whose database it has to be.
    body_id: BodyId,
    database: ConnectSettings,
    broker: Option<BrokerSettings>,
}

impl Backends {
    /// The servers of these options.
    ///
    /// # Errors
    /// The setting to change, and how.
    pub(super) fn check(
        body_id: BodyId,
        database: &DatabaseOptions,
        broker: &BrokerOptions,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            body_id,
            database: database::check(database, CONNECTIONS)?,
            broker: broker::check(broker)?,
        })
    }
}

/// How a web role stops.
pub(super) fn stop(options: &StopOption) -> Stop {
    Stop {
        notice: options.notice(),
        grace: GRACE,
    }
}

/// The role's copy of the catalogue, from its own disk first.
pub(super) fn catalogue(data: &DataFolder) -> CatalogueCopy {
    CatalogueCopy::load(data.catalogue())
}

/// Starts what connects the role with the rest: shipping, heartbeat, catalogue. Nothing waits for
/// the servers behind it. Gives the database, for what else the role asks it.
pub(super) fn connect(
    backends: Backends,
    spool: Spool,
    role: &'static str,
    holds_stops: bool,
    catalogue: &CatalogueCopy,
    clock: &Arc<dyn Clock>,
    process: &Process,
) -> Database {
    let shutdown = &process.shutdown;
    let database = Database::connect_later(&backends.database);
    let (asked, body_id) = (database.clone(), backends.body_id);
    let (failure, stop) = (process.failure.clone(), shutdown.clone());
    let catalogue = catalogue.clone();
    shutdown.spawn("catalogue", async move {
        // Not before: the copy of another body's newsletters would outlive this process.
        if same_body::confirm(&asked, body_id, &failure, &stop).await {
            catalogue.keep_fresh(asked.catalogue(), stop).await;
        }
    });
    let broker = backends.broker.map(|settings| {
        let broker = Broker::new(settings, role, Arc::new(OsEntropy));
        let (publisher, connection) = broker.publisher(shutdown.token().clone());
        shutdown.spawn("publisher", connection);
        publisher
    });
    let route = Route {
        broker,
        inbox: database.sign_up_inbox(),
    };
    let shipper = Shipper::new(
        spool,
        route,
        database.spools().of_body(body_id),
        role,
        holds_stops,
        Arc::clone(clock),
    );
    shutdown.spawn("shipper", shipper.run(shutdown.clone()));
    database
}

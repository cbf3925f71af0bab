//! The worker: applies what web roles accepted, writes down an issue's audience, and sends mail. The
//! only room besides the binary that may open an address.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `registrar/` | requests from the inbox to the tables and the ledger |
//! | `planner` | an approved issue becomes deliveries in chunks |
//! | `work_source` | where chunks and mails to send come from |
//! | `connections` | those to the broker, where there is one |
//! | `relay`, `hints` | hints of work from the outbox to the broker, and from the broker to idle lanes |
//! | `postponed` | messages of a newer version |
//! | `sender/` | issues by many lanes around one desk, one-to-one mail by `mail_sender`, both through `attempt` |
//! | `journal`, `replay` | what was on the wire when the process died, and what follows from it |
//! | `reassertion`, `timeline` | the journal said again to a database that forgot; when that is |
//! | `lookout` | the newest stops and the barrier, from memory |
//! | `heartbeat`, `fence` | the sign of life, and that nothing is sent without it |
//! | `boot_clock` | how old things are, also after a sleep of the machine |
//! | `restoration`, `memory`, `erasure_journal` | a database that went back: noticed, and made up for |
//! | `route/` | whether, how fast and on how many connections mail may go to the relay |
//! | `sweeper` | doubts, deadlines, dead workers, finished issues |
//! | `bounces` | whose mail came back too often, and the stop that follows |
//! | `checkpoints`, `checkpoint_file`, `ledger_audit` | the ledger's head, signed and kept outside of the database; the whole of it verified each night |
//! | `worker` | puts all of these together: recovery first, then the tasks |
//! | `readiness` | what an operator is told of it |
//! | `state_dir` | the folder that makes a worker the same one after a restart |
//!
//! A walk: the planner finds an approved issue and writes its audience. `sender/claimer` takes a chunk and
//! claims some recipients (committed before any SMTP), `sender/preparer` opens their addresses and renders
//! their mails in threads of its own, and each lane sends one after the other: last look, `MAIL FROM`,
//! body, journal, dot, reply, journal. `sender/flusher` writes results of all lanes together, and with the
//! last one of a chunk hands it back; when none is left the sweeper finishes the issue.

mod boot_clock;
mod bounces;
mod checkpoint_file;
mod checkpoints;
mod connections;
mod erasure_journal;
mod fence;
mod heartbeat;
mod hints;
mod journal;
mod ledger_audit;
mod lookout;
mod memory;
mod planner;
mod postponed;
mod readiness;
mod reassertion;
mod relay;
mod replay;
mod restoration;
mod route;
mod sender;
mod state_dir;
mod sweeper;
mod timeline;
mod work_source;
mod worker;

pub mod registrar;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use address_open::{AddressKeys, Opener};
use domain::{Clock, Entropy};
use link_token::LinkKeys;
use link_token::return_path::ReturnPathKeys;
use mail::{DkimSigner, Transport};
use queue::Broker;
use service_runtime::Shutdown;
use service_runtime::admin::Check;
use store::Database;

use crate::boot_clock::MachineClock;
pub use crate::checkpoints::LedgerSigner;
use crate::connections::Connections;
use crate::registrar::Registrar;
pub use crate::route::RouteLimits;

/// The keys of a worker. Nothing in here can be printed.
pub struct Keys {
    /// Opens sealed addresses.
    pub opener: Opener,
    /// Codes, row MACs and Message-IDs.
    pub address: AddressKeys,
    /// Mints unsubscribe, undo and "not me" links.
    pub leave: LinkKeys,
    /// Mints confirm links.
    pub join: LinkKeys,
    /// Mints return paths.
    pub return_paths: ReturnPathKeys,
    /// Signs what is sent; without it the relay may.
    pub dkim: Option<DkimSigner>,
    /// Signs the ledger.
    pub ledger: Arc<LedgerSigner>,
}

/// Connections to the relay for issues, where nobody says otherwise.
const CONNECTIONS: usize = 10;
/// Recipients in a claim, where nobody says otherwise.
const WINDOW: u16 = 100;
/// Sealed addresses opened in a second at most, where nobody says otherwise: several times what a worker
/// can send, and far less than somebody would want who copies a list.
const OPENS_PER_SECOND: u32 = 20_000;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the pages are, without a slash at the end; goes into every link.
    pub base_url: String,
    /// The worker's own folder: its id, its journal. One worker at a time; it must survive restarts.
    pub state_dir: PathBuf,
    /// Connections to the relay for issues; confirmations have one of their own besides. At least 1.
    pub connections: usize,
    /// Recipients that are claimed at once, at most: so many are in doubt for each chunk in hand should
    /// the journal be lost. At least 1.
    pub window: u16,
    /// Sealed addresses that are opened in a second, at most.
    pub opens_per_second: u32,
    /// What the relay may be sent, by all workers together.
    pub limits: RouteLimits,
    /// Where bounces go: each mail has a return path of its own there (`b-…`). Without it, the
    /// newsletter's sender address.
    pub return_path_domain: Option<String>,
}

impl Settings {
    /// The usual ones, for these pages and this folder.
    #[must_use]
    pub const fn new(base_url: String, state_dir: PathBuf) -> Self {
        Self {
            base_url,
            state_dir,
            connections: CONNECTIONS,
            window: WINDOW,
            opens_per_second: OPENS_PER_SECOND,
            limits: RouteLimits::none(),
            return_path_domain: None,
        }
    }
}

/// Why a worker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another worker has this `state_dir`.
    #[error("another worker uses {}", .0.display())]
    InUse(PathBuf),
    /// The `state_dir` cannot be read or written.
    #[error("the worker's folder {} cannot be used", .path.display())]
    StateDir {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Starts a worker on the tasks of `shutdown` and returns what makes it ready. The database and the
/// broker may be away: everything waits for the one and goes on without the other, and what the
/// journal knows is applied before anything is claimed. Without a broker, requests come from the inbox
/// and work from the tables.
///
/// # Errors
/// [`StartError`] where the `state_dir` is not ours to use.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a thing of its own that only the binary can give"
)]
pub fn run(
    database: &Database,
    broker: Option<&Broker>,
    keys: Keys,
    transport: Transport,
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    shutdown: &Shutdown,
) -> Result<Vec<Check>, StartError> {
    let lanes = settings.connections.max(1);
    let keys = Arc::new(keys);
    let worker = worker::Worker::open(
        database,
        Arc::clone(&keys),
        transport,
        settings,
        Arc::clone(&clock),
        Arc::new(MachineClock),
        Arc::clone(&entropy),
    )?;
    let restoration = worker.restoration();
    let registrar = Registrar::new(database, keys, clock, entropy)
        .beside(restoration.seen(), restoration.journal());
    restoration::describe_metrics();
    let connections = broker.map(|broker| Connections::open(broker, lanes, shutdown));
    let links = connections.as_ref().map(Connections::links);
    let checks = readiness::checks(worker.lookout(), worker.fence(), links.unwrap_or_default());
    let (post, queues) = connections.map(|all| (all.post, all.work)).unzip();
    shutdown.spawn("registrar", registrar.run(post, shutdown.clone()));
    let task = shutdown.clone();
    shutdown.spawn("delivery", async move { worker.start(queues, &task).await });
    Ok(checks)
}

/// Waits, or returns at once when the process is to stop.
async fn pause(duration: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = shutdown.token().cancelled() => {}
    }
}

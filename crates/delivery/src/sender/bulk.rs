//! The tasks that send issues: one that claims, some that prepare, a lane for each connection, one that
//! writes results down.

use std::sync::Arc;

use service_runtime::Shutdown;

use super::Sender;
use super::claimer::Claimer;
use super::desk::Desk;
use super::flusher::Flusher;
use super::lane::Lane;
use super::preparer::Preparer;
use crate::work_source::WorkSource;

/// Starts them for so many connections.
pub(crate) fn spawn(
    sender: &Arc<Sender>,
    source: WorkSource,
    connections: usize,
    shutdown: &Shutdown,
) {
    let desk = Arc::new(Desk::new(connections, sender.window));
    let both = || (Arc::clone(sender), Arc::clone(&desk));
    let (shared, table) = both();
    let claimer = Claimer::new(shared, table, source, shutdown.clone());
    shutdown.spawn("claimer", claimer.run());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..cores {
        let (shared, table) = both();
        let preparer = Preparer::new(shared, table, shutdown.clone());
        shutdown.spawn("preparer", preparer.run());
    }
    for _ in 0..connections {
        let (shared, table) = both();
        let lane = Lane::new(shared, table, shutdown.clone());
        shutdown.spawn("lane", lane.run());
    }
    let (shared, table) = both();
    let flusher = Flusher::new(shared, table, shutdown.clone());
    shutdown.spawn("flusher", flusher.run());
}

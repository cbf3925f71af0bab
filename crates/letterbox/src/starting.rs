//! What every process does the same way when it starts: its log, its ports, its pages.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use axum::Router;
use service_runtime::logs::{self, GatheredLines, LogSettings};
use service_runtime::{ServerLimits, Shutdown, access_log, http_server};

use crate::failure::SettingsError;

/// Sets up the log.
pub(crate) fn log(filter: &str) -> Result<(), SettingsError> {
    let log = LogSettings {
        filter: filter.to_owned(),
        ..Default::default()
    };
    logs::init(&log).map_err(|error| SettingsError::new(format!("--log: {error}")))
}

/// Lets log lines be written together from here on: after root's rights were dropped, for it starts a
/// thread. What waits is written when the guard is dropped, so it outlives the runtime.
pub(crate) fn gather_log_lines() -> anyhow::Result<Option<GatheredLines>> {
    logs::gather().context("the log has no thread")
}

/// Takes a port, before anything slow happens, so that a wrong one is told at once; `instead` is what
/// to give to the option in its place.
pub(crate) fn listen(
    address: SocketAddr,
    option: &str,
    instead: &str,
) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        SettingsError::new(format!(
            "{option} {address}: {error}: stop what uses the address, or give {instead}"
        ))
    })?;
    listener
        .set_nonblocking(true)
        .context("the listener cannot be used")?;
    Ok(listener)
}

/// Serves pages on a port that was taken, with a log line for each request.
pub(crate) fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let listener =
        tokio::net::TcpListener::from_std(listener).context("the listener cannot be used")?;
    http_server::serve(
        listener,
        access_log::logged(router),
        ServerLimits::default(),
        shutdown,
    );
    Ok(())
}

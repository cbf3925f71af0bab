//! Opens a spool, or says who else has it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use service_runtime::OsEntropy;
use spool::{OpenError, Spool, SpoolSettings};

use crate::failure::SettingsError;

/// The spool of sign-ups and confirmations.
pub(crate) fn of_requests(
    folder: PathBuf,
    limit_bytes: u64,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Spool> {
    open(folder, limit_bytes, None, clock)
}

/// The spool of stops: room of its own, which sign-ups cannot take, and an archive (`FORMATS.md`,
/// Spool).
pub(crate) fn of_stops(folder: PathBuf, clock: &Arc<dyn Clock>) -> anyhow::Result<Spool> {
    open(
        folder,
        spool::STOP_LIMIT_BYTES,
        Some(spool::STOP_ARCHIVE),
        clock,
    )
}

fn open(
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
    Spool::open(settings, Arc::clone(clock), &OsEntropy).map_err(|error| match error {
        OpenError::Locked { .. } => SettingsError::new(format!(
            "another process uses the spool {shown}: stop it first, or give each process a --data folder of its own"
        ))
        .into(),
        other => anyhow::Error::new(other).context(format!("the spool {shown} cannot be opened")),
    })
}

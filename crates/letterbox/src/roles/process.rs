//! What every role does: listen, drop root's rights, run, stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use service_runtime::Shutdown;
use service_runtime::admin::{self, Checks};
use service_runtime::metrics_page::{self, MetricsPage};

use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::keys::watch::Watch;
use crate::{starting, unprivileged};

/// A port of this machine that others do not reach.
pub(super) const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Takes a port of a role, before root's rights are dropped.
pub(super) fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    starting::listen(address, option, "another one")
}

/// Becomes the owner of the role's folder, or the system user `letterbox` where root starts it for
/// the first time, and makes the folder.
pub(super) fn own_folder(path: &Path) -> anyhow::Result<DataFolder> {
    let folder = DataFolder::at(path)?;
    unprivileged::become_server_user(&folder)?;
    folder.create_root()?;
    Ok(folder)
}

/// Why a role that ran had to stop, if it did by itself.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<OnceLock<String>>);

impl Failure {
    /// Stops the process with this reason, which its setting names; the first one counts.
    pub(super) fn stop(&self, reason: String, shutdown: &Shutdown) {
        tracing::error!(reason, "stopping");
        let _ = self.0.set(reason);
        shutdown.begin();
    }
}

/// A role that runs.
pub(super) struct Process {
    pub(super) shutdown: Shutdown,
    pub(super) failure: Failure,
    metrics: MetricsPage,
}

/// How a role stops.
#[derive(Clone, Copy)]
pub(super) struct Stop {
    /// From SIGTERM on `/readyz` says 503 for this long before anything else, so that a load balancer
    /// can look elsewhere first (`reliability.md` 7.1).
    pub(super) notice: Duration,
    /// What is in hand may take this long.
    pub(super) grace: Duration,
}

impl Process {
    /// Runs a role: `start` spawns what it consists of and returns.
    pub(super) fn run(
        name: &'static str,
        stop: Stop,
        start: impl AsyncFnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let _gathered = starting::gather_log_lines()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the runtime does not start")?;
        runtime.block_on(async {
            let process = Self {
                shutdown: Shutdown::new(),
                failure: Failure::default(),
                metrics: metrics_page::install().context("metrics cannot be collected")?,
            };
            process.metrics.keep_small(&process.shutdown);
            let started = start(&process).await;
            if started.is_ok() {
                tracing::info!(version = env!("CARGO_PKG_VERSION"), "{name} is running");
                process
                    .shutdown
                    .wait_for_signal(stop.notice)
                    .await
                    .context("signals cannot be watched")?;
            }
            let finished = process.shutdown.finish(stop.grace).await;
            started?;
            if let Some(reason) = process.failure.0.get() {
                return Err(SettingsError::new(reason.clone()).into());
            }
            anyhow::ensure!(
                !finished.task_panicked,
                "a part of {name} failed: read the log above"
            );
            tracing::info!("{name} has stopped");
            Ok(())
        })
    }

    /// Follows the role's key folder.
    pub(super) fn follow_keys(&self, watch: Watch) {
        self.shutdown
            .spawn("keys", watch.run(self.shutdown.clone()));
    }

    /// Serves `/metrics`, `/livez` and `/readyz`, and what else is for operators only.
    pub(super) fn serve_admin(
        &self,
        listener: TcpListener,
        checks: impl Into<Checks>,
        more: Router,
    ) -> anyhow::Result<()> {
        let router = admin::router(self.metrics.clone(), checks, &self.shutdown).merge(more);
        self.serve(listener, router)
    }

    /// Serves public pages.
    pub(super) fn serve(&self, listener: TcpListener, router: Router) -> anyhow::Result<()> {
        let address = listener.local_addr().context("the listener is gone")?;
        starting::serve(listener, router, &self.shutdown)?;
        tracing::info!(%address, "listening");
        Ok(())
    }
}

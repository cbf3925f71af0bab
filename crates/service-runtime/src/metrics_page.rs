//! The metrics recorder of the process and its Prometheus text form.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::Shutdown;
use crate::process_memory;

/// Upper ends of the buckets of every `…_seconds` histogram: from a spool's group commit to the 60 s
/// in which an unsubscribe takes effect (`privacy.md` EML-07).
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 3600.0,
];

/// Samples wait in memory until they are counted; without a scraper this is what counts them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A recorder is installed in this process already.
    #[error("the metrics recorder could not be installed")]
    NotInstalled(#[source] BuildError),
}

/// The process's metrics, readable.
#[derive(Clone)]
pub struct MetricsPage {
    handle: PrometheusHandle,
}

/// Installs the recorder; once in a process.
///
/// # Errors
/// [`MetricsError`] if there is one already.
pub fn install() -> Result<MetricsPage, MetricsError> {
    let handle = builder()
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(MetricsError::NotInstalled)?;
    metrics::describe_gauge!(
        "process_resident_memory_bytes",
        "Memory of the process that is in RAM"
    );
    metrics::describe_gauge!("letterbox_build_info", "1, with the version as a label");
    metrics::describe_counter!(
        "letterbox_http_requests_total",
        "Requests answered, by route, method and class of status"
    );
    metrics::describe_histogram!(
        "letterbox_http_request_duration_seconds",
        metrics::Unit::Seconds,
        "Time from the head of a request to the head of its answer"
    );
    metrics::describe_counter!(
        "letterbox_task_panics_total",
        "Background tasks that panicked; each stops the process"
    );
    metrics::describe_counter!(
        "letterbox_http_accept_errors_total",
        "Connections that could not be accepted, such as for want of file descriptors"
    );
    metrics::gauge!("letterbox_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(MetricsPage { handle })
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
}

impl MetricsPage {
    /// A page of a recorder that is not installed, and the recorder.
    #[cfg(test)]
    pub(crate) fn of_test() -> (Self, metrics_exporter_prometheus::PrometheusRecorder) {
        let recorder = builder().expect("there are buckets").build_recorder();
        let handle = recorder.handle();
        (Self { handle }, recorder)
    }

    /// The page, in the text format 0.0.4 of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(bytes) = process_memory::resident_bytes() {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a float; exact up to 9 petabytes"
            )]
            metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
        }
        self.handle.render()
    }

    /// Keeps the memory of a process that nobody scrapes from growing with its requests.
    pub fn keep_small(&self, shutdown: &Shutdown) {
        let handle = self.handle.clone();
        let token = shutdown.token().clone();
        shutdown.spawn("metrics_upkeep", async move {
            loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(UPKEEP) => handle.run_upkeep(),
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The recorder belongs to the process, so there is one test for all of it.
    #[test]
    fn the_page_has_the_build_the_memory_and_buckets() {
        let page = install().unwrap();
        assert!(install().is_err(), "a second recorder is refused");
        metrics::histogram!("letterbox_http_request_duration_seconds", "route" => "/u/{*rest}")
            .record(0.003);
        let text = page.render();
        for line in [
            "letterbox_build_info{version=\"",
            "# TYPE process_resident_memory_bytes gauge",
            "letterbox_http_request_duration_seconds_bucket{route=\"/u/{*rest}\",le=\"0.005\"} 1",
            "letterbox_http_request_duration_seconds_bucket{route=\"/u/{*rest}\",le=\"0.0025\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}

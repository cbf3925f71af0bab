//! The operator's door: metrics, and the two questions of a supervisor (`reliability.md` 7.2).
//!
//! `/livez` answers 200 as long as the process can answer; it depends on nothing, since a database
//! that is away must not restart the fleet. `/readyz` answers 503 while one of the named checks
//! fails or the process stops; `/readyz?verbose` lists them.

use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Shutdown;
use crate::metrics_page::MetricsPage;

/// Why a check fails, in words for an operator; nothing personal.
pub type CheckResult = Result<(), String>;

/// One named condition of being ready.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    probe: Arc<dyn Fn() -> CheckResult + Send + Sync>,
}

impl Check {
    /// A check that is asked on each request: it reads memory and does not wait.
    pub fn new(
        name: &'static str,
        probe: impl Fn() -> CheckResult + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            probe: Arc::new(probe),
        }
    }
}

/// The conditions of being ready. Clones share them, so that a part which starts late can add its own.
#[derive(Clone)]
pub struct Checks(Arc<RwLock<Vec<Check>>>);

impl Checks {
    /// Replaces them all.
    pub fn set(&self, checks: Vec<Check>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = checks;
    }

    /// Whether all of them hold now.
    #[must_use]
    pub fn hold(&self) -> bool {
        let checks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        checks.iter().all(|check| (check.probe)().is_ok())
    }
}

impl From<Vec<Check>> for Checks {
    fn from(checks: Vec<Check>) -> Self {
        Self(Arc::new(RwLock::new(checks)))
    }
}

#[derive(Clone)]
struct Doors {
    page: MetricsPage,
    checks: Checks,
    shutdown: Shutdown,
}

/// `/metrics`, `/livez` and `/readyz`.
pub fn router(page: MetricsPage, checks: impl Into<Checks>, shutdown: &Shutdown) -> Router {
    let doors = Doors {
        page,
        checks: checks.into(),
        shutdown: shutdown.clone(),
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { plain(StatusCode::OK, "alive\n") }))
        .route("/readyz", get(ready))
        .with_state(doors)
}

async fn metrics(State(doors): State<Doors>) -> Response {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    (
        [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-store"),
        ],
        doors.page.render(),
    )
        .into_response()
}

async fn ready(State(doors): State<Doors>, RawQuery(query): RawQuery) -> Response {
    let (is_ready, report) = {
        let checks = doors
            .checks
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        report(&checks, doors.shutdown.is_leaving())
    };
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let is_verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair == "verbose" || pair.starts_with("verbose="))
    });
    match (is_verbose, is_ready) {
        (true, _) => plain(status, report),
        (false, true) => plain(status, "ready\n"),
        (false, false) => plain(status, "not ready\n"),
    }
}

/// A line for each check, as in Kubernetes: `[+]spool ok`, `[-]catalogue failed: …`.
fn report(checks: &[Check], is_stopping: bool) -> (bool, String) {
    let mut is_ready = !is_stopping;
    let mut lines = String::new();
    for check in checks {
        let line = match (check.probe)() {
            Ok(()) => writeln!(lines, "[+]{} ok", check.name),
            Err(why) => {
                is_ready = false;
                writeln!(lines, "[-]{} failed: {why}", check.name)
            }
        };
        // Writing to a String cannot fail.
        line.unwrap_or_default();
    }
    if is_stopping {
        lines.push_str("[-]stopping\n");
    }
    lines.push_str(if is_ready { "ready\n" } else { "not ready\n" });
    (is_ready, lines)
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    #[test]
    fn one_failing_check_is_enough_and_is_named() {
        let fine = Check::new("keys", || Ok(()));
        let full = Check::new("spool", || Err("81 % full".to_owned()));
        assert_eq!(
            report(std::slice::from_ref(&fine), false),
            (true, "[+]keys ok\nready\n".to_owned())
        );
        let (is_ready, lines) = report(&[fine, full], false);
        assert!(!is_ready);
        assert_eq!(lines, "[+]keys ok\n[-]spool failed: 81 % full\nnot ready\n");
    }

    #[tokio::test]
    async fn a_process_that_stops_is_alive_and_not_ready() {
        let (page, _recorder) = MetricsPage::of_test();
        let shutdown = Shutdown::new();
        let checks = Checks::from(vec![Check::new("keys", || Err("not yet".to_owned()))]);
        let router = router(page, checks.clone(), &shutdown);
        let ask = async |target: &str| {
            let request = Request::get(target).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(ask("/readyz").await, (503, "not ready\n".to_owned()));
        checks.set(vec![Check::new("keys", || Ok(()))]);
        assert_eq!(ask("/readyz").await, (200, "ready\n".to_owned()));
        assert_eq!(ask("/readyz?verbose").await.1, "[+]keys ok\nready\n");
        assert_eq!(ask("/metrics").await.0, 200);
        shutdown.begin();
        assert_eq!(ask("/readyz").await, (503, "not ready\n".to_owned()));
        assert_eq!(
            ask("/readyz?verbose").await.1,
            "[+]keys ok\n[-]stopping\nnot ready\n"
        );
        assert_eq!(ask("/livez").await, (200, "alive\n".to_owned()));
    }
}

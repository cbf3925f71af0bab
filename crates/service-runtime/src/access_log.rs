//! One log line and two metrics for each request.
//!
//! The route is the pattern (`/u/{*rest}`), never the path: a path carries a token. No address of a
//! peer, no header, no query.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;

/// What stands for the route where none matched.
const UNMATCHED: &str = "unmatched";

/// The router with a line at level info and the metrics `letterbox_http_requests_total` and
/// `letterbox_http_request_duration_seconds` for each request. To be put on last, over everything.
pub fn logged(router: Router) -> Router {
    router.layer(middleware::from_fn(log_request))
}

async fn log_request(request: Request, next: Next) -> Response {
    let method = method_name(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    let started = Instant::now();
    let response = next.run(request).await;
    let duration = started.elapsed();
    let status = response.status();
    tracing::info!(
        method,
        route,
        status = status.as_u16(),
        duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        "request answered"
    );
    metrics::counter!(
        "letterbox_http_requests_total",
        "route" => route.clone(),
        "method" => method,
        "status_class" => status_class(status.as_u16()),
    )
    .increment(1);
    metrics::histogram!("letterbox_http_request_duration_seconds", "route" => route)
        .record(duration.as_secs_f64());
    response
}

/// A closed set, whatever a client invents.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

const fn status_class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::metrics_page::MetricsPage;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_request_leaves_one_line_and_two_metrics_without_its_path() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let (page, recorder) = MetricsPage::of_test();
        let router = logged(Router::new().route("/u/{*rest}", get(|| async { "page" })));
        let ask = async {
            for (method, target) in [
                ("GET", "/u/secret-token?n=secret-query"),
                ("BREW", "/secret-path"),
            ] {
                let request = Request::builder()
                    .method(method)
                    .uri(target)
                    .header("user-agent", "secret-agent")
                    .body(Body::empty())
                    .unwrap();
                router.clone().oneshot(request).await.unwrap();
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        tracing::subscriber::with_default(subscriber, || {
            metrics::with_local_recorder(&recorder, || runtime.block_on(ask));
        });

        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let metrics = page.render();
        assert_eq!(log.lines().count(), 2, "{log}");
        let first = "method=\"GET\" route=\"/u/{*rest}\" status=200 duration_ms=";
        assert!(log.contains(first), "{log}");
        let second = "method=\"other\" route=\"unmatched\" status=404 duration_ms=";
        assert!(log.contains(second), "{log}");
        for series in [
            "letterbox_http_requests_total{route=\"/u/{*rest}\",method=\"GET\",status_class=\"2xx\"} 1",
            "letterbox_http_requests_total{route=\"unmatched\",method=\"other\",status_class=\"4xx\"} 1",
            "letterbox_http_request_duration_seconds_count{route=\"/u/{*rest}\"} 1",
        ] {
            assert!(
                metrics.contains(series),
                "{series} is missing in\n{metrics}"
            );
        }
        assert!(
            !log.contains("secret") && !metrics.contains("secret"),
            "{log}{metrics}"
        );
    }
}

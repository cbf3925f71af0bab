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

//! Routes that only this machine may see: the caught mail of a trial installation, the metrics.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::http_server::PeerAddr;

/// The router with every route answering 404 to a peer that is not this machine.
///
/// Behind a proxy on the same machine every peer is loopback, and a hostile page in a browser on it
/// can point a name of its own at 127.0.0.1. So a request counts as ours only if it was also
/// addressed to this machine by `Host` and no proxy marked it as passed on.
pub fn only(router: Router) -> Router {
    router.layer(middleware::from_fn(refuse_others))
}

async fn refuse_others(
    peer: Option<Extension<PeerAddr>>,
    request: Request,
    next: Next,
) -> Response {
    // A request without the extension came around our server: treated as a stranger's.
    let is_ours = peer.is_some_and(|Extension(PeerAddr(peer))| {
        // `::ffff:127.0.0.1` is how a dual-stack listener sees 127.0.0.1.
        peer.ip().to_canonical().is_loopback()
    });
    if is_ours && is_addressed_to_us(request.headers()) && !was_passed_on(request.headers()) {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// Whether `Host` names loopback; HTTP/1.0 may leave it out.
fn is_addressed_to_us(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return true;
    };
    let host = host
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Authority>().ok());
    host.is_some_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}

/// Whether a proxy says that the request came from elsewhere.
fn was_passed_on(headers: &HeaderMap) -> bool {
    [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-real-ip",
        "via",
    ]
    .iter()
    .any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn only_this_machine_gets_in() {
        let cases = [
            (Some("127.0.0.1:5"), StatusCode::OK),
            (Some("127.9.9.9:5"), StatusCode::OK),
            (Some("[::1]:5"), StatusCode::OK),
            (Some("[::ffff:127.0.0.1]:5"), StatusCode::OK),
            (Some("192.0.2.7:5"), StatusCode::NOT_FOUND),
            (Some("[2001:db8::1]:5"), StatusCode::NOT_FOUND),
            (None, StatusCode::NOT_FOUND),
        ];
        let router = only(Router::new().route("/caught-mail", get(|| async { "mail" })));
        for (peer, expected) in cases {
            let mut request = Request::get("/caught-mail").body(Body::empty()).unwrap();
            if let Some(peer) = peer {
                let peer = PeerAddr(peer.parse().unwrap());
                request.extensions_mut().insert(peer);
            }
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), expected, "{peer:?}");
        }
    }

    #[tokio::test]
    async fn a_proxy_or_a_foreign_name_does_not_get_in() {
        let cases: &[(&[(&str, &str)], StatusCode)] = &[
            (&[("host", "127.0.0.1:8080")], StatusCode::OK),
            (&[("host", "LocalHost")], StatusCode::OK),
            (&[("host", "[::1]:8080")], StatusCode::OK),
            (&[("host", "news.example.gov.uk")], StatusCode::NOT_FOUND),
            (&[("host", "127.0.0.1.evil.example")], StatusCode::NOT_FOUND),
            (&[("host", "")], StatusCode::NOT_FOUND),
            (
                &[("host", "localhost"), ("x-forwarded-for", "192.0.2.7")],
                StatusCode::NOT_FOUND,
            ),
            (
                &[("host", "localhost"), ("forwarded", "for=192.0.2.7")],
                StatusCode::NOT_FOUND,
            ),
        ];
        let router = only(Router::new().route("/metrics", get(|| async { "numbers" })));
        for (headers, expected) in cases {
            let mut request = Request::get("/metrics");
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            let mut request = request.body(Body::empty()).unwrap();
            let peer = PeerAddr("127.0.0.1:5".parse().unwrap());
            request.extensions_mut().insert(peer);
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), *expected, "{headers:?}");
        }
    }
}

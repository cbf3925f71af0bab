//! Routes that only this machine may see: the caught mail of a trial installation, the metrics.

use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::http_server::PeerAddr;

/// The router with every route answering 404 to a peer that is not this machine.
///
/// Behind a proxy on the same machine every peer is loopback: such a proxy must not pass these
/// routes on.
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
    if is_ours {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
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
}

//! One request between hyper and the router: it gets an answer in time, even from a handler that
//! hangs or panics.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;
use tower::ServiceExt;

use crate::http_server::{PeerAddr, ServerLimits};

/// The router's answer, or one that says that there is none.
pub(crate) async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: PeerAddr,
    limits: ServerLimits,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(|body| Body::new(BodyInTime::new(body, limits.body)));
    request.extensions_mut().insert(peer);
    let answered = tokio::time::timeout(limits.request, no_panic(router.oneshot(request))).await;
    Ok(match answered {
        Ok(Some(Ok(response))) => response,
        Ok(None) => {
            tracing::error!("a request handler panicked");
            apology(StatusCode::INTERNAL_SERVER_ERROR)
        }
        Err(_) => {
            tracing::warn!("a request took too long");
            apology(StatusCode::SERVICE_UNAVAILABLE)
        }
    })
}

/// What the future gives, or nothing if it panics.
async fn no_panic<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        // The future is not looked at again after a panic, so no broken state is seen.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// What a page of ours promises (`privacy.md` 4.4), for the one answer that no router has seen.
const PROMISES: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex"),
    ),
];

/// A line of text; the connection is in an unknown state, so it is closed.
fn apology(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from("Something went wrong. Please try again.\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.extend(PROMISES);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    }
    response
}

/// A request body that must be complete by a certain moment, however steadily it drips.
struct BodyInTime {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl BodyInTime {
    fn new(body: Incoming, limit: Duration) -> Self {
        Self {
            body,
            deadline: Box::pin(tokio::time::sleep(limit)),
        }
    }
}

impl hyper::body::Body for BodyInTime {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        self.deadline.as_mut().poll(context).map(|()| {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the body did not come in time");
            Some(Err(late.into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

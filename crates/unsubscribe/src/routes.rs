//! The doors. GET and HEAD show a page and change nothing, however often and by whatever scanner; one
//! POST is final. No cookie, no redirect, no login, no look at `Origin`: a mail program has none of
//! them to offer.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use domain::{BoxId, EventId, IssueNumber, NotMe, Request, SubscriptionId, Undo, Unsubscribe};
use link_token::{CheckedToken, LinkClass, Purpose, Route};
use spool::AcceptError;

use crate::counts::{self, Ended};
use crate::pages::{self, Asked, Done};
use crate::posted::{self, Presser};
use crate::recent::{Recent, Taken, Topic};
use crate::{Doors, link};

const ALLOW: &str = "GET, HEAD, POST";

/// After how many seconds to try again when the spool cannot take a request.
const RETRY_AFTER_SECONDS: u32 = 60;

/// `/u/{token}` and `/undo/{token}`.
///
/// # Panics
/// If the keys are of another class than leave: a mistake in the code that starts the role.
pub fn router(doors: Doors) -> Router {
    assert_eq!(
        doors.leave.class(),
        LinkClass::Leave,
        "unsubscribe is given the keys of class leave"
    );
    counts::describe();
    let leave = doors_of(Route::Leave);
    let undo = doors_of(Route::Undo);
    Router::new()
        // A link that was cut right behind the route is a broken link too.
        .route("/u", leave.clone())
        .route("/u/", leave.clone())
        .route("/u/{*rest}", leave)
        .route("/undo", undo.clone())
        .route("/undo/", undo.clone())
        .route("/undo/{*rest}", undo)
        .layer(middleware::map_response(async |answer: Response| {
            page_frame::secured(answer)
        }))
        .with_state(Role {
            doors,
            recent: Arc::default(),
        })
}

/// The doors, and what went through them lately.
#[derive(Clone)]
struct Role {
    doors: Doors,
    recent: Arc<Recent>,
}

fn doors_of(route: Route) -> MethodRouter<Role> {
    get(
        move |State(role): State<Role>, OriginalUri(target), headers: HeaderMap| async move {
            let catalogue = role.doors.catalogue.current();
            let asked = Asked::of(&target, &headers, &catalogue, role.doors.clock.now());
            match link::checked(&role.doors.leave, route, &target) {
                Some(token) => asked.page(token.purpose),
                None => page_frame::broken_link(&catalogue, asked.language),
            }
        },
    )
    .post(
        move |State(role): State<Role>,
              OriginalUri(target),
              headers: HeaderMap,
              body: Body| async move {
            let started = Instant::now();
            let catalogue = role.doors.catalogue.current();
            let asked = Asked::of(&target, &headers, &catalogue, role.doors.clock.now());
            let token = link::checked(&role.doors.leave, route, &target);
            let (response, how) = role.answer(token, &asked, body).await;
            counts::ended(how, started.elapsed());
            response
        },
    )
    .fallback(
        |State(role): State<Role>, OriginalUri(target), headers: HeaderMap| async move {
            let language = link::language(&target, &headers);
            page_frame::method_not_allowed(&role.doors.catalogue.current(), language, ALLOW)
        },
    )
}

impl Role {
    async fn answer(
        &self,
        token: Option<CheckedToken>,
        asked: &Asked<'_>,
        body: Body,
    ) -> (Response, Ended) {
        let Some(token) = token else {
            return (page_frame::broken_link_line(), Ended::Invalid);
        };
        let Ok(presser) = posted::presser(body).await else {
            let line = "The request is larger than 4 kilobytes.";
            let response = page_frame::text_line(StatusCode::PAYLOAD_TOO_LARGE, line);
            return (response, Ended::Invalid);
        };
        let Some(request) = request_of(&token, presser) else {
            return (page_frame::broken_link_line(), Ended::Invalid);
        };
        match self.take(&request).await {
            Ok(safe) => {
                counts::key_used(token.key.state);
                let done = Done {
                    request: &request,
                    event_id: safe.event_id,
                    accepted_at: safe.accepted_at,
                    undo_token: self.undo_token(&request, safe.event_id),
                };
                let response = match presser {
                    Presser::Program => asked.done_line(&done),
                    _ => asked.done_page(&done),
                };
                (response, Ended::Accepted)
            }
            Err(problem) => {
                tracing::error!(error = %problem, kind = request.kind(), "cannot take a stop");
                (unavailable(asked, presser), Ended::Unavailable)
            }
        }
    }

    /// Makes a request durable, unless it repeats one that is. Nothing is promised before this returns:
    /// it does once the record would survive a power cut.
    async fn take(&self, request: &Request) -> Result<Taken, AcceptError> {
        let doors = &self.doors;
        let topic = Topic::of(request);
        if let Some(topic) = topic {
            let now = doors.clock.now();
            let repeated = self.recent.repeated(topic, now, &doors.resumptions);
            if let Some(taken) = repeated.await {
                counts::repeated();
                return Ok(taken);
            }
        }
        if let Request::Undo(undo) = request {
            self.recent.undone(undo.unsubscribe);
        }
        doors.resumptions.look();
        let came = Instant::now();
        let event_id = EventId::new(doors.entropy.sixteen());
        let accepted = doors.spool.accept(event_id, request).await?;
        let taken = Taken {
            event_id,
            accepted_at: accepted.accepted_at,
            came,
        };
        if let Some(topic) = topic {
            self.recent.remember(topic, taken);
        }
        Ok(taken)
    }

    fn undo_token(&self, request: &Request, event_id: EventId) -> Option<String> {
        let leave = &self.doors.leave;
        matches!(
            request,
            Request::Unsubscribe(_) | Request::UnsubscribeAll(_)
        )
        .then(|| leave.mint(Purpose::Undo, event_id.as_bytes(), 0))
    }
}

/// What the link asks for. None for purposes that lead elsewhere; the check by route has refused
/// those before.
fn request_of(token: &CheckedToken, presser: Presser) -> Option<Request> {
    let key = token.key;
    match token.purpose {
        Purpose::Unsubscribe => {
            let leave = Unsubscribe {
                subscription_id: SubscriptionId::new(token.subject),
                issue: IssueNumber(token.aux),
                method: presser.method(),
                token: key,
            };
            Some(match presser {
                Presser::AllButton => Request::UnsubscribeAll(leave),
                _ => Request::Unsubscribe(leave),
            })
        }
        Purpose::Undo => Some(Request::Undo(Undo {
            unsubscribe: EventId::new(token.subject),
            token: key,
        })),
        Purpose::NotMe => {
            let not_me = NotMe {
                box_id: BoxId::new(token.subject),
                token: key,
            };
            Some(match presser {
                Presser::NeverButton => Request::NeverEmail(not_me),
                _ => Request::NotMe(not_me),
            })
        }
        Purpose::Confirm
        | Purpose::MyData
        | Purpose::ConfirmNewAddress
        | Purpose::Download
        | Purpose::ReviewRequest => None,
    }
}

/// 503, with the way that still works: a mail to the body.
fn unavailable(asked: &Asked<'_>, presser: Presser) -> Response {
    match presser {
        Presser::Page | Presser::AllButton | Presser::NeverButton => {
            page_frame::unavailable(asked.catalogue, asked.language, RETRY_AFTER_SECONDS)
        }
        Presser::Program => {
            let line = pages::unavailable_line(asked.catalogue, asked.language);
            let mut response = page_frame::text_line(StatusCode::SERVICE_UNAVAILABLE, &line);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
            response
        }
    }
}

//! The door that residents and website forms come through: newsletters and their sign-up forms, the
//! sign-up itself, and the page that confirms it.
//!
//! It holds the public key that seals addresses and the keys of confirm links, nothing that opens an
//! address or reads a person's row. It keeps no session, sets no cookie, and answers the same
//! whatever is known about an address, for it knows nothing (`DESIGN.md` P1, P7).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `visit` | what every page needs of a request: language, catalogue |
//! | `newsletter_pages` | the list, a newsletter's page, its thank-you page, the form for other sites |
//! | `sign_up_form` | the form as it is shown, first or again with what has to be put right |
//! | `sign_up` | `POST /subscriptions`: read, check, seal, spool, answer |
//! | `origin` | the site that the form is on |
//! | `body_reader` | a request's body: at most 16 KiB, wiped afterwards |
//! | `fields`, `form_fields`, `json_fields` | what was sent, from urlencoded and multipart forms and JSON |
//! | `checks` | whether it can be accepted, and for which newsletters and notices |
//! | `fault` | everything that can be wrong with a field |
//! | `api_answers` | JSON answers, problems as RFC 9457 has them |
//! | `confirm` | the page and the button behind a confirmation mail's link |
//! | `leave` | the way out without an old mail: an address in, links by mail |
//! | `privacy_page` | what is kept, for how long, and whom to ask |
//! | `said` | a text of the operator's, marked where it is in the other language |
//! | `words`, `fault_words`, `leave_words` | English and Welsh |
//!
//! A walk: `GET /newsletters/council-news` shows the form with the notice and its hash. The form is
//! posted to `/subscriptions`; `body_reader` and `form_fields` read it, `checks` finds nothing wrong,
//! `sign_up` makes the event id, seals the address under it and waits until the spool has the request
//! on disk. Only then the browser is sent to the thank-you page. The registrar, elsewhere, applies
//! the request and mails a link to `/confirm/…`; its page has a button, whose POST is spooled too.

mod api_answers;
mod body_reader;
mod checks;
mod confirm;
mod fault;
mod fault_words;
mod fields;
mod form_fields;
mod json_fields;
mod leave;
mod leave_words;
mod newsletter_pages;
mod origin;
mod privacy_page;
mod said;
mod sign_up;
mod sign_up_form;
mod visit;
mod words;

use std::sync::Arc;

use address_seal::Sealer;
use axum::Router;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use domain::{Clock, Entropy};
use link_token::{FormStampKey, LinkKeys};
use service_runtime::admin::Check;
use shipper::CatalogueCopy;
use spool::Spool;

/// All that the role holds.
#[derive(Clone)]
pub struct Doors {
    /// Seals addresses to the delivery worker's public key.
    pub sealer: Sealer,
    /// Checks confirm links (class join).
    pub join: LinkKeys,
    /// Makes one event id of all requests with one `Idempotency-Key`.
    pub form_stamp: FormStampKey,
    /// Where accepted requests wait for the registrar.
    pub spool: Spool,
    /// The body, its newsletters and notices.
    pub catalogue: CatalogueCopy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for event ids.
    pub entropy: Arc<dyn Entropy>,
    /// Where the world reaches this role, without a slash at the end: `https://news.example.org`.
    pub base_url: String,
}

/// The role's routes, without a fallback and without [`page_frame::styles`]: the process that serves
/// them adds both once, whatever else it serves.
pub fn router(doors: Doors) -> Router {
    describe_metrics();
    let confirm = get(confirm::show)
        .post(confirm::press)
        .fallback(confirm::only_get_and_post);
    // People add a slash at the end, and so do content management systems.
    let with_or_without_slash = [
        (
            "/newsletters",
            get(newsletter_pages::list).fallback(visit::only_get),
        ),
        (
            "/newsletters/{slug}",
            get(newsletter_pages::one).fallback(visit::only_get),
        ),
        (
            "/privacy",
            get(privacy_page::show).fallback(visit::only_get),
        ),
        (
            "/leave",
            get(leave::show)
                .post(leave::ask)
                .fallback(leave::only_get_and_post),
        ),
        ("/leave/asked", get(leave::asked).fallback(visit::only_get)),
        (
            "/subscriptions",
            post(sign_up::accept).fallback(sign_up::only_post),
        ),
    ];
    let mut router = Router::new();
    for (path, page) in with_or_without_slash {
        router = router
            .route(path, page.clone())
            .route(&format!("{path}/"), page);
    }
    router
        .route("/", get(newsletter_pages::home).fallback(visit::only_get))
        .route(
            "/newsletters/{slug}/form.html",
            get(newsletter_pages::form_for_other_sites).fallback(visit::only_get),
        )
        .route(
            "/newsletters/{slug}/thank-you",
            get(newsletter_pages::thank_you).fallback(visit::only_get),
        )
        .route("/robots.txt", get(visit::robots).fallback(visit::only_get))
        // A link that was cut right behind the route is a broken link too.
        .route("/confirm", confirm.clone())
        .route("/confirm/", confirm.clone())
        .route("/confirm/{*rest}", confirm)
        .layer(middleware::map_response(|response: Response| async {
            page_frame::secured(response)
        }))
        .with_state(Arc::new(doors))
}

/// What the role needs to be ready (`reliability.md` 7.2): a catalogue, from disk or database, and a
/// spool with room in it. PostgreSQL is no part of it.
#[must_use]
pub fn readiness(doors: &Doors) -> Vec<Check> {
    let catalogue = doors.catalogue.clone();
    let spool = doors.spool.clone();
    vec![
        Check::new("catalogue", move || {
            if catalogue.has_any() {
                Ok(())
            } else {
                Err("no catalogue was read yet, from disk or database".to_owned())
            }
        }),
        Check::new("intake_spool", move || {
            if spool.free_bytes() >= ROOM_FOR_ONE_REQUEST {
                Ok(())
            } else {
                Err("the spool of requests is full".to_owned())
            }
        }),
    ]
}

/// Bytes that the largest request takes in the spool, generously.
const ROOM_FOR_ONE_REQUEST: u64 = 8 * 1024;

fn describe_metrics() {
    metrics::describe_counter!(
        "letterbox_sign_ups_total",
        "Sign-ups by outcome: accepted (safe in the spool), invalid, unavailable."
    );
    metrics::describe_counter!(
        "letterbox_leave_questions_total",
        "Questions for a link to unsubscribe by outcome: accepted (safe in the spool), invalid, unavailable."
    );
    metrics::describe_counter!(
        "letterbox_confirms_total",
        "Presses of the confirm button by outcome: accepted, expired, invalid, unavailable."
    );
}

//! `/confirm/{token}?n=slug,slug&l=en`: the page behind a confirmation mail's link, and its button.
//!
//! Reading the page changes nothing, however often a mail scanner does it (ABU-21): only the POST is
//! spooled. `n` and `l` are hints for the words on the page and are not trusted: a name is shown only
//! if the catalogue has it, and the sign-up itself says what is confirmed.

use askama::Template;
use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::response::Response;
use domain::{BoxId, CONFIRMATION_DAYS, Confirm, EventId, Language, Newsletter, Request};
use link_token::{CheckedToken, Purpose, Route, is_expired, receipt};
use page_frame::Frame;

use crate::body_reader;
use crate::said::{Said, said};
use crate::visit::{RETRY_AFTER_SECONDS, Visit};
use crate::words::PageWords;

/// 405 for everything but reading the page and its button.
pub(crate) async fn only_get_and_post(visit: Visit) -> Response {
    let language = visit.language(Language::En);
    page_frame::method_not_allowed(&visit.catalogue, language, "GET, HEAD, POST")
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmMain<'a> {
    words: &'static PageWords,
    names: Vec<Said<'a>>,
    action: String,
}

#[derive(Template)]
#[template(path = "confirm_expired.html")]
struct ExpiredMain<'a> {
    words: &'static PageWords,
    language: Language,
    why: String,
    newsletters: Vec<(&'a str, Said<'a>)>,
}

#[derive(Template)]
#[template(path = "confirmed.html")]
struct ConfirmedMain<'a> {
    words: &'static PageWords,
    names: Vec<Said<'a>>,
    how_often: Option<String>,
    receipt: String,
}

/// The page with the button.
pub(crate) async fn show(visit: Visit, OriginalUri(target): OriginalUri) -> Response {
    let language = visit.language(Language::En);
    let Some(token) = token_of(&visit, target.path()) else {
        return page_frame::broken_link(&visit.catalogue, language);
    };
    if is_expired(token.aux, visit.doors.clock.now()) {
        return expired(&visit, language);
    }
    let newsletters = visit.named_newsletters();
    let slugs: Vec<&str> = newsletters.iter().map(|one| one.slug.as_str()).collect();
    let words = PageWords::in_language(language);
    let main = ConfirmMain {
        words,
        names: names(&newsletters, language),
        // Relative: the path, and with it the token, stays. A slug needs no escaping.
        action: format!("?n={}&l={}", slugs.join(","), language.tag()),
    };
    visit
        .frame(language, words.confirm_title)
        .page(StatusCode::OK, &main)
}

/// The button. Nothing in the body is needed, so none of it is read.
pub(crate) async fn press(visit: Visit, OriginalUri(target): OriginalUri) -> Response {
    let (response, outcome) = confirmed_or_not(&visit, target.path()).await;
    metrics::counter!("letterbox_confirms_total", "outcome" => outcome).increment(1);
    response
}

async fn confirmed_or_not(visit: &Visit, path: &str) -> (Response, &'static str) {
    let language = visit.language(Language::En);
    if body_reader::is_told_too_large(&visit.headers) {
        let response = page_frame::too_large(&visit.catalogue, language);
        return (response, "invalid");
    }
    let Some(token) = token_of(visit, path) else {
        return (page_frame::broken_link_line(), "invalid");
    };
    if is_expired(token.aux, visit.doors.clock.now()) {
        return (expired(visit, language), "expired");
    }
    let event_id = EventId::new(visit.doors.entropy.sixteen());
    let request = Request::Confirm(Confirm {
        box_id: BoxId::new(token.subject),
        token: token.key,
    });
    if let Err(error) = visit.doors.spool.accept(event_id, &request).await {
        tracing::warn!(%error, "a confirmation was refused: the spool did not take it");
        let response = page_frame::unavailable(&visit.catalogue, language, RETRY_AFTER_SECONDS);
        return (response, "unavailable");
    }
    (confirmed(visit, language, event_id), "accepted")
}

/// The genuine token of a confirm link. Links that confirm a new address share the route and come
/// with a later issue.
fn token_of(visit: &Visit, path: &str) -> Option<CheckedToken> {
    let rest = path.strip_prefix(Route::Confirm.path())?;
    visit
        .doors
        .join
        .check(Route::Confirm, rest)
        .filter(|token| token.purpose == Purpose::Confirm)
}

fn confirmed(visit: &Visit, language: Language, event_id: EventId) -> Response {
    let words = PageWords::in_language(language);
    let newsletters = visit.named_newsletters();
    let main = ConfirmedMain {
        words,
        names: names(&newsletters, language),
        how_often: match newsletters[..] {
            [one] => {
                let frequency = one.frequency.in_language(language);
                Some(
                    words
                        .first_issue_how_often
                        .replace("{frequency}", frequency),
                )
            }
            _ => None,
        },
        receipt: receipt::of(event_id),
    };
    Frame {
        language,
        title: words.confirmed_title,
        catalogue: &visit.catalogue,
        other_language: None,
        is_error: false,
    }
    .page(StatusCode::OK, &main)
}

fn expired(visit: &Visit, language: Language) -> Response {
    let words = PageWords::in_language(language);
    let main = ExpiredMain {
        words,
        language,
        why: words
            .expired_why
            .replace("{days}", &CONFIRMATION_DAYS.to_string()),
        newsletters: visit
            .named_newsletters()
            .into_iter()
            .filter(|newsletter| newsletter.open)
            .map(|newsletter| (newsletter.slug.as_str(), said(&newsletter.name, language)))
            .collect(),
    };
    visit
        .frame(language, words.expired_title)
        .page(StatusCode::GONE, &main)
}

fn names<'a>(newsletters: &[&'a Newsletter], language: Language) -> Vec<Said<'a>> {
    newsletters
        .iter()
        .map(|newsletter| said(&newsletter.name, language))
        .collect()
}

//! What the link of a request says: the token, and the display hints beside it.

use axum::http::{HeaderMap, Uri, header};
use domain::{Catalogue, Language, Newsletter};
use link_token::{CheckedToken, LinkKeys, Route};

/// Newsletters that a hint may name; a sign-up form offers fewer.
const MOST_NAMED: usize = 20;

/// The token, checked; nothing for every kind of link that is not ours.
///
/// The request target is taken as it was sent: routing and decoding it again would open a second
/// spelling.
pub(crate) fn checked(keys: &LinkKeys, route: Route, target: &Uri) -> Option<CheckedToken> {
    let target = target.path_and_query()?.as_str();
    keys.check(route, target.strip_prefix(route.path())?)
}

/// The language of the page: the link's, else the browser's.
pub(crate) fn language(target: &Uri, headers: &HeaderMap) -> Language {
    let accepted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok());
    page_frame::language_from(target.query(), accepted, Language::En)
}

/// The newsletters that the hint `n` names and the catalogue knows, in the hint's order. Only for
/// showing: the token decides what happens.
pub(crate) fn newsletters<'a>(target: &Uri, catalogue: &'a Catalogue) -> Vec<&'a Newsletter> {
    let Some(query) = target.query() else {
        return Vec::new();
    };
    let Some((_, hint)) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "n")
    else {
        return Vec::new();
    };
    let mut named: Vec<&Newsletter> = Vec::new();
    for slug in hint.split(',').take(MOST_NAMED) {
        if let Some(newsletter) = catalogue.newsletter(slug)
            && named.iter().all(|other| other.number != newsletter.number)
        {
            named.push(newsletter);
        }
    }
    named
}

//! What every process with public pages adds once around its routes: the style sheet, and the page
//! for addresses that lead nowhere.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, header};
use domain::Language;
use shipper::CatalogueCopy;

/// The routes with the style sheet and the page for everything else.
pub(crate) fn around(routes: Router, catalogue: &CatalogueCopy) -> Router {
    let catalogue = catalogue.clone();
    routes.merge(page_frame::styles()).fallback(
        async move |RawQuery(query): RawQuery, headers: HeaderMap| {
            let accepted = headers
                .get(header::ACCEPT_LANGUAGE)
                .and_then(|value| value.to_str().ok());
            let language = page_frame::language_from(query.as_deref(), accepted, Language::En);
            page_frame::not_found(&catalogue.current(), language)
        },
    )
}

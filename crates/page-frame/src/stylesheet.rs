//! The one style sheet: `/assets/letterbox.css?colour=1f3a5f&v=…`. The policy for scripts and styles
//! forbids styles inside a page, so the body's colour comes in the sheet; it stands in the address, so
//! that answering needs no state and browsers may keep each version for ever.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::Body;

use crate::{Colour, SecurityHeaders};

const SHEET: &str = include_str!("letterbox.css");
const PATH: &str = "/assets/letterbox.css";

/// FNV-1a, 64 bits, of the sheet: tells one version from the next, no more.
const VERSION: u64 = {
    let bytes = SHEET.as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
};

/// Answers `GET /assets/letterbox.css`.
pub fn styles<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route(PATH, get(sheet).fallback(only_get))
}

/// Where a page of this body finds the sheet.
pub(crate) fn address(body: Option<&Body>) -> String {
    let colour = body
        .and_then(|body| Colour::parse(&body.colour))
        .unwrap_or(Colour::STANDARD);
    format!("{PATH}?colour={colour}&v={VERSION:016x}")
}

async fn sheet(RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let value = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let colour = value("colour")
        .and_then(|text| Colour::parse(&text))
        .unwrap_or(Colour::STANDARD);
    // Another version's address, from a page of before or after an update, is answered but not kept.
    let keep = if value("v") == Some(format!("{VERSION:016x}")) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = (
        [
            (header::CONTENT_TYPE, "text/css; charset=utf-8"),
            (header::CACHE_CONTROL, keep),
        ],
        written_for(colour),
    )
        .into_response();
    SecurityHeaders.add_to(response.headers_mut());
    response
}

async fn only_get() -> Response {
    let mut response = crate::text_line(
        StatusCode::METHOD_NOT_ALLOWED,
        "A style sheet is only read.",
    );
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The sheet with the body's colour and its shades in front.
fn written_for(colour: Colour) -> String {
    let band = colour.for_white_text();
    let night = colour.for_text_at_night();
    format!(
        ":root {{ --body: #{band}; --body-darker: #{darker}; --body-at-night: #{night}; }}\n{SHEET}",
        darker = band.darker(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_carries_the_colour_and_loads_nothing() {
        let sheet = written_for(Colour::parse("#00703c").unwrap());
        assert!(sheet.starts_with(":root { --body: #00703c;"), "{sheet}");
        for foreign in ["url(", "@import", "http:", "https:"] {
            assert!(!sheet.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_colour_too_light_for_white_text_is_darkened() {
        let sheet = written_for(Colour::parse("#ffdd00").unwrap());
        assert!(!sheet.contains("--body: #ffdd00"), "{sheet}");
    }
}

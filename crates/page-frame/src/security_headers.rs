//! The headers on every response (`privacy.md` 4.4, ABU-13): nothing is kept, framed, indexed, loaded
//! from elsewhere, or told to the next site.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

/// Which pages and files a browser may load, and where forms may go: here and nowhere else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// The headers that every response carries, pages, lines and JSON alike.
#[derive(Debug, Clone, Copy)]
pub struct SecurityHeaders;

impl SecurityHeaders {
    /// Names and values, in lower case.
    pub const ALL: [(HeaderName, HeaderValue); 8] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (X_ROBOTS_TAG, HeaderValue::from_static("noindex")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        ),
        (
            CROSS_ORIGIN_RESOURCE_POLICY,
            HeaderValue::from_static("same-origin"),
        ),
        (
            CROSS_ORIGIN_OPENER_POLICY,
            HeaderValue::from_static("same-origin"),
        ),
        (
            PERMISSIONS_POLICY,
            HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];

    /// Adds those that are not there yet: a response that needs another value sets it first, as the
    /// style sheet does to be kept by browsers.
    pub fn add_to(self, headers: &mut HeaderMap) {
        for (name, value) in Self::ALL {
            headers.entry(name).or_insert(value);
        }
    }
}

/// The response with the [`SecurityHeaders`]; as a whole router's last layer:
/// `router.layer(axum::middleware::map_response(async |r: Response| secured(r)))`.
#[must_use]
pub fn secured(mut response: Response) -> Response {
    SecurityHeaders.add_to(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[test]
    fn a_header_that_is_set_already_stays() {
        let response = secured(([(header::CACHE_CONTROL, "max-age=60")], "x").into_response());
        assert_eq!(response.headers()[header::CACHE_CONTROL], "max-age=60");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(
            response.headers()[header::CONTENT_SECURITY_POLICY],
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'"
        );
    }
}

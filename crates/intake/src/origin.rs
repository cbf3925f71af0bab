//! The site that a form is on, as the browser tells it in `Origin`: recorded, never enforced.
//!
//! What is recorded stands in the database as it came, and any program can send any text. So only the
//! two shapes that browsers send are taken (RFC 6454, 6.1): `null`, and scheme, host and port; nothing
//! that an email address fits into (`DESIGN.md` P1).

use axum::http::{HeaderMap, header};

/// The longest origin that is taken, in bytes.
const LIMIT: usize = 255;

/// The origin; none where there is none of the right shape.
pub(crate) fn told(headers: &HeaderMap) -> Option<&str> {
    let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
    (origin.len() <= LIMIT && (origin == "null" || is_scheme_and_host(origin))).then_some(origin)
}

fn is_scheme_and_host(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !scheme.is_empty()
        && scheme.bytes().all(in_scheme)
        && !host.is_empty()
        && host.bytes().all(in_host)
}

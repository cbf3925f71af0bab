//! A request's body: at most 16 KiB (ABU-16), refused before it is read where its length is told,
//! and wiped once it was used.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use zeroize::Zeroizing;

/// The largest body: an address, newsletters and notices need 1 KiB.
pub(crate) const BODY_LIMIT: usize = 16 * 1024;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoBody {
    /// More than [`BODY_LIMIT`].
    TooLarge,
    /// The connection broke, or the chunks did.
    Broken,
}

/// The length as it is told; none for a chunked body.
fn told_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Whether the told length is over the limit.
pub(crate) fn is_told_too_large(headers: &HeaderMap) -> bool {
    told_length(headers).is_some_and(|length| length > BODY_LIMIT as u64)
}

/// Reads the body. The bytes are wiped when the last reader lets go of them.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body) -> Result<Bytes, NoBody> {
    // All the room at once: a vector that grows leaves copies behind. No more of it than is told,
    // since all of it is wiped.
    if is_told_too_large(headers) {
        return Err(NoBody::TooLarge);
    }
    let told = told_length(headers).and_then(|length| usize::try_from(length).ok());
    let room = told.unwrap_or(BODY_LIMIT);
    let mut all = Zeroizing::new(Vec::with_capacity(room));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NoBody::Broken)?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if all.len() + chunk.len() > room {
            return Err(NoBody::TooLarge);
        }
        all.extend_from_slice(&chunk);
        // The chunk's own bytes, where nobody else holds them.
        if let Ok(mut chunk) = chunk.try_into_mut() {
            zeroize::Zeroize::zeroize(&mut chunk[..]);
        }
    }
    Ok(Bytes::from_owner(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        let headers = HeaderMap::new();
        let full = vec![b'x'; BODY_LIMIT];
        let read_all = read(&headers, Body::from(full.clone())).await;
        assert_eq!(read_all.as_deref(), Ok(&full[..]));
        let over = read(&headers, Body::from(vec![b'x'; BODY_LIMIT + 1])).await;
        assert_eq!(over, Err(NoBody::TooLarge));
    }

    #[tokio::test]
    async fn there_is_no_more_room_than_is_told() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, 5.into());
        let read_all = read(&headers, Body::from("email")).await;
        assert_eq!(read_all.as_deref(), Ok(&b"email"[..]));
        let over = read(&headers, Body::from("email=")).await;
        assert_eq!(over, Err(NoBody::TooLarge));
    }

    #[tokio::test]
    async fn a_told_length_over_the_limit_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, (BODY_LIMIT + 1).into());
        assert_eq!(read(&headers, Body::empty()).await, Err(NoBody::TooLarge));
    }
}

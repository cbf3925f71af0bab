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

/// Whether the told length is over the limit.
pub(crate) fn is_told_too_large(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|length| length > BODY_LIMIT as u64)
}

/// Reads the body. The bytes are wiped when the last reader lets go of them.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body) -> Result<Bytes, NoBody> {
    if is_told_too_large(headers) {
        return Err(NoBody::TooLarge);
    }
    // All the room at once: a vector that grows leaves copies behind.
    let mut all = Zeroizing::new(Vec::with_capacity(BODY_LIMIT));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NoBody::Broken)?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if all.len() + chunk.len() > BODY_LIMIT {
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
    async fn a_told_length_over_the_limit_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, (BODY_LIMIT + 1).into());
        assert_eq!(read(&headers, Body::empty()).await, Err(NoBody::TooLarge));
    }
}

//! The form-stamp key: makes one event id of every repetition of one request.

use std::fmt;

use domain::EventId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 random bytes that `intake` holds.
#[derive(Clone)]
pub struct FormStampKey(Zeroizing<[u8; 32]>);

impl FormStampKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The id of a request with an `Idempotency-Key`: the first 16 bytes of HMAC-SHA-256(key,
    /// site ‖ 00 ‖ that key). A site has no byte 00, so no two pairs run together.
    #[must_use]
    pub fn idempotent_event_id(&self, site: &str, key: &str) -> EventId {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref())
            .expect("HMAC takes a key of any length");
        mac.update(site.as_bytes());
        mac.update(&[0]);
        mac.update(key.as_bytes());
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        let mut id = [0; 16];
        id.copy_from_slice(&mac[..16]);
        EventId::new(id)
    }
}

impl fmt::Debug for FormStampKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormStampKey(…)")
    }
}

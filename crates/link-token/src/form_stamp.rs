//! The form-stamp key: makes one event id of every repetition of one request.

use std::fmt;

use domain::EventId;
use zeroize::Zeroizing;

use crate::secret_key::SecretKey;

/// 32 random bytes that `intake` holds.
#[derive(Clone)]
pub struct FormStampKey(SecretKey);

impl FormStampKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(SecretKey::from_bytes(bytes))
    }

    /// The id of a request with an `Idempotency-Key`: the first 16 bytes of HMAC-SHA-256(key,
    /// site ‖ 00 ‖ that key). A site has no byte 00, so no two pairs run together.
    #[must_use]
    pub fn idempotent_event_id(&self, site: &str, key: &str) -> EventId {
        let mac = self.0.mac(&[site.as_bytes(), &[0], key.as_bytes()]);
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

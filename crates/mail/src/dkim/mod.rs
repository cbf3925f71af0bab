//! DKIM signatures (RFC 6376, RFC 8463), deterministic: the same message signed again has the same
//! bytes, so a resend cannot be told from a duplicate.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `key` | a private key from PEM, a new one, and the record that publishes it |
//! | `canonical` | what is hashed: "relaxed" headers and body |
//! | `head` | the header fields of a message, and which of them are signed |
//! | `signer` | one `DKIM-Signature` a key, in front of the message |

mod canonical;
mod head;
mod key;
mod signer;

pub use key::{DkimAlgorithm, DkimKey, DkimKeyError};
pub(crate) use signer::ROOM;
pub use signer::{DkimSigner, SignError};

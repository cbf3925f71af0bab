//! Locks an address for the delivery worker: whoever holds this crate and the public key can put an
//! address in and never take one out (`FORMATS.md`, Sealed address).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `layout` | the bytes: header, info, aad, padding; shared with `address-open` |
//! | `sealer` | HPKE over them |
//!
//! A walk: `intake` parses what was typed, makes the request's id and calls [`Sealer::seal`] with it
//! as `box_id`; the plaintext buffer is wiped before the call returns, and from there on only the
//! [`SealedAddress`](domain::SealedAddress) travels.

pub mod layout;
mod sealer;
#[cfg(test)]
mod vectors;

pub use layout::Purpose;
pub use sealer::{SealError, Sealer};

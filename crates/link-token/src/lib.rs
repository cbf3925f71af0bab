//! The links in mails and the addresses that answers come back to: made by the sender, checked by
//! the web roles without a database (`FORMATS.md`, Link tokens, Return path and mailto, Ledger).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `secret_key` | HKDF from the masters, by the name of the key |
//! | `purpose` | what a link may do, on which route, under which class of keys, for how long |
//! | `keys` | masters, the derived generations a role holds; minting and checking a link |
//! | `token` | the 40 bytes and their 54 characters |
//! | `return_path` | `b-` and `u-`, the same for mailbox names |
//! | `receipt` | an event id as a person writes it down |
//! | `form_stamp` | the key behind an `Idempotency-Key` |
//!
//! A walk: the sender calls [`LinkKeys::mint`] for an unsubscribe; a resident clicks; `unsubscribe`
//! gives what followed `/u/` to [`LinkKeys::check`] with [`Route::Leave`], and gets the subscription
//! back or nothing at all. Whether an expiring link is late, [`is_expired`] says afterwards.

mod form_stamp;
mod keys;
#[cfg(test)]
mod properties;
mod purpose;
pub mod receipt;
pub mod return_path;
mod secret_key;
mod token;
#[cfg(test)]
mod vectors;

pub use form_stamp::FormStampKey;
pub use keys::{CheckedToken, ClassKey, LinkKeyError, LinkKeys, LinkMaster};
pub use purpose::{LinkClass, Purpose, Route, expiry_aux, is_expired};

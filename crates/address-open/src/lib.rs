//! Takes addresses out of their boxes, and computes what needs an address in plain sight: only the
//! delivery worker and the binary may link this crate (`FORMATS.md`, Sealed address, Codes of an
//! address, Message-ID).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `key_pair` | the sealing key pair |
//! | `opener` | the strict opener, by key id |
//! | `receiver` | HPKE's receiving side, with what depends on the key alone computed once |
//! | `derived_key` | HKDF from the address masters, by the name of the key |
//! | `derived_keys` | the masters, and all that is derived from them, for the worker's folder |
//! | `address_keys` | address index, suppression and mailbox codes, row MAC, Message-ID |
//!
//! A walk: the registrar opens a sign-up's box with [`Opener::open`], asks [`AddressKeys::codes`]
//! whether the address is known or suppressed, and writes the row with its [`AddressKeys::row_mac`].
//! The sender checks that MAC before it opens the box again, because HPKE does not say who sealed.

mod address_keys;
mod derived_key;
mod derived_keys;
mod key_pair;
mod opener;
#[cfg(test)]
mod properties;
mod receiver;
#[cfg(test)]
mod vectors;

pub use address_keys::{AddressCodes, AddressKeys, RowFields};
pub use derived_keys::{AddressMaster, DerivedKeys, NoAddressMaster};
pub use key_pair::{KeyPair, SecretKey, generate_key_pair};
pub use opener::{OpenError, Opener};

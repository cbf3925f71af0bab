//! The spool: a folder in which a web role keeps each request it answered 2xx, safe from power cuts,
//! until the registrar has applied it.

mod error;
pub mod record;
mod spool;

pub use error::{AcceptError, DecodeError, OpenError, ReadError};
pub use record::{Content, DecodedEnvelope};
pub use spool::{Accepted, Envelope, Spool, SpoolSettings};

/// How much a spool of requests may hold: 1 GiB (`FORMATS.md`, Spool).
pub const REQUEST_LIMIT_BYTES: u64 = 1 << 30;

/// How much is reserved for stops: 64 MiB (`FORMATS.md`, Spool).
pub const STOP_LIMIT_BYTES: u64 = 64 << 20;

/// For how long finished segments of stops stay in the archive: 35 days, at least the life of
/// backups (`FORMATS.md`, Spool).
pub const STOP_ARCHIVE: std::time::Duration = std::time::Duration::from_hours(35 * 24);

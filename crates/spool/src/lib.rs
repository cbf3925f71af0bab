//! The spool: a folder in which a web role keeps each request it answered 2xx, safe from power cuts,
//! until the registrar has applied it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `spool` | the handle: open, accept, read, finish |
//! | `record` | the bytes of a record and an envelope |
//! | `payload` | the bytes of each kind of request |
//! | `cbor` | which CBOR is deterministic |
//! | `scan` | what a segment holds: records, damaged ones, a torn tail |
//! | `recover` | opening: lock, id, what a crash left |
//! | `writer` | the thread that appends, many records to one fdatasync |
//! | `read` | reading records back for the shipper |
//! | `finish` | deleting or archiving what is applied |
//! | `left_behind` | the folder of a machine that is gone, read and never changed |
//! | `shared` | what handle and writer both see |
//! | `disk` | every call that changes the folder |
//! | `error` | what can go wrong |
//!
//! On disk: `lock`, `spool-id`, segments named by their first seq in 20 digits, `archive/` with the
//! finished segments of stops, and `accepted-floor`, which keeps `accepted_at` from going back when the
//! last finished segment is deleted (`FORMATS.md`, Spool).
//!
//! A walk: `Spool::accept` turns a request into a payload and queues it. The writer thread takes all that
//! queued, gives each a seq and a time, writes them behind the last record of the active segment, waits
//! for one fdatasync and answers. The shipper waits by `wait_beyond`, takes envelopes by `read_after`
//! and, once the registrar's mark has passed a segment, ends it by `finish_upto`. After a crash `open`
//! reads the active segment, cuts a record that was never finished, and goes on.

mod cbor;
mod disk;
mod error;
mod finish;
mod left_behind;
pub mod payload;
mod read;
pub mod record;
mod recover;
mod scan;
mod shared;
mod spool;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{AcceptError, DecodeError, OpenError, ReadError};
pub use left_behind::{LeftBehind, Segment};
pub use record::{Content, DecodedEnvelope};
pub use spool::{Accepted, Envelope, Spool, SpoolSettings};

/// How much a spool of requests may hold: 1 GiB (`FORMATS.md`, Spool).
pub const REQUEST_LIMIT_BYTES: u64 = 1 << 30;

/// How much is reserved for stops: 64 MiB (`FORMATS.md`, Spool).
pub const STOP_LIMIT_BYTES: u64 = 64 << 20;

/// For how long finished segments of stops stay in the archive: 35 days, at least the life of
/// backups (`FORMATS.md`, Spool).
pub const STOP_ARCHIVE: std::time::Duration = std::time::Duration::from_hours(35 * 24);

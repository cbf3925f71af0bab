//! The unsubscribe ledger as bytes: entries, the chain over them, checkpoints that sign it, and whether
//! all three agree. No I/O; the layout is that of `FORMATS.md`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `entry`, `cbor` | an entry's bytes: deterministic CBOR, one spelling each |
//! | `chain` | the hash of an entry, and the one that holds all before it |
//! | `checkpoint` | the chain's head, signed |
//! | `export` | the lines of an export and of the file of checkpoints |
//! | `verify`, `book` | a ledger held against its checkpoints, and the first bad place |
//! | `survey` | the same for an export, line by line |
//! | `repeats` | whether an event is recorded twice |
//!
//! A walk: the registrar's append puts each entry at the end of a [`Head`] and writes what comes out beside
//! it. Every minute a worker signs the head with a [`SigningKey`]. Whoever doubts it exports all, and a
//! [`Survey`] goes through the lines: first it collects the checkpoints, then it follows the chain past
//! them.

mod book;
mod cbor;
mod chain;
mod checkpoint;
mod entry;
mod export;
mod repeats;
mod survey;
#[cfg(test)]
mod vectors;
mod verify;

pub use book::CheckpointBook;
pub use chain::{Hash, Head, Link, leaf, next, start};
pub use checkpoint::{BadSeed, Checkpoint, PublicKey, SignedCheckpoint, SigningKey};
pub use entry::{NotAnEntry, decode, encode};
pub use export::{Line, NotALine};
pub use repeats::Repeats;
pub use survey::{Search, Survey, Walk};
pub use verify::{Bad, Fault, Verified, Verifier, first_of};

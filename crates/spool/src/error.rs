//! What can go wrong, by what the caller can do about it.

use std::io;
use std::path::PathBuf;

/// Why a spool could not be opened. Each is for the operator; the role does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error(
        "the spool {} is in use by another process: give each process a data folder of its own",
        folder.display()
    )]
    Locked {
        /// The spool's folder.
        folder: PathBuf,
    },
    /// The folder or a file in it cannot be made, read or written.
    #[error("the spool {} cannot be read and written", folder.display())]
    Io {
        /// The spool's folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `spool-id` is missing beside existing segments, or is not 32 hexadecimal digits. A new id
    /// would send every record a second time, so none is made up.
    #[error("the file spool-id of {} is missing or damaged", folder.display())]
    Id {
        /// The spool's folder.
        folder: PathBuf,
    },
    /// A segment holds a record of a later version of Letterbox.
    #[error("the spool {} was written by a newer version", folder.display())]
    Newer {
        /// The spool's folder.
        folder: PathBuf,
    },
}

/// Why a request was not accepted. Both are a 503 with `Retry-After`. Nothing was promised, in either
/// way: a record whose sync failed can turn out to be whole at the next start, and is applied then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The limit of the spool is reached: what is in it must be applied first.
    #[error("the spool is full")]
    Full,
    /// The disk refused, or did not say that the record is safe.
    #[error("the spool cannot write")]
    Unavailable,
}

/// Why records could not be read back; worth trying again.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused.
    #[error("the spool cannot read its segments")]
    Io(#[from] io::Error),
}

/// Why bytes are not a record of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// `v` is greater than 1: keep it for a newer version, which can read it.
    #[error("a record of a newer version")]
    Newer,
    /// It will never be readable; the text names the check and nothing of the content.
    #[error("an undecodable record: {0}")]
    Undecodable(&'static str),
}

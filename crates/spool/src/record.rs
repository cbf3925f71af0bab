//! The bytes of a record and of an envelope (`FORMATS.md`, Spool and Requests).

use domain::{AcceptedRequest, EventId, Request, SpoolId, Timestamp};

use crate::DecodeError;

/// An envelope, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedEnvelope {
    /// The record's place in its spool, from 1.
    pub seq: u64,
    /// The spool.
    pub spool_id: SpoolId,
    /// What stands there.
    pub content: Content,
}

/// What stands at a place of a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A request that was answered 2xx.
    Accepted(AcceptedRequest),
    /// A record that was damaged on disk: nothing to apply, and its place is taken.
    Tombstone {
        /// `accepted_at` of the record before.
        accepted_at: Timestamp,
    },
}

/// The body of a record: a deterministic CBOR map.
#[must_use]
pub fn encode_body(
    _seq: u64,
    _event_id: EventId,
    _accepted_at: Timestamp,
    _request: &Request,
) -> Vec<u8> {
    Vec::new()
}

/// Reads an envelope: a record's body and the 16 bytes of its spool's id.
///
/// # Errors
/// [`DecodeError::Newer`] is looked at first and means: keep it. [`DecodeError::Undecodable`] means
/// dead letter.
pub fn decode_envelope(_envelope: &[u8]) -> Result<DecodedEnvelope, DecodeError> {
    Err(DecodeError::Undecodable("not written yet"))
}

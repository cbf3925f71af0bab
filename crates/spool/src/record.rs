//! The bytes of a record and of an envelope (`FORMATS.md`, Spool and Requests).
//!
//! Record: length(4) ‖ CRC-32C(4) ‖ body, both numbers big-endian and about the body only. Body: a
//! deterministic CBOR map `v seq kind payload event_id accepted_at`, in this order of keys. Envelope:
//! body ‖ `spool_id`(16).

use domain::{AcceptedRequest, EventId, Request, SpoolId, Timestamp};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::{DecodeError, cbor, payload};

/// Length and checksum before each body.
pub(crate) const HEADER_BYTES: usize = 8;

/// The kind that stands for a damaged record.
const TOMBSTONE: &str = "tombstone";

/// All names under Requests in `FORMATS.md`, and whether they are stops.
const KINDS: [(&str, bool); 17] = [
    ("unsubscribe", true),
    ("undo", true),
    ("not_me", true),
    ("never_email", true),
    ("complaint", true),
    ("bounce", true),
    ("objection", true),
    ("restriction", true),
    ("erasure", true),
    ("sign_up", false),
    ("confirm", false),
    ("change_address", false),
    ("my_data", false),
    ("look_up", false),
    ("review", false),
    ("complaint_to_body", false),
    (TOMBSTONE, false),
];

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
    /// A record that was damaged on disk, or deleted after it was applied: nothing to apply, and its
    /// place is taken.
    Tombstone {
        /// `accepted_at` of the record before; 0 where that is not known.
        accepted_at: Timestamp,
    },
}

/// A body without the meaning of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    pub(crate) seq: u64,
    pub(crate) event_id: EventId,
    pub(crate) accepted_at: Timestamp,
    pub(crate) kind: &'a str,
    pub(crate) payload: &'a [u8],
}

impl Body<'_> {
    /// The tombstone of `seq`.
    pub(crate) fn tombstone(seq: u64, accepted_at: Timestamp) -> Self {
        Self {
            seq,
            event_id: EventId::new([0; 16]),
            accepted_at,
            kind: TOMBSTONE,
            payload: &[0xa0],
        }
    }

    /// Whether its kind is a stop; not known of a tombstone.
    pub(crate) fn is_stop(&self) -> bool {
        KINDS.contains(&(self.kind, true))
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.kind == TOMBSTONE
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        payload::in_memory(|encoder| self.write(encoder))
    }

    fn write(&self, encoder: &mut Encoder<Vec<u8>>) -> payload::Written {
        encoder.map(6)?.str("v")?.u8(1)?;
        encoder.str("seq")?.u64(self.seq)?;
        encoder.str("kind")?.str(self.kind)?.str("payload")?;
        encoder.writer_mut().extend_from_slice(self.payload);
        encoder.str("event_id")?.bytes(self.event_id.as_bytes())?;
        encoder
            .str("accepted_at")?
            .u64(self.accepted_at.as_millis())?;
        Ok(())
    }
}

/// The body of an accepted request's record.
#[must_use]
pub fn encode_body(
    seq: u64,
    event_id: EventId,
    accepted_at: Timestamp,
    request: &Request,
) -> Vec<u8> {
    Body {
        seq,
        event_id,
        accepted_at,
        kind: request.kind(),
        payload: &payload::encode(request),
    }
    .encode()
}

/// The envelope of a body: what travels to the registrar.
#[must_use]
pub fn envelope(body: &[u8], spool_id: SpoolId) -> Vec<u8> {
    [body, spool_id.as_bytes()].concat()
}

/// Reads an envelope: a record's body and the 16 bytes of its spool's id.
///
/// # Errors
/// [`DecodeError::Newer`] is looked at first and means: keep it. [`DecodeError::Undecodable`] means
/// dead letter.
pub fn decode_envelope(envelope: &[u8]) -> Result<DecodedEnvelope, DecodeError> {
    let (body, spool_id) = split_envelope(envelope)?;
    let body = decode_body(body)?;
    let content = if body.kind == TOMBSTONE {
        Content::Tombstone {
            accepted_at: body.accepted_at,
        }
    } else {
        Content::Accepted(AcceptedRequest {
            event_id: body.event_id,
            accepted_at: body.accepted_at,
            request: payload::decode(body.kind, body.payload)?,
        })
    };
    Ok(DecodedEnvelope {
        seq: body.seq,
        spool_id,
        content,
    })
}

pub(crate) fn split_envelope(envelope: &[u8]) -> Result<(&[u8], SpoolId), DecodeError> {
    let (body, id) = envelope
        .split_last_chunk::<16>()
        .ok_or(DecodeError::Undecodable("too short for a spool_id"))?;
    Ok((body, SpoolId::new(*id)))
}

pub(crate) fn decode_body(bytes: &[u8]) -> Result<Body<'_>, DecodeError> {
    match version(bytes) {
        Some(1) => {}
        Some(newer) if newer > 1 => return Err(DecodeError::Newer),
        _ => return Err(DecodeError::Undecodable("no version")),
    }
    if !cbor::is_deterministic(bytes) {
        return Err(DecodeError::Undecodable("not deterministic CBOR"));
    }
    read_body(bytes).ok_or(DecodeError::Undecodable("body"))
}

/// The version, leniently: a later one may have changed everything else.
fn version(bytes: &[u8]) -> Option<u64> {
    let mut decoder = Decoder::new(bytes);
    let entries = decoder.map().ok()?.unwrap_or(u64::MAX);
    for _ in 0..entries {
        if decoder.datatype().ok()? == Type::String {
            if decoder.str().ok()? == "v" {
                return decoder.u64().ok();
            }
        } else {
            decoder.skip().ok()?;
        }
        decoder.skip().ok()?;
    }
    None
}

/// In deterministic CBOR these six keys have one order, so reading them in it also finds missing and
/// unknown ones.
fn read_body(bytes: &[u8]) -> Option<Body<'_>> {
    let mut decoder = Decoder::new(bytes);
    if decoder.map().ok()? != Some(6) {
        return None;
    }
    let mut value_of = |name: &str| -> Option<&[u8]> {
        if decoder.str().ok()? != name {
            return None;
        }
        let start = decoder.position();
        decoder.skip().ok()?;
        bytes.get(start..decoder.position())
    };
    value_of("v")?;
    let seq = Decoder::new(value_of("seq")?).u64().ok()?;
    let kind = Decoder::new(value_of("kind")?).str().ok()?;
    let payload = value_of("payload")?;
    let event_id = Decoder::new(value_of("event_id")?).bytes().ok()?;
    let accepted_at = Decoder::new(value_of("accepted_at")?).u64().ok()?;
    let body = Body {
        seq,
        event_id: EventId::try_from(event_id).ok()?,
        accepted_at: Timestamp::from_millis(accepted_at),
        kind,
        payload,
    };
    let known = KINDS.iter().any(|(name, _)| *name == kind);
    let is_map = payload.first().is_some_and(|byte| byte >> 5 == 5);
    let honest = kind != TOMBSTONE || body == Body::tombstone(seq, body.accepted_at);
    (seq > 0 && known && is_map && honest).then_some(body)
}

/// The record of a body; `None` for a body of 4 GiB or more.
pub(crate) fn frame(body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len()).ok()?;
    let mut record = Vec::with_capacity(HEADER_BYTES + body.len());
    record.extend_from_slice(&length.to_be_bytes());
    record.extend_from_slice(&crc32c::crc32c(body).to_be_bytes());
    record.extend_from_slice(body);
    Some(record)
}

/// The body of the record that these bytes start with, if its length and checksum are right.
pub(crate) fn unframe(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length == 0 {
        return None;
    }
    let body = rest.get(..length)?;
    (crc32c::crc32c(body) == u32::from_be_bytes(*checksum)).then_some(body)
}

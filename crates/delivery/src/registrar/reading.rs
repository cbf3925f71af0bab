//! Reads requests and opens the boxes of sign-ups. It computes and takes its time: it runs before the
//! transaction and away from the async threads.

use address_open::OpenError;
use address_seal::Purpose;
use domain::{AcceptedRequest, BoxId, EventId, Request, SpoolId, Timestamp};
use spool::DecodeError;
use spool::record::{Content, decode_envelope};
use store::{Codes, InboxRow};

use crate::Keys;

/// A request, ready to be applied.
#[derive(Debug, Clone)]
pub(super) struct Readable {
    /// The spool that accepted it.
    pub(super) spool_id: SpoolId,
    /// Its id.
    pub(super) event_id: EventId,
    /// When it was accepted.
    pub(super) accepted_at: Timestamp,
    /// What was asked.
    pub(super) request: Request,
    /// Of a sign-up: its address's codes.
    pub(super) codes: Option<Codes>,
}

/// What a waiting request turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// To be applied.
    Readable(Box<Readable>),
    /// A damaged place of a spool: nothing to apply.
    Tombstone,
    /// For a newer version to read.
    Later,
    /// Not readable, ever.
    Dead(&'static str),
}

/// A waiting request, read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) row: InboxRow,
    pub(super) found: Found,
}

/// Reads one request.
pub(super) fn read(row: InboxRow, keys: &Keys) -> Reading {
    Reading {
        found: found(&row, keys),
        row,
    }
}

fn found(row: &InboxRow, keys: &Keys) -> Found {
    let envelope = match decode_envelope(&row.envelope) {
        Ok(envelope) => envelope,
        Err(DecodeError::Newer) => return Found::Later,
        Err(DecodeError::Undecodable(reason)) => return Found::Dead(reason),
    };
    if (envelope.spool_id, envelope.seq) != (row.spool_id, row.seq) {
        return Found::Dead("it stands at another place than its envelope says");
    }
    match envelope.content {
        Content::Tombstone { .. } => Found::Tombstone,
        Content::Accepted(accepted) => event(envelope.spool_id, accepted, keys),
    }
}

fn event(spool_id: SpoolId, accepted: AcceptedRequest, keys: &Keys) -> Found {
    let codes = match &accepted.request {
        Request::SignUp(sign_up) => {
            let box_id = BoxId::from(accepted.event_id);
            // The address lives for these few lines, and is wiped at their end.
            match keys
                .opener
                .open(&sign_up.sealed, Purpose::Subscriber, box_id)
            {
                Ok(address) => {
                    let codes = keys.address.codes(&address);
                    Some(Codes {
                        index: codes.index,
                        suppression: codes.suppression,
                        mailbox: codes.mailbox,
                        generation: codes.generation,
                    })
                }
                Err(OpenError::Version(_)) => return Found::Later,
                Err(OpenError::UnknownKey(_)) => {
                    return Found::Dead("its box is sealed to a key that is not here");
                }
                Err(OpenError::NotAnAddress(_)) => {
                    return Found::Dead("what is in its box is no address");
                }
                Err(OpenError::NotGenuine | OpenError::Plaintext) => {
                    return Found::Dead("its box does not open");
                }
            }
        }
        _ => None,
    };
    Found::Readable(Box::new(Readable {
        spool_id,
        event_id: accepted.event_id,
        accepted_at: accepted.accepted_at,
        request: accepted.request,
        codes,
    }))
}

//! Reads requests and opens the boxes that bring an address. It computes and takes its time: it runs before the
//! transaction and away from the async threads, on as many of them as there are processors.

use std::sync::Arc;

use address_open::OpenError;
use address_seal::Purpose;
use domain::{AcceptedRequest, BoxId, EventId, Request, SpoolId, Timestamp};
use spool::DecodeError;
use spool::record::{Content, decode_envelope};
use store::{Codes, Lane, Place};

use super::arrival::{Arrival, Said, is_seq};
use crate::Keys;

/// No request of ours is nearly as large; of what is, the beginning is kept to look at.
const LARGEST: usize = 64 * 1024;
/// Fewer than these are not worth a thread more.
const SHARE: usize = 32;
/// One batch keeps at most this many threads busy: the transaction wants a processor too.
const THREADS: usize = 4;

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
    /// Of a sign-up or an erasure: its address's codes.
    pub(super) codes: Option<Codes>,
}

/// What a request turned out to be.
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

/// A request, read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Under which it is applied once.
    pub(super) place: Place,
    /// Whether it keeps the barrier closed if it cannot be applied.
    pub(super) stop: bool,
    /// The bytes as they came, the first of them if they are too many.
    pub(super) envelope: Vec<u8>,
    pub(super) found: Found,
}

/// Reads all of them, in their order.
pub(super) async fn read_all(mut arrivals: Vec<Arrival>, keys: &Arc<Keys>) -> Vec<Reading> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = arrivals.len().div_ceil(threads.min(THREADS)).max(SHARE);
    let mut tasks = Vec::new();
    while !arrivals.is_empty() {
        let rest = arrivals.split_off(share.min(arrivals.len()));
        let part = std::mem::replace(&mut arrivals, rest);
        let keys = Arc::clone(keys);
        tasks.push(tokio::task::spawn_blocking(move || {
            part.into_iter()
                .map(|arrival| read(arrival, &keys))
                .collect::<Vec<_>>()
        }));
    }
    let mut readings = Vec::new();
    for task in tasks {
        match task.await {
            Ok(part) => readings.extend(part),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    readings
}

/// Reads one request.
pub(super) fn read(arrival: Arrival, keys: &Keys) -> Reading {
    let (place, found) = found(&arrival, keys);
    let is_stop = matches!(&found, Found::Readable(event) if event.request.is_stop());
    let mut envelope = arrival.bytes;
    envelope.truncate(LARGEST);
    Reading {
        place,
        stop: is_stop || arrival.lane == Lane::Stops,
        envelope,
        found,
    }
}

fn found(arrival: &Arrival, keys: &Keys) -> (Place, Found) {
    if arrival.bytes.len() > LARGEST {
        return (
            arrival.place(),
            Found::Dead("it is larger than any request"),
        );
    }
    let envelope = match decode_envelope(&arrival.bytes) {
        Ok(envelope) => envelope,
        Err(DecodeError::Newer) => return (arrival.place(), Found::Later),
        Err(DecodeError::Undecodable(reason)) => return (arrival.place(), Found::Dead(reason)),
    };
    let place = Place {
        spool_id: envelope.spool_id,
        seq: envelope.seq,
    };
    match arrival.said {
        Said::Row(row) if row != place => {
            let reason = "it stands at another place than its envelope says";
            return (row, Found::Dead(reason));
        }
        _ if !is_seq(place.seq) => return (arrival.place(), Found::Dead("its seq is none")),
        _ => {}
    }
    let found = match envelope.content {
        Content::Tombstone { .. } => Found::Tombstone,
        Content::Accepted(accepted) => event(envelope.spool_id, accepted, keys),
    };
    (place, found)
}

fn event(spool_id: SpoolId, accepted: AcceptedRequest, keys: &Keys) -> Found {
    let boxed = match &accepted.request {
        Request::SignUp(sign_up) => Some((&sign_up.sealed, Purpose::Subscriber)),
        Request::LookUp(look_up) => Some((&look_up.sealed, Purpose::LookUp)),
        Request::Erasure(erasure) => Some((&erasure.sealed, Purpose::LookUp)),
        _ => None,
    };
    let codes = match boxed {
        Some((sealed, purpose)) => {
            let box_id = BoxId::from(accepted.event_id);
            // The address lives for these few lines, and is wiped at their end.
            match keys.opener.open(sealed, purpose, box_id) {
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
        None => None,
    };
    Found::Readable(Box::new(Readable {
        spool_id,
        event_id: accepted.event_id,
        accepted_at: accepted.accepted_at,
        request: accepted.request,
        codes,
    }))
}

//! Reading records back, for the shipper.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use domain::Timestamp;
use tracing::error;

use crate::record::{self, Body};
use crate::scan::Slot;
use crate::shared::{Place, Shared, Span};
use crate::{Envelope, ReadError};

impl Shared {
    /// At most `max` envelopes after `seq`, in order, without gaps.
    pub(crate) fn read_after(&self, seq: u64, max: usize) -> Result<Vec<Envelope>, ReadError> {
        let mut envelopes = Vec::new();
        let last = self.last_seq();
        let mut next = seq.saturating_add(1);
        while envelopes.len() < max && next <= last {
            let room = max - envelopes.len();
            let span = self.span_of(next, room)?;
            let until = span.until.min(next.saturating_add(room as u64));
            self.read_span(&span, next..until, &mut envelopes)?;
            next = until;
        }
        Ok(envelopes)
    }

    fn read_span(
        &self,
        span: &Span,
        seqs: std::ops::Range<u64>,
        envelopes: &mut Vec<Envelope>,
    ) -> Result<(), ReadError> {
        let slots: Vec<Slot> = seqs.clone().map(|seq| span.slot(seq)).collect();
        let bytes = self.bytes_of(span, &slots)?;
        let from = slots
            .iter()
            .find_map(|slot| slot.place)
            .map_or(0, |(offset, _)| offset);
        for (seq, slot) in seqs.zip(slots) {
            let body = slot.place.and_then(|(offset, length)| {
                let start = usize::try_from(offset - from).ok()?;
                let end = start.checked_add(usize::try_from(length).ok()?)?;
                let body = record::unframe(bytes.get(start..end)?)?;
                Some((record::decode_body(body).ok()?, body))
            });
            if body.is_none() && slot.place.is_some() {
                error!(spool.seq = seq, "an accepted record was damaged on disk");
            }
            envelopes.push(if let Some((decoded, body)) = body {
                self.envelope(&decoded, body)
            } else {
                let tombstone = Body::tombstone(seq, slot.accepted_at);
                self.envelope(&tombstone, &tombstone.encode())
            });
        }
        Ok(())
    }

    fn envelope(&self, decoded: &Body<'_>, body: &[u8]) -> Envelope {
        // What a tombstone was is not known: in a spool of stops it was one.
        let stop =
            decoded.is_stop() || (decoded.is_tombstone() && self.settings.keep_archive.is_some());
        Envelope {
            seq: decoded.seq,
            event_id: decoded.event_id,
            accepted_at: decoded.accepted_at,
            stop,
            bytes: record::envelope(body, self.id),
        }
    }

    /// The bytes from the first of these records to the last.
    fn bytes_of(&self, span: &Span, slots: &[Slot]) -> Result<Vec<u8>, ReadError> {
        let mut places = slots.iter().filter_map(|slot| slot.place);
        let Some((from, length)) = places.next() else {
            return Ok(Vec::new());
        };
        let (last, last_length) = places.next_back().unwrap_or((from, length));
        let size = usize::try_from(u64::from(last - from) + u64::from(last_length))
            .map_err(std::io::Error::other)?;
        let archived = span
            .segment
            .is_some_and(|segment| segment.place != Place::Spool);
        let mut bytes = vec![0; size];
        File::open(self.disk.segment(span.first, archived))?
            .read_exact_at(&mut bytes, u64::from(from))?;
        Ok(bytes)
    }

    /// When the first record after this seq was accepted.
    pub(crate) fn oldest_accepted_after(&self, applied_upto: u64) -> Option<Timestamp> {
        if applied_upto >= self.last_seq() {
            return None;
        }
        let seq = applied_upto + 1;
        // Unreadable: nobody can say how old it is, so it counts as very old.
        let span = self.span_of(seq, 1);
        Some(span.map_or(Timestamp::from_millis(0), |span| span.slot(seq).accepted_at))
    }
}

impl Span {
    fn slot(&self, seq: u64) -> Slot {
        let index = seq.checked_sub(self.slots_first).map(usize::try_from);
        let slot = match index {
            Some(Ok(index)) => self.slots.get(index),
            _ => None,
        };
        slot.copied().unwrap_or_else(|| Slot {
            accepted_at: self
                .slots
                .last()
                .map_or(Timestamp::from_millis(0), |slot| slot.accepted_at),
            place: None,
        })
    }
}

//! What the handle and the writer both see: which segments there are and what is durable.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Clock, SpoolId, Timestamp};
use tokio::sync::watch;

use crate::SpoolSettings;
use crate::disk::Disk;
use crate::scan::{self, Slot, Unread};

pub(crate) struct Shared {
    pub(crate) id: SpoolId,
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: SpoolSettings,
    state: Mutex<State>,
    /// The last durable seq.
    pub(crate) durable: watch::Sender<u64>,
    /// The closed segment that was read last: the shipper reads one after the other.
    read_last: Mutex<Option<(u64, Arc<Vec<Slot>>)>>,
}

/// The segments by first seq. The last one is active: the writer appends to it.
pub(crate) struct State {
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// The slots of the active segment.
    pub(crate) active: Vec<Slot>,
    /// Bytes of records in the active segment.
    pub(crate) active_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// Bytes of the file; of the active segment, what it may grow to.
    pub(crate) bytes: u64,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Spool,
    /// In `archive/` since then.
    Archive(Timestamp),
}

/// The seqs `first..until` of one segment, or of a gap where nothing is left.
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) until: u64,
    /// Slots from `slots_first` on; a seq behind the last one is a tombstone.
    pub(crate) slots_first: u64,
    pub(crate) slots: Arc<Vec<Slot>>,
    pub(crate) segment: Option<Segment>,
}

impl State {
    /// First seq of the active segment.
    pub(crate) fn active_first(&self) -> u64 {
        self.segments.keys().next_back().copied().unwrap_or(1)
    }

    /// First seq of the oldest segment that is not finished.
    pub(crate) fn first_waiting(&self) -> u64 {
        let mut segments = self.segments.iter();
        segments
            .find(|(_, segment)| segment.place == Place::Spool)
            .map_or_else(|| self.active_first(), |(first, _)| *first)
    }

    /// Bytes that count against the limit: closed segments whole, the active one as far as written.
    pub(crate) fn used_bytes(&self) -> u64 {
        let active = self.active_first();
        let closed: u64 = self
            .segments
            .iter()
            .filter(|(first, segment)| **first != active && segment.place == Place::Spool)
            .map(|(_, segment)| segment.bytes)
            .sum();
        closed + self.active_bytes
    }

    /// Where the segment after this one starts.
    fn next_first(&self, first: u64) -> Option<u64> {
        self.segments
            .range(first + 1..)
            .next()
            .map(|(next, _)| *next)
    }
}

impl Shared {
    pub(crate) fn new(
        id: SpoolId,
        disk: Disk,
        clock: Arc<dyn Clock>,
        settings: SpoolSettings,
        state: State,
    ) -> Self {
        let last = state.active_first() - 1 + state.active.len() as u64;
        Self {
            id,
            disk,
            clock,
            settings,
            state: Mutex::new(state),
            durable: watch::Sender::new(last),
            read_last: Mutex::new(None),
        }
    }

    /// The state. It is only changed by whole steps, so a panic elsewhere does not make it wrong.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn last_seq(&self) -> u64 {
        *self.durable.borrow()
    }

    /// The segment or gap in which `seq` lies, and at most `max` slots of it.
    pub(crate) fn span_of(&self, seq: u64, max: usize) -> io::Result<Span> {
        let last = self.last_seq();
        let (first, segment, until) = {
            let state = self.state();
            let Some((&first, &segment)) = state.segments.range(..=seq).next_back() else {
                let until = state
                    .segments
                    .keys()
                    .next()
                    .map_or(last + 1, |first| *first);
                return Ok(Span {
                    first: 1,
                    until,
                    slots_first: 1,
                    slots: Arc::default(),
                    segment: None,
                });
            };
            if first == state.active_first() {
                let skip = usize::try_from(seq - first).unwrap_or(usize::MAX);
                let slots = state.active.iter().skip(skip).take(max).copied().collect();
                return Ok(Span {
                    first,
                    until: last + 1,
                    slots_first: seq,
                    slots: Arc::new(slots),
                    segment: Some(segment),
                });
            }
            (first, segment, state.next_first(first).unwrap_or(last + 1))
        };
        Ok(Span {
            first,
            until,
            slots_first: first,
            slots: self.slots_of(first, until, segment)?,
            segment: Some(segment),
        })
    }

    /// The slots of a closed segment. What it holds from `until` on was never answered 2xx: the
    /// segment that starts there replaced it after a failed write.
    fn slots_of(&self, first: u64, until: u64, segment: Segment) -> io::Result<Arc<Vec<Slot>>> {
        let mut read_last = self
            .read_last
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((cached, slots)) = &*read_last
            && *cached == first
        {
            return Ok(Arc::clone(slots));
        }
        let path = self.disk.segment(first, segment.place != Place::Spool);
        let mut slots = scan::scan_file(&path, first, Timestamp::from_millis(0))?.slots;
        slots.truncate(usize::try_from(until - first).unwrap_or(usize::MAX));
        if slots.first().is_some_and(|slot| slot.place.is_none()) {
            let before = self.accepted_before(first)?;
            for slot in slots.iter_mut().take_while(|slot| slot.place.is_none()) {
                slot.accepted_at = before;
            }
        }
        let slots = Arc::new(slots);
        *read_last = Some((first, Arc::clone(&slots)));
        Ok(slots)
    }

    /// `accepted_at` of the last record before this segment; 0 where there is none any more.
    fn accepted_before(&self, first: u64) -> io::Result<Timestamp> {
        let before: Vec<(u64, Segment)> = {
            let state = self.state();
            let before = state.segments.range(..first).rev();
            before.map(|(first, segment)| (*first, *segment)).collect()
        };
        for (first, segment) in before {
            let path = self.disk.segment(first, segment.place != Place::Spool);
            if let Some(accepted_at) = last_accepted(&path, first)? {
                return Ok(accepted_at);
            }
        }
        Ok(Timestamp::from_millis(0))
    }

    /// Forgets the cached segment if it is this one.
    pub(crate) fn forget(&self, first: u64) {
        let mut read_last = self
            .read_last
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if read_last
            .as_ref()
            .is_some_and(|(cached, _)| *cached == first)
        {
            *read_last = None;
        }
    }
}

/// `accepted_at` of the last record of a segment; none of a segment of a newer version.
pub(crate) fn last_accepted(path: &Path, first: u64) -> io::Result<Option<Timestamp>> {
    let scan = match scan::scan_file(path, first, Timestamp::from_millis(0)) {
        Ok(scan) => scan,
        Err(Unread::Newer) => return Ok(None),
        Err(Unread::Io(error)) => return Err(error),
    };
    let mut records = scan.slots.iter().rev().filter(|slot| slot.place.is_some());
    Ok(records.next().map(|slot| slot.accepted_at))
}

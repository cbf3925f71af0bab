//! What a segment holds: finds each record, tells a damaged record from a torn tail
//! (`FORMATS.md`, Spool).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use domain::Timestamp;

use crate::DecodeError;
use crate::record::{self, HEADER_BYTES};

/// How much of a segment is read at once. An allocator that once gave back megabytes keeps as many for
/// every thread from then on.
pub(crate) const PIECE: usize = 64 * 1024;

/// The place of one seq in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) accepted_at: Timestamp,
    /// Offset and length of the record, header included; `None` for a tombstone.
    pub(crate) place: Option<(u32, u32)>,
}

impl Slot {
    /// The slot of a record that stands so many bytes further on.
    fn moved_by(self, bytes: usize) -> Option<Self> {
        let (offset, size) = self.place?;
        let offset = u32::try_from(bytes).ok()?.checked_add(offset)?;
        Some(Self {
            place: Some((offset, size)),
            ..self
        })
    }
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With zeros or at the end of the file.
    Clean,
    /// With bytes that are no record: cut them.
    Torn,
}

/// What a segment holds: `slots[i]` is the seq `first + i`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) slots: Vec<Slot>,
    /// Where the next record goes.
    pub(crate) end: usize,
    pub(crate) ending: Ending,
}

/// A record of a later version stands in the segment: only that version may touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewerRecord;

struct Found {
    seq: u64,
    slot: Slot,
    end: usize,
}

/// Why a segment could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    Io(io::Error),
    Newer,
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<NewerRecord> for Unread {
    fn from(NewerRecord: NewerRecord) -> Self {
        Self::Newer
    }
}

impl From<Unread> for io::Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Io(error) => error,
            Unread::Newer => Self::other("a segment of a newer version"),
        }
    }
}

/// [`scan`] of a file, in pieces as long as nothing is wrong with it.
pub(crate) fn scan_file(path: &Path, first: u64, before: Timestamp) -> Result<Scan, Unread> {
    if let Some(scan) = scan_sound(&mut File::open(path)?, first)? {
        return Ok(scan);
    }
    Ok(scan(&fs::read(path)?, first, before)?)
}

/// What a segment holds that is nothing but records and then zeros; none for any other, which needs a
/// look at all of it.
pub(crate) fn scan_sound(file: &mut impl Read, first: u64) -> io::Result<Option<Scan>> {
    let mut slots: Vec<Slot> = Vec::new();
    // What stands in the file from `end` on.
    let mut unread = Vec::with_capacity(PIECE);
    let mut end = 0;
    let mut only_zeros = false;
    loop {
        let room = (PIECE - unread.len()) as u64;
        if file.by_ref().take(room).read_to_end(&mut unread)? == 0 {
            // The end of the file, or something larger than a piece.
            break;
        }
        let mut at = 0;
        while !only_zeros
            && let Ok(Some(found)) = intact(&unread, at)
            && found.seq == first + slots.len() as u64
            && let Some(slot) = found.slot.moved_by(end)
        {
            slots.push(slot);
            at = found.end;
        }
        end += at;
        unread.drain(..at);
        // A few zeros may be the first bytes of a length.
        if unread.len() >= HEADER_BYTES && is_zero(&unread) {
            only_zeros = true;
            unread.clear();
        } else if only_zeros {
            break;
        }
    }
    Ok(is_zero(&unread).then_some(Scan {
        slots,
        end,
        ending: Ending::Clean,
    }))
}

/// Reads a segment whose first record is `first`. `before` is the `accepted_at` of the record before
/// it, for tombstones at its start.
pub(crate) fn scan(bytes: &[u8], first: u64, before: Timestamp) -> Result<Scan, NewerRecord> {
    // A preallocated segment is mostly zeros: nothing starts in them.
    let used = bytes.len() - trailing_zeros(bytes);
    let mut slots: Vec<Slot> = Vec::new();
    let mut at = 0;
    let mut expected = first;
    let ending = loop {
        if at >= used {
            break Ending::Clean;
        }
        let found = match intact(bytes, at)?.filter(|found| found.seq == expected) {
            Some(found) => found,
            None => match later(bytes, at..used, expected)? {
                Some(found) => found,
                None => break Ending::Torn,
            },
        };
        let accepted_at = slots.last().map_or(before, |slot| slot.accepted_at);
        let tombstone = Slot {
            accepted_at,
            place: None,
        };
        slots.extend((expected..found.seq).map(|_| tombstone));
        slots.push(found.slot);
        at = found.end;
        expected = found.seq + 1;
    };
    Ok(Scan {
        slots,
        end: at,
        ending,
    })
}

/// The first intact record of a later seq, at any byte of the range.
fn later(
    bytes: &[u8],
    range: std::ops::Range<usize>,
    expected: u64,
) -> Result<Option<Found>, NewerRecord> {
    // No more records than this fit before it: a larger jump was not written by a spool.
    let most = bytes.len() as u64 / HEADER_BYTES as u64;
    for at in range {
        if let Some(found) = intact(bytes, at)?
            && found.seq > expected
            && found.seq - expected <= most
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn intact(bytes: &[u8], at: usize) -> Result<Option<Found>, NewerRecord> {
    let Some(body) = bytes.get(at..).and_then(record::unframe) else {
        return Ok(None);
    };
    let length = HEADER_BYTES + body.len();
    let (Ok(offset), Ok(size)) = (u32::try_from(at), u32::try_from(length)) else {
        return Ok(None);
    };
    match record::decode_body(body) {
        Ok(body) if body.seq < u64::MAX => Ok(Some(Found {
            seq: body.seq,
            slot: Slot {
                accepted_at: body.accepted_at,
                place: Some((offset, size)),
            },
            end: at + length,
        })),
        Err(DecodeError::Newer) => Err(NewerRecord),
        _ => Ok(None),
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    trailing_zeros(bytes) == bytes.len()
}

fn trailing_zeros(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    // Whole pages by comparison of memory, the last one byte by byte.
    let mut zeros = 0;
    for page in bytes.rchunks(ZEROS.len()) {
        if page == &ZEROS[..page.len()] {
            zeros += page.len();
        } else {
            zeros += page.iter().rev().take_while(|byte| **byte == 0).count();
            break;
        }
    }
    zeros
}

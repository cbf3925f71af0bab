//! The spool of a machine that is gone: its folder, or a copy of it, read and never changed.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use domain::{SpoolId, Timestamp};

use crate::disk::{Disk, SEGMENT_BYTES};
use crate::record::{self, Body};
use crate::recover::{ID, LOCK, parse_id};
use crate::scan::{self, Ending, Slot};
use crate::{Envelope, OpenError};

/// A spool's folder that no role has open, with its archive.
#[derive(Debug)]
pub struct LeftBehind {
    id: SpoolId,
    disk: Disk,
    /// By their first seq; whether each is in the archive.
    segments: BTreeMap<u64, bool>,
    // Held, so that no role takes the folder meanwhile; none where the copy has no such file.
    _lock: Option<File>,
}

/// What a segment holds.
#[derive(Debug)]
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// Its records in order, without gaps; one that is damaged is a tombstone.
    pub envelopes: Vec<Envelope>,
    /// Records that are damaged: what they asked for is lost.
    pub damaged: Vec<Range<u64>>,
    /// Whether it ends with a record that was never finished: nobody was answered for that one.
    pub torn: bool,
}

impl LeftBehind {
    /// Opens a folder that holds a `spool-id`.
    ///
    /// # Errors
    /// [`OpenError::Locked`] where a role has it: that one ships by itself. [`OpenError::Id`] where it is
    /// no spool's folder.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let named = || folder.to_owned();
        let failed = |source| OpenError::Io {
            folder: folder.to_owned(),
            source,
        };
        let lock = match File::open(folder.join(LOCK)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        match lock.as_ref().map(File::try_lock) {
            None | Some(Ok(())) => {}
            Some(Err(TryLockError::WouldBlock)) => {
                return Err(OpenError::Locked { folder: named() });
            }
            Some(Err(TryLockError::Error(error))) => return Err(failed(error)),
        }
        let id = match fs::read_to_string(folder.join(ID)) {
            Ok(text) => parse_id(text.trim_end()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let id = id.ok_or_else(|| OpenError::Id { folder: named() })?;
        let disk = Disk::new(named(), SEGMENT_BYTES);
        let mut segments = BTreeMap::new();
        // One that was being archived when the copy was made is in both places: they are the same.
        for first in firsts(&disk.archive()).map_err(failed)? {
            segments.insert(first, true);
        }
        for first in firsts(folder).map_err(failed)? {
            segments.insert(first, false);
        }
        Ok(Self {
            id,
            disk,
            segments,
            _lock: lock,
        })
    }

    /// The spool's id.
    #[must_use]
    pub const fn spool_id(&self) -> SpoolId {
        self.id
    }

    /// Whether it is one of stops: only those keep an archive.
    #[must_use]
    pub fn holds_stops(&self) -> bool {
        self.disk.archive().is_dir()
    }

    /// Its segments, each by the first seq in it.
    pub fn segments(&self) -> impl Iterator<Item = u64> {
        self.segments.keys().copied()
    }

    /// Reads the segment that begins with this seq.
    ///
    /// # Errors
    /// [`OpenError::Newer`] where a newer version wrote it; [`OpenError::Io`] where it cannot be read.
    pub fn read(&self, first: u64) -> Result<Segment, OpenError> {
        let folder = || self.disk.folder().to_owned();
        let archived = self.segments.get(&first).copied().unwrap_or_default();
        let path = self.disk.segment(first, archived);
        let bytes = fs::read(&path).map_err(|source| OpenError::Io {
            folder: folder(),
            source,
        })?;
        let scan = scan::scan(&bytes, first, Timestamp::from_millis(0))
            .map_err(|scan::NewerRecord| OpenError::Newer { folder: folder() })?;
        let mut segment = Segment {
            path,
            envelopes: Vec::with_capacity(scan.slots.len()),
            damaged: Vec::new(),
            torn: scan.ending == Ending::Torn,
        };
        for (seq, slot) in (first..).zip(&scan.slots) {
            let envelope = self.envelope(seq, slot, &bytes);
            if slot.place.is_none() {
                match segment.damaged.last_mut() {
                    Some(range) if range.end == seq => range.end += 1,
                    _ => segment.damaged.push(seq..seq + 1),
                }
            }
            segment.envelopes.push(envelope);
        }
        Ok(segment)
    }

    fn envelope(&self, seq: u64, slot: &Slot, bytes: &[u8]) -> Envelope {
        let body = slot.place.and_then(|(offset, length)| {
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            record::unframe(bytes.get(start..end)?)
        });
        let tombstone = Body::tombstone(seq, slot.accepted_at);
        let encoded;
        let read = body.map(|body| (body, record::decode_body(body)));
        let (body, decoded) = if let Some((body, Ok(decoded))) = read {
            (body, decoded)
        } else {
            encoded = tombstone.encode();
            (encoded.as_slice(), tombstone)
        };
        Envelope {
            seq,
            event_id: decoded.event_id,
            accepted_at: decoded.accepted_at,
            stop: decoded.is_stop() || (decoded.is_tombstone() && self.holds_stops()),
            bytes: record::envelope(body, self.id),
        }
    }
}

/// As [`Disk::segments_in`], but nothing is removed; a folder that is not there holds none.
fn firsts(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut firsts = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if let Some(name) = name.to_str()
            && name.len() == 20
            && name.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(first @ 1..) = name.parse()
        {
            firsts.push(first);
        }
    }
    Ok(firsts)
}

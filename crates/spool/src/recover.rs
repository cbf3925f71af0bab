//! Opening a folder: the lock, the id, and what a crash left behind.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use domain::{Entropy, SpoolId, Timestamp};
use tracing::warn;

use crate::disk::Disk;
use crate::scan::{self, Ending, Slot, Unread};
use crate::shared::{Place, Segment, State, last_accepted};
use crate::{OpenError, SpoolSettings};

/// The file that no two processes hold.
pub(crate) const LOCK: &str = "lock";
/// 32 hexadecimal digits.
pub(crate) const ID: &str = "spool-id";
/// The latest `accepted_at` of the segments that are gone, in milliseconds.
pub(crate) const FLOOR: &str = "accepted-floor";

/// A folder that is ours and in order.
pub(crate) struct Recovered {
    pub(crate) id: SpoolId,
    pub(crate) disk: Disk,
    pub(crate) lock: File,
    pub(crate) state: State,
    pub(crate) file: File,
    pub(crate) last_accepted_at: Timestamp,
}

enum Trouble {
    Locked,
    Id,
    Newer,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unread> for Trouble {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Io(error) => Self::Io(error),
            Unread::Newer => Self::Newer,
        }
    }
}

pub(crate) fn recover(
    settings: &SpoolSettings,
    disk: Disk,
    entropy: &dyn Entropy,
) -> Result<Recovered, OpenError> {
    let folder = settings.folder.clone();
    try_recover(settings, disk, entropy).map_err(|trouble| match trouble {
        Trouble::Locked => OpenError::Locked { folder },
        Trouble::Id => OpenError::Id { folder },
        Trouble::Newer => OpenError::Newer { folder },
        Trouble::Io(source) => OpenError::Io { folder, source },
    })
}

fn try_recover(
    settings: &SpoolSettings,
    disk: Disk,
    entropy: &dyn Entropy,
) -> Result<Recovered, Trouble> {
    Disk::make_folder(disk.folder())?;
    if settings.keep_archive.is_some() {
        Disk::make_folder(&disk.archive())?;
    }
    let lock = take_lock(&disk.folder().join(LOCK))?;
    let archived = match Disk::segments_in(&disk.archive()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        segments => segments?,
    };
    let waiting = Disk::segments_in(disk.folder())?;
    let is_new = archived.is_empty() && waiting.is_empty();
    let id = read_or_make_id(&disk, is_new, entropy)?;

    let mut segments = BTreeMap::new();
    for first in archived {
        let metadata = fs::metadata(disk.segment(first, true))?;
        let since = Timestamp::from_date_time(metadata.modified()?.into());
        let place = Place::Archive(since);
        segments.insert(
            first,
            Segment {
                bytes: metadata.len(),
                place,
            },
        );
    }
    for first in waiting {
        let bytes = fs::metadata(disk.segment(first, false))?.len();
        segments.insert(
            first,
            Segment {
                bytes,
                place: Place::Spool,
            },
        );
    }
    let mut last_accepted_at = read_floor(&disk)?;
    if let Some(accepted_at) = last_closed(&disk, &segments)? {
        last_accepted_at = last_accepted_at.max(accepted_at);
    }
    let first = ensure_active(&disk, &mut segments)?;
    let (file, scan) = repair(&disk, first, last_accepted_at)?;
    if let Some(slot) = scan.slots.last() {
        last_accepted_at = last_accepted_at.max(slot.accepted_at);
    }
    Ok(Recovered {
        id,
        lock,
        state: State {
            segments,
            active: scan.slots,
            active_bytes: scan.end as u64,
        },
        file,
        last_accepted_at,
        disk,
    })
}

fn take_lock(path: &Path) -> Result<File, Trouble> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Trouble::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn read_or_make_id(disk: &Disk, is_new: bool, entropy: &dyn Entropy) -> Result<SpoolId, Trouble> {
    match fs::read_to_string(disk.folder().join(ID)) {
        Ok(text) => parse_id(text.trim_end()).ok_or(Trouble::Id),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_new => {
            let id = SpoolId::new(entropy.sixteen());
            disk.replace_file(ID, &format!("{id}\n"))?;
            Ok(id)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Trouble::Id),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Trouble::Id),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn parse_id(text: &str) -> Option<SpoolId> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 32 || !text.bytes().all(lower_hex) {
        return None;
    }
    u128::from_str_radix(text, 16)
        .ok()
        .map(|number| SpoolId::new(number.to_be_bytes()))
}

/// A floor that cannot be read is not worth a refusal: `accepted_at` also never falls below the
/// records that are still there.
fn read_floor(disk: &Disk) -> io::Result<Timestamp> {
    match fs::read_to_string(disk.folder().join(FLOOR)) {
        Ok(text) => Ok(Timestamp::from_millis(text.trim_end().parse().unwrap_or(0))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Timestamp::from_millis(0)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Timestamp::from_millis(0)),
        Err(error) => Err(error),
    }
}

/// `accepted_at` of the last record before the active segment.
fn last_closed(disk: &Disk, segments: &BTreeMap<u64, Segment>) -> io::Result<Option<Timestamp>> {
    for (first, segment) in segments.iter().rev().skip(1) {
        let path = disk.segment(*first, segment.place != Place::Spool);
        if let Some(accepted_at) = last_accepted(&path, *first)? {
            return Ok(Some(accepted_at));
        }
    }
    Ok(None)
}

/// First seq of the segment to append to. Only an archive in which the spool's own folder was emptied
/// by hand has none; the seqs in it are never given again.
fn ensure_active(disk: &Disk, segments: &mut BTreeMap<u64, Segment>) -> Result<u64, Trouble> {
    let first = match segments.iter().next_back() {
        Some((first, segment)) if segment.place == Place::Spool => return Ok(*first),
        Some((first, _)) => {
            let path = disk.segment(*first, true);
            let scan = scan::scan_file(&path, *first, Timestamp::from_millis(0))?;
            first + scan.slots.len() as u64
        }
        None => 1,
    };
    disk.create_segment(first)?;
    let place = Place::Spool;
    segments.insert(
        first,
        Segment {
            bytes: disk.segment_bytes,
            place,
        },
    );
    Ok(first)
}

/// Reads the active segment, cuts a torn tail, and writes back what it read: after a sync that failed
/// in the last run, memory may show records that the disk never got.
fn repair(disk: &Disk, first: u64, before: Timestamp) -> Result<(File, scan::Scan), Trouble> {
    let scan = scan::scan_file(&disk.segment(first, false), first, before)?;
    let lost = scan.slots.iter().filter(|slot| is_tombstone(slot)).count();
    if lost > 0 {
        warn!(
            spool.records = lost,
            "damaged records in the spool; their places are kept"
        );
    }
    if scan.ending == Ending::Torn {
        warn!(
            spool.seq = first + scan.slots.len() as u64,
            "an unfinished record was cut off"
        );
    }
    let file = disk.open_segment(first)?;
    disk.allocate(&file)?;
    write_back(disk, &file, scan.end as u64)?;
    file.sync_all()?;
    Ok((file, scan))
}

/// Writes the file again as it reads, up to this end, and zeros from there.
fn write_back(disk: &Disk, file: &File, end: u64) -> io::Result<()> {
    let mut piece = vec![0; scan::PIECE];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut piece, at)?;
        if read == 0 {
            return Ok(());
        }
        let kept = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        if let Some(cut) = piece[..read].get_mut(kept..) {
            cut.fill(0);
        }
        disk.write_at(file, &piece[..read], at)?;
        at += read as u64;
    }
}

const fn is_tombstone(slot: &Slot) -> bool {
    slot.place.is_none()
}

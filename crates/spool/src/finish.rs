//! The end of a segment: when all its records are applied it is deleted, or archived where it holds
//! stops (`FORMATS.md`, Spool).

use std::fs::{self, File, FileTimes};
use std::io;
use std::time::{Duration, SystemTime};

use domain::Timestamp;

use crate::disk::sync_folder;
use crate::recover::FLOOR;
use crate::shared::{Place, Shared};

/// A segment that is not full is closed when all it holds is applied and its first record is this old:
/// otherwise the sealed addresses of a quiet newsletter would stay in it for years.
const CLOSE_AFTER: Duration = Duration::from_hours(24);

impl Shared {
    /// Ends the closed segments up to this seq and prunes the archive.
    pub(crate) fn finish_upto(&self, applied_upto: u64) -> io::Result<()> {
        let finished = self.finished(applied_upto);
        if !finished.is_empty() {
            // First the floor: with the last segment of an idle spool goes the only record that says
            // how far accepted_at had come.
            self.keep_floor(&finished)?;
        }
        let now = self.clock.now();
        for first in &finished {
            let path = self.disk.segment(*first, false);
            if self.settings.keep_archive.is_some() {
                // The time of archiving travels with the file, by our clock.
                let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis());
                File::options()
                    .write(true)
                    .open(&path)?
                    .set_times(FileTimes::new().set_modified(modified))?;
                fs::rename(&path, self.disk.segment(*first, true))?;
                self.state()
                    .segments
                    .entry(*first)
                    .and_modify(|segment| segment.place = Place::Archive(now));
            } else {
                fs::remove_file(&path)?;
                self.state().segments.remove(first);
                self.forget(*first);
            }
        }
        if !finished.is_empty() {
            if self.settings.keep_archive.is_some() {
                sync_folder(&self.disk.archive())?;
            }
            sync_folder(self.disk.folder())?;
        }
        self.prune(now)
    }

    /// Whether the active segment should be closed although it is not full.
    pub(crate) fn is_stale(&self, applied_upto: u64) -> bool {
        let now = self.clock.now();
        let last = self.last_seq();
        let state = self.state();
        last <= applied_upto
            && state
                .active
                .first()
                .is_some_and(|slot| now.since(slot.accepted_at) >= CLOSE_AFTER)
    }

    /// The closed segments that hold no seq beyond this one.
    fn finished(&self, applied_upto: u64) -> Vec<u64> {
        let state = self.state();
        let firsts = state.segments.iter();
        let nexts = state.segments.keys().skip(1);
        firsts
            .zip(nexts)
            .filter(|((_, segment), next)| {
                segment.place == Place::Spool && **next - 1 <= applied_upto
            })
            .map(|((first, _), _)| *first)
            .collect()
    }

    fn keep_floor(&self, finished: &[u64]) -> io::Result<()> {
        let mut floor = Timestamp::from_millis(0);
        for first in finished {
            let slots = self.span_of(*first, usize::MAX)?.slots;
            if let Some(slot) = slots.last() {
                floor = floor.max(slot.accepted_at);
            }
        }
        if floor > Timestamp::from_millis(0) {
            let text = format!("{}\n", floor.as_millis());
            self.disk.replace_file(FLOOR, &text)?;
        }
        Ok(())
    }

    fn prune(&self, now: Timestamp) -> io::Result<()> {
        let Some(keep) = self.settings.keep_archive else {
            return Ok(());
        };
        let old: Vec<u64> = {
            let state = self.state();
            let is_old =
                |place: Place| matches!(place, Place::Archive(since) if now.since(since) >= keep);
            let segments = state.segments.iter();
            segments
                .filter(|(_, segment)| is_old(segment.place))
                .map(|(first, _)| *first)
                .collect()
        };
        for first in &old {
            fs::remove_file(self.disk.segment(*first, true))?;
            self.state().segments.remove(first);
            self.forget(*first);
        }
        if !old.is_empty() {
            sync_folder(&self.disk.archive())?;
        }
        Ok(())
    }
}

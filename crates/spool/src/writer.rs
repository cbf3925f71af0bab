//! The one thread that appends: one write and one fdatasync for all that queued while the last ran
//! (`FORMATS.md`, Spool), so the cost of the disk is shared by whoever waits.
//!
//! After a failed write or sync nobody knows what the disk holds behind the last durable record (a
//! second fdatasync would succeed without having written anything). So the writer never goes on in
//! that file: it refuses until a new segment, which starts right after the last durable record, is
//! itself durable; readers ignore what the old file holds from there on.

use std::fs::File;
use std::sync::Arc;

use domain::{EventId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::record::{self, Body};
use crate::scan::Slot;
use crate::shared::{Place, Segment, Shared};
use crate::{AcceptError, Accepted};

/// How many callers may queue; more wait in `accept`.
pub(crate) const QUEUE: usize = 4096;

pub(crate) type Answer = oneshot::Sender<Result<Accepted, AcceptError>>;

/// What the thread is asked to do.
pub(crate) enum Job {
    Accept {
        event_id: EventId,
        kind: &'static str,
        payload: Vec<u8>,
        answer: Answer,
    },
    /// To close the active segment if it holds no record later than this.
    CloseIfUpto(u64, std::sync::mpsc::SyncSender<()>),
    /// To go on behind this seq.
    SkipBeyond(u64, oneshot::Sender<Result<(), AcceptError>>),
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) file: File,
    pub(crate) next_seq: u64,
    pub(crate) last_accepted_at: Timestamp,
    /// Held until the thread ends; a second process waits for that.
    pub(crate) _lock: File,
    /// Whether the next record may go into the active segment; false after a failure, see the module.
    pub(crate) sound: bool,
}

/// Records that are written and synced together.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    answers: Vec<(Answer, Accepted)>,
    /// Bytes of the spool and of the active segment before this group; looked up once, since that
    /// means a walk over all segments. Whatever is finished meanwhile only makes room.
    before: Option<(u64, u64)>,
}

impl Writer {
    /// Works until the last handle is gone.
    pub(crate) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            // On a busy machine whoever is about to ask goes first: a disk that is faster than they are
            // would else sync a few records at a time. On an idle one this does nothing.
            std::thread::yield_now();
            let mut batch = vec![first];
            while batch.len() < QUEUE
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            self.serve(batch);
        }
    }

    fn serve(&mut self, batch: Vec<Job>) {
        let mut group = Group::default();
        // Once a batch was refused, the rest of it is too: each try costs a call to a sick disk.
        let mut refusal = None;
        for job in batch {
            match job {
                Job::Accept {
                    event_id,
                    kind,
                    payload,
                    answer,
                } => {
                    let tried = match refusal {
                        Some(refusal) => Err(refusal),
                        None => self.queue(&mut group, event_id, kind, &payload),
                    };
                    match tried {
                        Ok((slot, accepted)) => {
                            group.slots.push(slot);
                            group.answers.push((answer, accepted));
                        }
                        Err(reason) => {
                            refusal = Some(reason);
                            // The caller may have gone away.
                            let _ = answer.send(Err(reason));
                        }
                    }
                }
                Job::CloseIfUpto(seq, done) => {
                    self.commit(&mut group);
                    let holds_any = self.next_seq > self.shared.state().active_first();
                    if self.sound && holds_any && self.next_seq <= seq.saturating_add(1) {
                        // A failure is logged; the segment just stays active.
                        let _ = self.start_segment();
                    }
                    let _ = done.send(());
                }
                Job::SkipBeyond(seq, done) => {
                    self.commit(&mut group);
                    let _ = done.send(self.skip_beyond(seq));
                }
            }
        }
        self.commit(&mut group);
    }

    /// Adds a record's bytes to the group. Its slot and answer follow when this succeeds.
    fn queue(
        &mut self,
        group: &mut Group,
        event_id: EventId,
        kind: &'static str,
        payload: &[u8],
    ) -> Result<(Slot, Accepted), AcceptError> {
        if !self.sound {
            self.start_segment()?;
        }
        // A clock that went back does not take the spool with it.
        let accepted_at = self.shared.clock.now().max(self.last_accepted_at);
        let body = Body {
            seq: self.next_seq,
            event_id,
            accepted_at,
            kind,
            payload,
        };
        let mut framed = record::frame(&body.encode()).ok_or(AcceptError::Unavailable)?;
        let length = framed.len() as u64;
        let (used, mut offset) = *group.before.get_or_insert_with(|| {
            let state = self.shared.state();
            (state.used_bytes(), state.active_bytes)
        });
        if used + group.bytes.len() as u64 + length > self.shared.settings.limit_bytes {
            return Err(AcceptError::Full);
        }
        if length > self.shared.disk.segment_bytes {
            error!(
                record.bytes = length,
                "a record larger than a segment was refused"
            );
            return Err(AcceptError::Unavailable);
        }
        if offset + group.bytes.len() as u64 + length > self.shared.disk.segment_bytes {
            self.commit(group);
            self.start_segment()?;
            offset = 0;
            // The commit may have failed and taken its seqs back.
            let body = Body {
                seq: self.next_seq,
                ..body
            };
            framed = record::frame(&body.encode()).ok_or(AcceptError::Unavailable)?;
        }
        let place = offset + group.bytes.len() as u64;
        let (Ok(place), Ok(size)) = (u32::try_from(place), u32::try_from(framed.len())) else {
            return Err(AcceptError::Unavailable);
        };
        let seq = self.next_seq;
        self.next_seq += 1;
        self.last_accepted_at = accepted_at;
        group.bytes.extend_from_slice(&framed);
        let slot = Slot {
            accepted_at,
            place: Some((place, size)),
        };
        Ok((slot, Accepted { seq, accepted_at }))
    }

    /// Makes the group durable and answers it.
    fn commit(&mut self, group: &mut Group) {
        let group = std::mem::take(group);
        if group.slots.is_empty() {
            return;
        }
        let offset = self.shared.state().active_bytes;
        let disk = &self.shared.disk;
        let written = disk
            .write_at(&self.file, &group.bytes, offset)
            .and_then(|()| disk.sync(&self.file));
        if let Err(failure) = written {
            error!(
                error = %failure,
                "the spool could not be written; it refuses requests until a new segment is durable"
            );
            self.sound = false;
            self.next_seq -= group.slots.len() as u64;
            for (answer, _) in group.answers {
                let _ = answer.send(Err(AcceptError::Unavailable));
            }
            return;
        }
        {
            let mut state = self.shared.state();
            state.active.extend(&group.slots);
            state.active_bytes += group.bytes.len() as u64;
        }
        self.shared.durable.send_replace(self.next_seq - 1);
        for (answer, accepted) in group.answers {
            let _ = answer.send(Ok(accepted));
        }
    }

    /// Goes on in a new segment that starts with the next seq.
    fn start_segment(&mut self) -> Result<(), AcceptError> {
        let file = match self.shared.disk.create_segment(self.next_seq) {
            Ok(file) => file,
            Err(failure) => {
                error!(error = %failure, "the spool could not make a new segment");
                // It may be there all the same: then readers look for the next seq in it and nowhere
                // else.
                self.sound = false;
                return Err(AcceptError::Unavailable);
            }
        };
        let bytes = self.shared.disk.segment_bytes;
        let mut state = self.shared.state();
        let segment = Segment {
            bytes,
            place: Place::Spool,
        };
        state.segments.insert(self.next_seq, segment);
        state.active.clear();
        state.active_bytes = 0;
        drop(state);
        self.file = file;
        if !self.sound {
            info!("the spool writes again");
        }
        self.sound = true;
        Ok(())
    }

    fn skip_beyond(&mut self, seq: u64) -> Result<(), AcceptError> {
        if self.next_seq <= seq {
            self.next_seq = seq.saturating_add(1);
            self.sound = false;
        }
        if !self.sound {
            self.start_segment()?;
        }
        self.shared.durable.send_replace(self.next_seq - 1);
        Ok(())
    }
}

//! An export, line by line: a survey for its checkpoints, then a walk along the chain, then a search for
//! repeated events as often as its length takes. Each goes through the same lines from the first.

use domain::BodyId;

use crate::book::CheckpointBook;
use crate::checkpoint::{PublicKey, SignedCheckpoint};
use crate::entry;
use crate::export::Line;
use crate::repeats::Repeats;
use crate::verify::{Bad, Fault, Verified, Verifier, first_of};

/// The first time through: whose ledger it is, its checkpoints, its length.
#[derive(Debug)]
pub struct Survey {
    keys: Vec<PublicKey>,
    book: Option<(BodyId, CheckpointBook)>,
    lines: u64,
    entries: u64,
}

impl Survey {
    /// Takes checkpoints by these keys only; by any, where there is none.
    #[must_use]
    pub const fn new(keys: Vec<PublicKey>) -> Self {
        Self {
            keys,
            book: None,
            lines: 0,
            entries: 0,
        }
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// [`Bad`] where the first one does not say whose ledger it is: nothing can be checked then.
    pub fn line(&mut self, text: &str) -> Result<(), Bad> {
        self.lines += 1;
        let read = Line::read(text);
        let Some((_, book)) = &mut self.book else {
            let Ok(Line::Body(body_id)) = read else {
                return Err(Bad {
                    seq: 1,
                    line: 1,
                    fault: Fault::NoBody,
                });
            };
            let keys = std::mem::take(&mut self.keys);
            self.book = Some((body_id, CheckpointBook::new(body_id, keys)));
            return Ok(());
        };
        match read {
            Ok(Line::Checkpoint(signed)) => book.add(self.lines, &signed),
            Ok(Line::Entry { .. }) => self.entries += 1,
            // The walk says what is wrong with it, and where.
            Err(_) | Ok(Line::Body(_) | Line::Other) => {}
        }
        Ok(())
    }

    /// Entries so far.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Whose ledger it is; none before the first line.
    #[must_use]
    pub fn body_id(&self) -> Option<BodyId> {
        self.book.as_ref().map(|(body_id, _)| *body_id)
    }

    /// A checkpoint from elsewhere, as the append-only file has it.
    pub fn add(&mut self, signed: &SignedCheckpoint) {
        if let Some((_, book)) = &mut self.book {
            book.add(0, signed);
        }
    }

    /// The second time through.
    ///
    /// # Errors
    /// [`Bad`] where there was no line at all.
    pub fn walk(self) -> Result<Walk, Bad> {
        let (body_id, book) = self.book.ok_or(Bad {
            seq: 1,
            line: 1,
            fault: Fault::NoBody,
        })?;
        Ok(Walk {
            lines: 0,
            verifier: Verifier::new(body_id, book),
            search: Search::new(0, Repeats::parts(self.entries)),
            bad: None,
        })
    }
}

/// The second time through: along the chain.
#[derive(Debug)]
pub struct Walk {
    lines: u64,
    verifier: Verifier,
    search: Search,
    bad: Option<Bad>,
}

impl Walk {
    /// The next line, without its end. False where nothing after it can be believed.
    pub fn line(&mut self, text: &str) -> bool {
        self.lines += 1;
        if self.bad.is_some() {
            return false;
        }
        let next = self.verifier.seq() + 1;
        self.bad = match Line::read(text) {
            Ok(Line::Entry { entry, leaf, h }) => {
                match self.verifier.bytes(self.lines, &entry, &leaf, &h) {
                    Ok(read) => self.search.event(next, self.lines, read.event_id),
                    Err(bad) => Some(bad),
                }
            }
            Ok(_) => None,
            Err(unreadable) => Some(Bad {
                seq: unreadable.seq.unwrap_or(next).min(next),
                line: self.lines,
                fault: Fault::Unreadable,
            }),
        };
        self.bad.is_none()
    }

    /// The entries that were right.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.verifier.seq()
    }

    /// How many more searches there are to make, from part 1 on, and of how many.
    #[must_use]
    pub const fn searches(&self) -> (std::ops::Range<u64>, u64) {
        let parts = self.search.repeats_parts;
        (1..parts, parts)
    }

    /// The end, with what the searches found.
    ///
    /// # Errors
    /// [`Bad`]: the first bad place.
    pub fn end(self, repeated: Option<Bad>) -> Result<Verified, Bad> {
        match self.verifier.end(self.bad) {
            Ok(verified) => repeated.map_or(Ok(verified), Err),
            Err(bad) => Err(first_of(Some(bad), repeated).unwrap_or(bad)),
        }
    }
}

/// One more time through, for one part of the events.
#[derive(Debug)]
pub struct Search {
    lines: u64,
    repeats_parts: u64,
    repeats: Repeats,
}

impl Search {
    /// Searches this part of so many.
    #[must_use]
    pub fn new(part: u64, parts: u64) -> Self {
        Self {
            lines: 0,
            repeats_parts: parts,
            repeats: Repeats::new(part, parts),
        }
    }

    /// The next line, without its end; what is wrong with it otherwise is the walk's business.
    pub fn line(&mut self, text: &str) -> Option<Bad> {
        self.lines += 1;
        let Ok(Line::Entry { entry, .. }) = Line::read(text) else {
            return None;
        };
        let (seq, entry) = entry::decode(&entry).ok()?;
        self.event(seq, self.lines, entry.event_id)
    }

    fn event(&mut self, seq: u64, line: u64, event_id: domain::EventId) -> Option<Bad> {
        self.repeats.is_repeated(event_id).then_some(Bad {
            seq,
            line,
            fault: Fault::RecordedTwice,
        })
    }
}

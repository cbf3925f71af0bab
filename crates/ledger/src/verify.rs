//! Whether a ledger is what its checkpoints say it was: a state machine that is fed one entry after the
//! other and remembers none of them.

use domain::{BodyId, LedgerEntry, Restored, Timestamp};

use crate::book::{CheckpointBook, Noted};
use crate::chain::{self, Hash, Head};
use crate::entry;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line of an export that cannot be read.
    #[error("the line cannot be read")]
    Unreadable,
    /// The first line does not say whose ledger it is.
    #[error("the first line does not say whose ledger it is")]
    NoBody,
    /// The bytes are no entry.
    #[error("its bytes are no entry, or have been changed")]
    NotAnEntry,
    /// Another seq stands in its place: something is missing, twice there, or in another order.
    #[error(
        "it is not there: another entry stands in its place, so one is missing, moved or put in"
    )]
    OutOfOrder,
    /// The leaf is not the hash of the entry.
    #[error("its hash is not that of its bytes: one of the two has been changed")]
    WrongLeaf,
    /// The chain's hash does not follow from the one before.
    #[error("the chain breaks at it: it has been changed, or the entry before it")]
    BrokenChain,
    /// An entry of before has the same `event_id`.
    #[error("its event is recorded by an entry of before")]
    RecordedTwice,
    /// A checkpoint's signature is not that of its key.
    #[error("the checkpoint's signature is false")]
    FalseSignature,
    /// A checkpoint by a key that is not one of the body's.
    #[error("the checkpoint is signed by a key that is not the body's")]
    ForeignKey,
    /// A checkpoint that says something else than the chain.
    #[error("the chain is not the one that the checkpoint was signed for: it has been made anew")]
    OffTheChain,
    /// It stands past the end that the ledger says it has.
    #[error("it stands past the ledger's end: something else than the registrar put it there")]
    BeyondTheEnd,
    /// A checkpoint that covers more than there is.
    #[error("it is gone: a checkpoint covers it")]
    CutOff,
}

/// The first bad place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// The seq at which the ledger is not to be believed any more.
    pub seq: u64,
    /// The line of an export that shows it, from 1; 0 where there are no lines.
    pub line: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What a ledger that is right has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Entries.
    pub entries: u64,
    /// Checkpoints, those of before a restore counted.
    pub checkpoints: u64,
    /// The last entry that a checkpoint on the chain covers.
    pub proven_upto: u64,
    /// Checkpoints of a part that a restore gave up, and says so.
    pub abandoned: u64,
}

/// The lower seq; of the same seq, the line that comes first.
#[must_use]
pub fn first_of(one: Option<Bad>, other: Option<Bad>) -> Option<Bad> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let earlier = (other.seq, other.line) < (one.seq, one.line);
            Some(if earlier { other } else { one })
        }
        (one, other) => one.or(other),
    }
}

/// An entry that says that the ledger was restored.
#[derive(Debug)]
struct Restore {
    seq: u64,
    recorded_at: Timestamp,
    to: Restored,
    /// A checkpoint on the chain stands at it.
    confirmed: bool,
}

/// Goes along a chain, entry by entry, and holds it against checkpoints.
#[derive(Debug)]
pub struct Verifier {
    head: Head,
    book: CheckpointBook,
    /// The first checkpoint of the book that was not passed yet.
    next: usize,
    off_chain: Vec<Noted>,
    restores: Vec<Restore>,
    verified: Verified,
}

impl Verifier {
    /// Before the first entry of this body's ledger; `book` holds every checkpoint that there is.
    #[must_use]
    pub fn new(body_id: BodyId, mut book: CheckpointBook) -> Self {
        book.sort();
        let mut verifier = Self {
            head: Head::start(body_id),
            next: 0,
            off_chain: Vec::new(),
            restores: Vec::new(),
            verified: Verified {
                checkpoints: book.len(),
                ..Verified::default()
            },
            book,
        };
        verifier.pass_checkpoints();
        verifier
    }

    /// The seq of the last entry that was right.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.head.seq
    }

    /// The next entry, as an export has it.
    ///
    /// # Errors
    /// [`Bad`]: nothing after it can be believed, and nothing more may be fed. [`Self::end`] then says
    /// whether a checkpoint shows an earlier place.
    pub fn bytes(
        &mut self,
        line: u64,
        bytes: &[u8],
        leaf: &Hash,
        h: &Hash,
    ) -> Result<LedgerEntry, Bad> {
        let expected = self.head.seq + 1;
        let bad = |fault| Bad {
            seq: expected,
            line,
            fault,
        };
        let (seq, entry) = entry::decode(bytes).map_err(|_| bad(Fault::NotAnEntry))?;
        if seq != expected {
            return Err(bad(Fault::OutOfOrder));
        }
        if chain::leaf(bytes) != *leaf {
            return Err(bad(Fault::WrongLeaf));
        }
        if chain::next(&self.head.h, leaf) != *h {
            return Err(bad(Fault::BrokenChain));
        }
        self.head = Head { seq, h: *h };
        self.verified.entries += 1;
        if let Some(to) = entry.restored {
            self.restores.push(Restore {
                seq,
                recorded_at: entry.recorded_at,
                to,
                confirmed: false,
            });
        }
        self.pass_checkpoints();
        Ok(entry)
    }

    /// The end of the ledger, or the place at which it went bad.
    ///
    /// # Errors
    /// [`Bad`]: the first bad place of all that was found.
    pub fn end(mut self, bad: Option<Bad>) -> Result<Verified, Bad> {
        let mut found = first_of(bad, self.book.bad());
        for noted in std::mem::take(&mut self.off_chain) {
            if self.is_given_up(&noted) {
                self.verified.abandoned += 1;
            } else {
                let bad = Bad {
                    seq: noted.seq,
                    line: noted.line,
                    fault: Fault::OffTheChain,
                };
                found = first_of(found, Some(bad));
            }
        }
        // Where the chain went bad, it says nothing about what would have come.
        if bad.is_none() {
            for noted in self.book.from(self.next) {
                if self.is_given_up(noted) {
                    self.verified.abandoned += 1;
                } else {
                    let bad = Bad {
                        seq: self.head.seq + 1,
                        line: noted.line,
                        fault: Fault::CutOff,
                    };
                    found = first_of(found, Some(bad));
                }
            }
        }
        found.map_or(Ok(self.verified), Err)
    }

    /// Holds those checkpoints against the chain that stand at its head.
    fn pass_checkpoints(&mut self) {
        while let Some(noted) = self.book.at(self.next).filter(|it| it.seq <= self.head.seq) {
            self.next += 1;
            if noted.h != self.head.h {
                self.off_chain.push(noted);
                continue;
            }
            self.verified.proven_upto = noted.seq;
            if let Some(restore) = self.restores.last_mut()
                && restore.seq == noted.seq
            {
                restore.confirmed = true;
            }
        }
    }

    /// Whether a restore says that this checkpoint is of a part that is gone (`FORMATS.md`, Ledger).
    fn is_given_up(&self, noted: &Noted) -> bool {
        self.restores.iter().any(|restore| {
            let (upto, h) = (restore.to.checkpoint_seq, restore.to.checkpoint_h);
            restore.confirmed
                && (restore.seq..=upto).contains(&noted.seq)
                && noted.time <= restore.recorded_at
                && (noted.seq != upto || noted.h == h)
        })
    }
}

//! A spool's folder that is older than the database: a machine was set back to a snapshot, or its disk
//! lost what it had promised to keep. The registrar knows more of the spool than the spool itself.
//!
//! Seqs up to the registrar's mark are taken for applied, whoever got them. So the next one must be
//! larger, and a request that got one of them since the start is accepted once more, under a seq of its
//! own: the registrar knows a request by its `event_id` and applies it once. That is kept in memory only;
//! a process that dies between the two, a moment after the database came back, loses them.

use std::ops::Range;
use std::sync::PoisonError;

use spool::{AcceptError, Content, ReadError};
use tracing::{error, warn};

use crate::Shipper;

/// How many records are read at once.
const BATCH: usize = 500;

#[derive(Debug, thiserror::Error)]
enum AgainError {
    #[error(transparent)]
    Accept(#[from] AcceptError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Shipper {
    /// Looks at the mark that the database gave when it came to know the spool, and brings the spool
    /// behind it.
    pub(crate) async fn go_on_behind(&self, applied: u64) -> Result<(), AcceptError> {
        // What this process sent is applied by right, whether or not it was told.
        let ours = self.found.max(self.marks.borrow().tried);
        if applied <= ours {
            return Ok(());
        }
        error!(
            spool.role = self.role,
            spool.found = self.found,
            spool.applied = applied,
            "the spool's folder is older than the database; the spool goes on behind the mark"
        );
        self.spool.skip_beyond(applied).await?;
        self.displace(Some(self.found + 1..applied + 1));
        Ok(())
    }

    /// Accepts once more what got places that were taken. Gives the seq up to which segments may be
    /// finished: those behind it hold what is still to be accepted.
    pub(crate) async fn accept_displaced(&self) -> u64 {
        let displaced = self.displaced.lock();
        let Some(mut seqs) = displaced.unwrap_or_else(PoisonError::into_inner).clone() else {
            return u64::MAX;
        };
        if let Err(failure) = self.accept_again(&mut seqs).await {
            // A full spool has room again when what is before them is finished.
            warn!(
                spool.role = self.role,
                error = %failure,
                "requests whose places were taken wait to be accepted again"
            );
            let before = seqs.start - 1;
            self.displace(Some(seqs));
            return before;
        }
        self.displace(None);
        u64::MAX
    }

    async fn accept_again(&self, seqs: &mut Range<u64>) -> Result<(), AgainError> {
        while !seqs.is_empty() {
            let most = usize::try_from(seqs.end - seqs.start).unwrap_or(BATCH);
            let envelopes = self.read(seqs.start - 1, most.min(BATCH)).await?;
            for envelope in envelopes {
                // What the skip left out reads as a tombstone.
                if let Ok(read) = spool::record::decode_envelope(&envelope.bytes)
                    && let Content::Accepted(accepted) = read.content
                {
                    let event_id = accepted.event_id;
                    self.spool.accept(event_id, &accepted.request).await?;
                }
                seqs.start = envelope.seq + 1;
            }
        }
        Ok(())
    }

    fn displace(&self, seqs: Option<Range<u64>>) {
        let mut displaced = self
            .displaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *displaced = seqs;
    }
}

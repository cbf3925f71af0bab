//! A spool's folder that is older than the database: a machine was set back to a snapshot, or its disk
//! lost what it had promised to keep. The registrar knows more of the spool than the spool itself.

use spool::{AcceptError, Content, DecodedEnvelope};
use tracing::{error, warn};

use crate::Shipper;
use crate::shipper::ShipError;

/// How many records are read at once.
const BATCH: usize = 500;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    #[error("the spool cannot go on behind the registrar's mark")]
    Skip(#[from] AcceptError),
    #[error(transparent)]
    Read(#[from] ShipError),
}

impl Shipper {
    /// Brings the spool behind a mark that the database gave when it came to know the spool.
    ///
    /// Seqs up to the mark are taken for applied, whoever got them. So the next one must be larger, and
    /// a request that was accepted under one of them since the start is accepted once more, under a seq
    /// of its own: the registrar knows a request by its `event_id` and applies it once.
    pub(crate) async fn go_on_behind(&self, applied: u64) -> Result<(), RepairError> {
        // What came after the start went by a queue, perhaps, and is applied by right.
        let ours = self.found.max(self.marks.borrow().shipped);
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
        let mut from = self.found;
        let mut again = 0_u64;
        while from < applied {
            let most = usize::try_from(applied - from).unwrap_or(BATCH).min(BATCH);
            let envelopes = self.read(from, most).await.map_err(ShipError::from)?;
            let Some(last) = envelopes.last() else { break };
            from = last.seq;
            for envelope in &envelopes {
                // What the skip left out reads as a tombstone.
                if let Ok(DecodedEnvelope {
                    content: Content::Accepted(accepted),
                    ..
                }) = spool::record::decode_envelope(&envelope.bytes)
                {
                    self.spool
                        .accept(accepted.event_id, &accepted.request)
                        .await?;
                    again += 1;
                }
            }
        }
        if again > 0 {
            warn!(
                spool.role = self.role,
                spool.records = again,
                "requests whose places were taken are accepted again"
            );
        }
        Ok(())
    }
}

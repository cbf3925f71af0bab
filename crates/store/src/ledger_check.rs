//! The ledger of a database held against checkpoints, a page of rows at a time.

use domain::BodyId;
use ledger::{Bad, CheckpointBook, Fault, Verified, Verifier, encode, first_of};

use crate::{LedgerReader, StoreError};

/// Rows that are read at once.
const PAGE: u32 = 2_000;

impl LedgerReader {
    /// Goes along the ledger from its first entry to where it ends now. `seen` is told, after each page, how
    /// many entries are gone through and how many there are. The checkpoints must have been read before.
    ///
    /// # Errors
    /// Those of the database. Inside, [`Bad`]: the first bad place.
    pub async fn verify(
        &self,
        body_id: BodyId,
        book: CheckpointBook,
        mut seen: impl FnMut(u64, u64),
    ) -> Result<Result<Verified, Bad>, StoreError> {
        let upto = self.head().await?.map_or(0, |head| head.seq);
        let mut verifier = Verifier::new(body_id, book);
        let mut bad = None;
        while bad.is_none() && verifier.seq() < upto {
            let rows = self.rows_after(verifier.seq(), PAGE).await?;
            let next = |verifier: &Verifier| verifier.seq() + 1;
            if rows.is_empty() {
                bad = Some(at(next(&verifier), Fault::CutOff));
            }
            for row in rows {
                if row.seq > upto {
                    // Appended meanwhile, unless what should stand here is gone.
                    bad = (verifier.seq() < upto).then(|| at(next(&verifier), Fault::OutOfOrder));
                    break;
                }
                let Some(entry) = &row.entry else {
                    bad = Some(at(next(&verifier), Fault::NotAnEntry));
                    break;
                };
                let bytes = encode(row.seq, entry);
                if let Err(found) = verifier.bytes(0, &bytes, &row.leaf, &row.h) {
                    bad = Some(found);
                    break;
                }
            }
            seen(verifier.seq(), upto);
        }
        // The append moves the head with the entries, so no look sees more rows than it says.
        if bad.is_none()
            && let Some(seq) = self.first_past_head().await?
        {
            bad = Some(at(seq, Fault::BeyondTheEnd));
        }
        // The table's key would refuse it; a superuser may have taken the key away.
        let twice = self.first_repeated(upto).await?;
        let twice = twice.map(|seq| at(seq, Fault::RecordedTwice));
        Ok(match verifier.end(bad) {
            Ok(whole) => twice.map_or(Ok(whole), Err),
            Err(bad) => Err(first_of(Some(bad), twice).unwrap_or(bad)),
        })
    }

    /// Adds all checkpoints of the table to a book.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_checkpoints(&self, book: &mut CheckpointBook) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let page = self.checkpoints_after(last.as_ref(), PAGE).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = Some(*end);
            for signed in &page {
                book.add(0, signed);
            }
        }
    }
}

const fn at(seq: u64, fault: Fault) -> Bad {
    Bad {
        seq,
        line: 0,
        fault,
    }
}

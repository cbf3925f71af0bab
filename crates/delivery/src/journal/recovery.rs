//! Reading a journal when a worker starts: place by place, so that a damaged one hides no other.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{self, Place, RECORD, Record};
use super::{lap, offset};

/// Places read together.
const TOGETHER: usize = 16_384;

/// What a journal holds when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// All readable records that the database may not have, oldest first.
    pub(crate) records: Vec<Record>,
    /// Places that hold something else: the machine lost its power, or somebody wrote into the file.
    pub(crate) damaged: usize,
    /// The number of the next record.
    pub(super) next: u64,
    /// There is no mark: any record may be missing from the database, and none has a number.
    pub(super) is_foreign: bool,
}

impl Recovered {
    /// Whether it is a journal that a worker has begun: one that was deleted lacks all that it had.
    pub(crate) const fn has_mark(&self) -> bool {
        !self.is_foreign
    }

    pub(super) fn read(file: &File, places: u64) -> io::Result<Self> {
        let mut first = [0; RECORD];
        let got = read_up_to(file, &mut first, 0)?;
        let mark = (got == RECORD)
            .then(|| record::decode_mark(&first))
            .flatten();
        let mut numbered: Vec<(u64, Record)> = Vec::new();
        let mut recovered = Self {
            is_foreign: mark.is_none(),
            ..Self::default()
        };
        let mut block = vec![0; TOGETHER * RECORD];
        // without a mark the first place has a record, if anything
        let mut place = u64::from(mark.is_some());
        loop {
            let got = read_up_to(file, &mut block, place * RECORD as u64)?;
            let (records, rest) = block[..got].as_chunks::<RECORD>();
            for (at, bytes) in (place..).zip(records) {
                match Place::decode(bytes) {
                    Place::Empty => {}
                    Place::Damaged => recovered.damaged += 1,
                    Place::Written(record, written_in) => {
                        let number = match mark {
                            Some(mark) => number(at, written_in, mark, places),
                            None => Some(at),
                        };
                        numbered.extend(number.map(|number| (number, record)));
                    }
                }
            }
            recovered.damaged += usize::from(rest.iter().any(|byte| *byte != 0));
            place += records.len() as u64;
            if got < block.len() {
                break;
            }
        }
        numbered.sort_unstable_by_key(|(number, _)| *number);
        if let Some(mark) = mark {
            recovered.next = numbered.last().map_or(mark, |(number, _)| number + 1);
        }
        recovered.records = numbered.into_iter().map(|(_, record)| record).collect();
        Ok(recovered)
    }
}

/// Everything that a journal still has, whatever the database took of it: a block at a time, in no order.
#[derive(Debug)]
pub(crate) struct Kept {
    file: File,
    place: u64,
}

impl Kept {
    pub(super) const fn new(file: File) -> Self {
        Self { file, place: 1 }
    }

    /// The records of the next block; none after the last. A place that is being written over at this
    /// moment is passed over: its new record is in hand, and its old one the oldest of all.
    pub(crate) fn next_block(&mut self) -> io::Result<Option<Vec<Record>>> {
        let mut block = vec![0; TOGETHER * RECORD];
        let got = read_up_to(&self.file, &mut block, self.place * RECORD as u64)?;
        if got == 0 {
            return Ok(None);
        }
        self.place += TOGETHER as u64;
        let (places, _) = block[..got].as_chunks::<RECORD>();
        let records = places
            .iter()
            .filter_map(|bytes| match Place::decode(bytes) {
                Place::Written(record, _) => Some(record),
                Place::Empty | Place::Damaged => None,
            });
        Ok(Some(records.collect()))
    }
}

/// The number of the record in this place of the file, if it is not before the mark.
fn number(at: u64, written_in: u16, mark: u64, places: u64) -> Option<u64> {
    // in a ring, this place has one record in the lap of the mark and one in the next
    let in_this_lap = mark - mark % places + (at - 1);
    [in_this_lap, in_this_lap + places]
        .into_iter()
        .find(|number| {
            *number >= mark && *number < mark + places && lap(*number, places) == written_in
        })
        .filter(|number| offset(*number, places) == at * RECORD as u64)
}

fn read_up_to(file: &File, bytes: &mut [u8], mut from: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], from) {
            Ok(0) => break,
            Ok(more) => {
                got += more;
                from += more as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn damage_hides_nothing_but_the_places_it_hit(
            records in prop::collection::vec(record::tests::any_record(), 1..20),
            has_mark in any::<bool>(),
            hits in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes: Vec<u8> = records.iter().flat_map(|record| record.encode(0)).collect();
            bytes.truncate(cut.index(bytes.len() + 1));
            let whole = bytes.len() / RECORD;
            let mut spoilt = HashSet::new();
            for (hit, change) in hits {
                if bytes.is_empty() { break; }
                let at = hit.index(bytes.len());
                bytes[at] ^= change;
                spoilt.insert(at / RECORD);
            }
            if has_mark {
                bytes.splice(0..0, record::encode_mark(0));
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let found = Recovered::read(&file, 1_024).unwrap();
            // two hits on one byte may undo each other, so intact ones are a lower bound
            let intact: Vec<Record> = records[..whole]
                .iter()
                .enumerate()
                .filter(|(index, _)| !spoilt.contains(index))
                .map(|(_, record)| *record)
                .collect();
            prop_assert!(found.records.len() >= intact.len());
            for record in &intact {
                prop_assert!(found.records.contains(record));
            }
            for record in &found.records {
                prop_assert!(records.contains(record));
            }
        }
    }
}

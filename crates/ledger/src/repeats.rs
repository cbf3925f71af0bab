//! Whether an event is recorded twice, in memory that does not grow with the ledger: so many ids are
//! remembered at a time, and a longer ledger is gone through more than once.

use std::collections::HashSet;

use domain::EventId;

/// Ids that are remembered at a time: what fills a table of 2²⁰ places, 17 MiB of it.
const AT_A_TIME: u64 = 917_504;

/// One part of all event ids.
#[derive(Debug)]
pub struct Repeats {
    part: u64,
    parts: u64,
    seen: HashSet<EventId>,
}

impl Repeats {
    /// How often a ledger of so many entries must be gone through.
    #[must_use]
    pub const fn parts(entries: u64) -> u64 {
        // Ids are random, so parts are equal but for a little: a part that is fuller makes the table grow.
        let parts = entries.div_ceil(AT_A_TIME);
        if parts == 0 { 1 } else { parts }
    }

    /// Looks for repeats in this part of so many.
    #[must_use]
    pub fn new(part: u64, parts: u64) -> Self {
        Self {
            part,
            parts: parts.max(1),
            seen: HashSet::new(),
        }
    }

    /// Whether this id was here before, as far as it is in this part.
    pub fn is_repeated(&mut self, event_id: EventId) -> bool {
        let number = u128::from_be_bytes(*event_id.as_bytes());
        number % u128::from(self.parts) == u128::from(self.part) && !self.seen.insert(event_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_found_in_exactly_one_part() {
        for number in 0..50u8 {
            let id = EventId::new([number.wrapping_mul(37); 16]);
            let found = (0..7)
                .filter(|part| {
                    let mut repeats = Repeats::new(*part, 7);
                    assert!(!repeats.is_repeated(id));
                    repeats.is_repeated(id)
                })
                .count();
            assert_eq!(found, 1);
        }
        assert_eq!(Repeats::parts(0), 1);
        assert_eq!(Repeats::parts(917_504), 1);
        assert_eq!(Repeats::parts(1_000_000), 2);
    }
}

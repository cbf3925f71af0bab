//! Random numbers that a failing test can repeat: `SplitMix64`, from a seed that is printed.

/// How often to do something: so often usually, and so often where `LETTERBOX_FULL_COUNTS` is set.
#[must_use]
pub fn count(usually: usize, in_full: usize) -> usize {
    if std::env::var_os("LETTERBOX_FULL_COUNTS").is_some() {
        in_full
    } else {
        usually
    }
}

/// A generator; the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// A generator with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Puts a list in another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            list.swap(last, other);
        }
    }

    /// So many small letters.
    pub fn letters(&mut self, number: usize) -> String {
        (0..number)
            .map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or(0)))
            .collect()
    }
}

//! How a relay's recipients get used to a new sender: few mails on the first day, more from day to day
//! (`reliability.md` 2.4).

/// What may be sent on the first days; from then on twice as much each day.
const RAMP: [u64; 7] = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000];

/// Mails that may be sent on a day before which the allowance rose `rises` times.
#[must_use]
pub fn warm_up_allowance(rises: u32) -> u64 {
    let last = RAMP.len() - 1;
    let place = usize::try_from(rises).unwrap_or(usize::MAX);
    RAMP.get(place).copied().unwrap_or_else(|| {
        let doublings = u32::try_from(place - last).unwrap_or(u32::MAX).min(32);
        RAMP[last] << doublings
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_rises_from_day_to_day() {
        let first: Vec<u64> = (0..10).map(warm_up_allowance).collect();
        assert_eq!(
            first,
            [
                500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000
            ]
        );
        assert_eq!(warm_up_allowance(u32::MAX), 40_000 << 32);
    }
}

//! Minting and checking a link: `cargo bench -p link-token`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::{BodyId, KeyId, KeyState};
use link_token::{LinkClass, LinkKeyError, LinkKeys, LinkMaster, Purpose, Route};
use zeroize::Zeroizing;

fn main() -> Result<(), LinkKeyError> {
    // As many generations as a body has after some years, the current one last.
    let masters: Vec<LinkMaster> = (1..=4)
        .map(|kid| LinkMaster {
            kid: KeyId(kid),
            bytes: Zeroizing::new([0x51; 32]),
            state: if kid == 4 {
                KeyState::Current
            } else {
                KeyState::Retired
            },
        })
        .collect();
    let keys = LinkKeys::derive(LinkClass::Leave, BodyId::new([7; 16]), &masters)?;
    let subject = [9; 16];
    time("mint a link", || {
        black_box(keys.mint(Purpose::Unsubscribe, black_box(&subject), 7));
    });
    let token = keys.mint(Purpose::Unsubscribe, &subject, 7);
    let forged = token.replacen('A', "B", 1);
    assert!(keys.check(Route::Leave, &token).is_some());
    assert!(keys.check(Route::Leave, &forged).is_none());
    time("check a genuine link", || {
        black_box(keys.check(Route::Leave, black_box(&token)));
    });
    time("refuse a changed link", || {
        black_box(keys.check(Route::Leave, black_box(&forged)));
    });
    Ok(())
}

/// Prints the time of a call: the median of five samples.
#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn time(what: &str, mut call: impl FnMut()) {
    const CALLS: u32 = 100_000;
    let mut samples: [Duration; 5] = std::array::from_fn(|_| {
        let began = Instant::now();
        (0..CALLS).for_each(|_| call());
        began.elapsed() / CALLS
    });
    samples.sort_unstable();
    println!("{what:<32}{:>10} ns", samples[2].as_nanos());
}

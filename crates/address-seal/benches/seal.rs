//! Sealing an address: `cargo bench -p address-seal`.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use address_seal::{Purpose, Sealer};
use domain::{BodyId, BoxId, EmailAddress, KeyId};

fn main() -> Result<(), Box<dyn Error>> {
    let mut base_point = [0; 32];
    base_point[0] = 9;
    let sealer = Sealer::new(BodyId::new([7; 16]), KeyId(1), base_point)?;
    let address = EmailAddress::parse("rhian.resident+news@post.example.org")?;
    let box_id = BoxId::new([3; 16]);
    time("seal an address", || {
        black_box(sealer.seal(black_box(&address), Purpose::Subscriber, box_id)).is_ok()
    });
    Ok(())
}

/// Prints the time of a call: the median of five samples.
#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn time(what: &str, mut works: impl FnMut() -> bool) {
    const CALLS: u32 = 5_000;
    let mut samples: [Duration; 5] = std::array::from_fn(|_| {
        let began = Instant::now();
        assert!((0..CALLS).all(|_| works()), "{what}");
        began.elapsed() / CALLS
    });
    samples.sort_unstable();
    println!("{what:<32}{:>10} ns", samples[2].as_nanos());
}

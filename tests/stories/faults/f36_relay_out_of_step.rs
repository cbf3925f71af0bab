//! F36: replies that are late, come byte by byte, in one lump with the next, or of 512 lines; idle
//! connections that say goodbye. What the worker writes down of each mail is what the relay decided.

use std::time::Duration;

use anyhow::{Result, ensure};
use support::{Fault, Field, FieldPlan, Moment, copies_of};

use super::{patience, residents, seed};

#[test]
fn f36_the_verdict_written_down_is_the_verdict_given() -> Result<()> {
    let mut seed = seed();
    let field = Field::start(FieldPlan {
        residents: residents(),
        connections: 8,
        ..FieldPlan::default()
    })?;
    let full = || Fault::Say("552 5.2.2 mailbox full".into());
    for _ in 0..field.residents() {
        // Few refusals: an issue of which a fifth is refused is held.
        let at_the_dot = match seed.below(25) {
            0 => full(),
            1..=3 => Fault::Late(Duration::from_millis(seed.below(40))),
            4..=6 => Fault::Glued,
            7..=9 => Fault::Bytes,
            10..=12 => Fault::Long,
            _ => Fault::Say("250 2.0.0 taken".into()),
        };
        field.sink.plan(Moment::Dot, &at_the_dot, 1);
        let at_the_recipient = match seed.below(50) {
            0..=5 => Fault::Bytes,
            6..=11 => Fault::Long,
            12..=17 => Fault::Late(Duration::from_millis(seed.below(20))),
            18 => full(),
            _ => Fault::Say("250 2.1.5 fine".into()),
        };
        field.sink.plan(Moment::Rcpt, &at_the_recipient, 1);
        let idle = match seed.below(20) {
            0 => Fault::Say("221 2.0.0 idle for too long".into()),
            1 => Fault::Fin,
            _ => Fault::Late(Duration::ZERO),
        };
        field.sink.plan(Moment::Idle, &idle, 1);
    }
    let issue = field.hand_over("Bins")?;
    field.wait_through_retries(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(tally.uncertain == 0, "{tally:?}");
    let entries = field.sink.entries();
    let refused = entries.iter().filter(|entry| entry.verdict == 552).count();
    ensure!(refused == tally.failed, "{refused} were refused: {tally:?}");
    ensure!(
        copies_of(&entries, issue).len() == tally.accepted,
        "{tally:?}"
    );
    ensure!(tally.failed > 0 && tally.accepted > 0, "{tally:?}");
    Ok(())
}

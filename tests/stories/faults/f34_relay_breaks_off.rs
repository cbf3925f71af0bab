//! F34: the relay closes, resets or falls silent at every moment of a transaction. Only after the dot is
//! anybody in doubt; all others are tried again and get one copy.

use anyhow::{Result, ensure};
use support::{Entry, Fault, Field, FieldPlan, Moment, count};

use super::{patience, residents};

const MOMENTS: [Moment; 8] = [
    Moment::Mail,
    Moment::Rcpt,
    Moment::Data,
    Moment::Text,
    Moment::Half,
    Moment::BeforeDot,
    Moment::Dot,
    Moment::Idle,
];

/// A fault that is none.
const fn nothing() -> Fault {
    Fault::Late(std::time::Duration::ZERO)
}

#[test]
fn f34_only_a_line_that_breaks_after_the_dot_leaves_a_doubt() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: residents(),
        connections: 6,
        ..FieldPlan::default()
    })?;
    let times = count(2, 20);
    // Never several in a row, which a breaker would take for a relay that is away.
    let apart = field.residents() / (4 * times);
    for (place, moment) in MOMENTS.into_iter().enumerate() {
        field
            .sink
            .plan(moment, &nothing(), place * apart / MOMENTS.len());
        for time in 0..2 * times {
            let fault = if time % 2 == 0 {
                Fault::Fin
            } else {
                Fault::Rst
            };
            field.sink.plan(moment, &fault, 1);
            field.sink.plan(moment, &nothing(), apart);
        }
    }
    for moment in [Moment::Banner, Moment::Ehlo] {
        field.sink.plan(moment, &nothing(), 6);
        for fault in [Fault::Fin, Fault::Rst] {
            field.sink.plan(moment, &fault, 1);
            field.sink.plan(moment, &nothing(), 2);
        }
    }
    let issue = field.hand_over("Bins")?;
    field.wait_through_retries(issue, patience())?;
    let tally = field.check(issue)?;
    let entries = field.sink.entries();
    let broken = |moment: Moment| {
        let broken_there = |entry: &&Entry| entry.broken_at == Some(moment);
        entries.iter().filter(broken_there).count()
    };
    // A text as small as this lies in the system's buffers at once: its dot may be on its way already
    // when the line breaks during the text, and then nobody can tell.
    let at_least = broken(Moment::Dot);
    let at_most = at_least
        + [Moment::Text, Moment::Half, Moment::BeforeDot]
            .map(broken)
            .iter()
            .sum::<usize>();
    for moment in MOMENTS.into_iter().filter(|moment| *moment != Moment::Idle) {
        let number = broken(moment);
        ensure!(
            number == 2 * times,
            "{number} were broken off at {moment:?}"
        );
    }
    ensure!(
        (at_least..=at_most).contains(&tally.uncertain),
        "{at_least} to {at_most} are uncertain by right: {tally:?}"
    );
    ensure!(
        tally.accepted + tally.uncertain == field.residents(),
        "{tally:?}"
    );
    Ok(())
}

#[test]
fn f34_a_relay_that_falls_silent_holds_up_nobody_else() -> Result<()> {
    let field = Field::start(FieldPlan {
        residents: 200,
        connections: 6,
        ..FieldPlan::default()
    })?;
    let moments = [Moment::Rcpt, Moment::Data, Moment::Dot];
    for moment in moments {
        field.sink.plan(moment, &Fault::Silence, 1);
    }
    let issue = field.hand_over("Bins")?;
    field
        .sink
        .wait_for_taken(issue, field.residents() - moments.len(), patience())?;
    field.sink.end_silence();
    field.wait_through_retries(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(
        tally.uncertain == 1,
        "only the one after its dot: {tally:?}"
    );
    Ok(())
}

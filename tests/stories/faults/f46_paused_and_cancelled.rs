//! F46: an operator pauses, resumes and cancels at random. After a pause next to nothing goes out any
//! more; what was paused is sent once it is resumed; what was cancelled is not.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use support::{Field, FieldPlan, count, now, wait_until};

use super::{patience, residents, seed};

/// A pause is heard within two seconds.
const HEARD: Duration = Duration::from_secs(2);
/// And by then so many may have gone out, at most: a claim window a worker.
const WINDOWS: usize = 64;

fn operator(field: &Field, action: &str, issue: u32) -> Result<()> {
    field
        .roles
        .command(&["issue", action, &issue.to_string()])?
        .ok()?;
    Ok(())
}

#[test]
fn f46_pause_resume_and_cancel_do_what_they_say() -> Result<()> {
    let mut seed = seed();
    let field = Field::start(FieldPlan {
        residents: residents(),
        connections: 4,
        slowness: Duration::from_millis(100),
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    let mut most = 0;
    for _ in 0..count(4, 50) {
        let more = field.sink.taken_of(issue) + 10 + usize::try_from(seed.below(30))?;
        if more + 200 > field.residents() {
            break;
        }
        field.sink.wait_for_taken(issue, more, patience())?;
        operator(&field, "pause", issue)?;
        let paused = now();
        most = most.max(nothing_more_goes_out(&field, issue, paused)?);
        operator(&field, "resume", issue)?;
    }
    eprintln!("figures: at most {most} mails after a pause");
    ensure!(most <= WINDOWS, "{most} mails after a pause");
    field.sink.set_slowness(Duration::ZERO);
    field.wait_through(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");

    field.sink.set_slowness(Duration::from_millis(100));
    let second = field.hand_over("Second")?;
    field.sink.wait_for_taken(second, 20, patience())?;
    operator(&field, "cancel", second)?;
    field.wait_through(second, patience())?;
    let tally = field.check(second)?;
    let cancelled = field.in_states(second, "8")?.len();
    ensure!(cancelled > 0, "nothing was cancelled: {tally:?}");
    ensure!(tally.accepted + cancelled == field.residents(), "{tally:?}");
    Ok(())
}

/// Waits until a pause must have been heard, and counts what still went out after it, in all.
fn nothing_more_goes_out(field: &Field, issue: u32, paused: SystemTime) -> Result<usize> {
    let long = HEARD + Duration::from_secs(2);
    wait_until("the pause to be over", 2 * long, || {
        Ok(paused.elapsed().unwrap_or_default() >= long)
    })?;
    let mut after = 0;
    for entry in field.sink.entries() {
        let Some(at_data) = entry
            .at_data
            .filter(|_| entry.subscription(issue).is_some())
        else {
            continue;
        };
        let Ok(late) = at_data.duration_since(paused) else {
            continue;
        };
        ensure!(late <= HEARD, "DATA {late:?} after the pause");
        after += 1;
    }
    Ok(after)
}

//! F44: every process is told to stop and started again, one after the other, under load. Nobody is in
//! doubt, nobody is mailed twice, and every request is answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{BrokerNode, Field, FieldPlan, Vhost, Web, count, notice_of, sign_up_by_json};

use super::{patience, residents, seed};

#[test]
fn f44_restarts_under_load_leave_no_doubt() -> Result<()> {
    let mut seed = seed();
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut field = Field::start_with(
        FieldPlan {
            residents: residents(),
            workers: 2,
            connections: 5,
            broker: Some(vhost.clone()),
            slowness: Duration::from_millis(80),
            ..FieldPlan::default()
        },
        |plan| plan.intakes = 2,
    )?;
    let (notice, web) = (notice_of(&field.roles)?, field.roles.web());
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 10, patience())?;
    let done = AtomicBool::new(false);
    let signed_up = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let visitors = scope.spawn(|| visitors(&web, &notice, &signed_up, &done));
        let restarted = restart_one_after_the_other(&mut field, issue, &mut seed);
        done.store(true, Ordering::SeqCst);
        visitors.join().unwrap()?;
        restarted
    })?;
    let signed_up = signed_up.load(Ordering::SeqCst);
    eprintln!("figures: {signed_up} sign-ups meanwhile, all answered");
    ensure!(signed_up > 0);
    field.sink.set_slowness(Duration::ZERO);
    field.wait_through(issue, patience())?;
    let tally = field.check(issue)?;
    ensure!(tally.uncertain == 0, "{tally:?}");
    for queue in [
        "letterbox.bulk.v1",
        "letterbox.confirm.v1",
        "letterbox.requests.v1",
    ] {
        vhost.wait_for_depth(queue, patience(), 0)?;
    }
    Ok(())
}

fn restart_one_after_the_other(
    field: &mut Field,
    issue: u32,
    seed: &mut support::Seed,
) -> Result<()> {
    for time in 0..count(4, 30) {
        // Among mails on the wire, as long as there are any.
        let more = (field.sink.taken_of(issue) + 20).min(field.residents());
        field.sink.wait_for_taken(issue, more, patience())?;
        std::thread::sleep(Duration::from_millis(seed.below(100)));
        let roles = &mut field.roles;
        let role = match time % 4 {
            0 | 2 => &mut roles.delivers[time / 2 % 2],
            1 => &mut roles.intakes[time / 4 % 2],
            _ => &mut roles.delivers[1],
        };
        role.stop().with_context(|| format!("restart {time}"))?;
        role.resume()?;
    }
    Ok(())
}

/// People come as long as it goes on. A connection that is refused or broken is tried again, as a
/// browser's is.
fn visitors(web: &Web, notice: &str, signed_up: &AtomicUsize, done: &AtomicBool) -> Result<()> {
    while !done.load(Ordering::SeqCst) {
        let number = signed_up.load(Ordering::SeqCst);
        let email = format!("visitor{number}@example.org");
        match sign_up_by_json(web, notice, &email) {
            Ok(answer) if answer.status == 202 => {
                signed_up.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(answer) => anyhow::bail!("{}: {}", answer.status, answer.body),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    Ok(())
}

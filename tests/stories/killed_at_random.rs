//! `kill -9` at any moment while twenty residents come, read and go: whatever was answered 2xx is kept,
//! nobody is mailed twice, and the issue equation balances. The moments come from a seed; set
//! `LETTERBOX_SEED` to repeat a run, or to try another one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use support::{
    Letterbox, Mail, Seed, Web, confirm_link, sign_up_form, unsubscribe_link, wait_for, wait_until,
};

const RESIDENTS: usize = 20;
/// Long: the program dies and starts again all the time.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

pub(crate) fn seed() -> u64 {
    let chosen = std::env::var_os("LETTERBOX_SEED");
    let chosen = chosen.and_then(|text| text.to_str().and_then(|text| text.parse().ok()));
    chosen.unwrap_or(20_261_124)
}

/// Sends until an answer comes; it must be this status. A connection that breaks is no answer.
pub(crate) fn insist(send: impl Fn() -> Result<support::Answer>, status: u16) -> Result<()> {
    let answer = wait_for("an answer", PATIENCE, || match send() {
        // 503 is an honest no: the spool could not take it.
        Ok(answer) if answer.status == 503 => Ok(None),
        Ok(answer) => Ok(Some(answer)),
        Err(_) => Ok(None),
    })?;
    ensure!(
        answer.status == status,
        "{}: {}",
        answer.status,
        answer.body
    );
    Ok(())
}

fn email(number: usize) -> String {
    format!("resident{number}@example.org")
}

/// Kills within so many milliseconds, leaves PostgreSQL in some state, and starts again, so many times;
/// `done` is how the others say that they are through.
fn kill_again_and_again(
    letterbox: &Mutex<Letterbox>,
    seed: &mut Seed,
    (times, within): (usize, u64),
    done: &AtomicBool,
) -> Result<()> {
    for time in 0..times {
        if done.load(Ordering::SeqCst) && time > 0 {
            break;
        }
        // A moment, not a wait for anything.
        std::thread::sleep(Duration::from_millis(seed.below(within)));
        let mut letterbox = letterbox.lock().unwrap();
        match seed.below(3) {
            0 => letterbox.kill_postgres()?,
            1 => letterbox.stop_postgres()?,
            _ => {}
        }
        letterbox.kill()?;
        if seed.below(3) == 0 && letterbox.postgres_pid().is_some() {
            letterbox.kill_postgres()?;
        }
        letterbox.resume()?;
    }
    Ok(())
}

/// Does the work of all residents on four threads while the program is killed.
fn meanwhile(
    letterbox: &Mutex<Letterbox>,
    seed: &mut Seed,
    times: usize,
    work: impl Fn(usize) -> Result<()> + Sync,
) -> Result<()> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_again_and_again(letterbox, seed, (times, 1_500), &done));
        let workers: Vec<_> = (0..4)
            .map(|first| {
                let work = &work;
                scope.spawn(move || (first..RESIDENTS).step_by(4).try_for_each(work))
            })
            .collect();
        let results: Vec<Result<()>> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect();
        done.store(true, Ordering::SeqCst);
        killer.join().unwrap()?;
        results.into_iter().collect()
    })
}

fn copies(mails: &[Mail], subject: &str) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for mail in mails.iter().filter(|mail| mail.subject == subject) {
        *copies.entry(mail.to.clone()).or_default() += 1;
    }
    copies
}

/// Sends an issue, kills meanwhile, and waits until nothing of it waits.
fn send_while_dying(
    letterbox: &Mutex<Letterbox>,
    seed: &mut Seed,
    subject: &str,
    audience: usize,
) -> Result<BTreeMap<String, usize>> {
    letterbox
        .lock()
        .unwrap()
        .hand_over_issue(subject, "Tuesday.")?;
    kill_again_and_again(letterbox, seed, (3, 200), &AtomicBool::new(false))?;
    let letterbox = letterbox.lock().unwrap();
    let counts = "SELECT count(*), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state IN (6, 9)),
        count(*) FILTER (WHERE state IN (0, 1, 3)) FROM delivery WHERE issue_id = (SELECT max(id) FROM issue)";
    let mut last = String::new();
    wait_until("the issue to end", PATIENCE, || {
        last = letterbox.sql(counts).unwrap_or_default();
        Ok(last.starts_with(&format!("{audience}|")) && last.ends_with("|0"))
    })
    .with_context(|| format!("audience, accepted, uncertain, waiting: {last}"))?;
    let numbers: Vec<usize> = last.split('|').map(str::parse).collect::<Result<_, _>>()?;
    eprintln!("{subject}: audience, accepted, uncertain, waiting: {last}");
    assert_eq!(numbers[0], numbers[1] + numbers[2], "the equation: {last}");
    let mails = letterbox.mailbox().all()?;
    let copies = copies(&mails, subject);
    assert!(
        copies.values().all(|number| *number == 1),
        "somebody was mailed twice: {copies:?}"
    );
    assert!(
        copies.len() >= numbers[1],
        "{last}, yet {} copies",
        copies.len()
    );
    assert!(
        copies.len() <= numbers[0],
        "{last}, yet {} copies",
        copies.len()
    );
    let status = letterbox.command(&["issue", "status"])?.ok()?;
    assert!(status.contains(&format!("{audience}")), "{status}");
    Ok(copies)
}

#[test]
fn nothing_answered_is_lost_and_nobody_is_mailed_twice() -> Result<()> {
    let seed = seed();
    eprintln!("LETTERBOX_SEED={seed}");
    let mut seed = Seed::new(seed);
    let letterbox = Letterbox::start()?;
    let (web, mailbox): (Web, _) = (letterbox.web(), letterbox.mailbox());
    let notice = sign_up_form(&letterbox)?
        .field("notice")
        .unwrap_or_default()
        .to_owned();
    let letterbox = Mutex::new(letterbox);

    // Everybody signs up and confirms.
    meanwhile(&letterbox, &mut seed, 6, |number| {
        let email = email(number);
        let body = json!({ "email": email, "newsletter": "council-news", "notice": notice, "language": "en" });
        let key = format!("sign-up-{number}");
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
        ];
        insist(
            || {
                web.send(
                    "POST",
                    "/subscriptions",
                    &headers,
                    body.to_string().as_bytes(),
                )
            },
            202,
        )?;
        let mail = wait_for("a confirmation", PATIENCE, || Ok(mailbox.to(&email)?.pop()))?;
        let link = confirm_link(&mail)?;
        insist(|| web.get(&link), 200)?;
        insist(|| web.post_form(&link, &[("button", "confirm")]), 200)
    })?;
    letterbox.lock().unwrap().wait_for_active(RESIDENTS)?;
    for number in 0..RESIDENTS {
        assert_eq!(
            mailbox.to(&email(number))?.len(),
            1,
            "one confirmation for {}",
            email(number)
        );
    }

    let first = send_while_dying(&letterbox, &mut seed, "First", RESIDENTS)?;
    // Every second resident whose copy came leaves.
    let leavers: Vec<String> = first.keys().step_by(2).cloned().collect();
    meanwhile(&letterbox, &mut seed, 4, |number| {
        let email = email(number);
        if !leavers.contains(&email) {
            return Ok(());
        }
        let mails = mailbox.to(&email)?;
        let issue = mails
            .iter()
            .find(|mail| mail.subject == "First")
            .context("no copy")?;
        let link = unsubscribe_link(issue)?;
        insist(
            || web.post_form(&link, &[("List-Unsubscribe", "One-Click")]),
            200,
        )
    })?;
    let staying = RESIDENTS - leavers.len();
    letterbox.lock().unwrap().wait_for_active(staying)?;
    let second = send_while_dying(&letterbox, &mut seed, "Second", staying)?;
    assert!(
        leavers.iter().all(|email| !second.contains_key(email)),
        "mail after an unsubscribe"
    );
    let stopped = letterbox
        .lock()
        .unwrap()
        .sql("SELECT count(*) FROM ledger_entry WHERE effect = 0")?;
    assert_eq!(
        stopped,
        leavers.len().to_string(),
        "each unsubscribe is in the ledger once"
    );
    Ok(())
}

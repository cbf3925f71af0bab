//! Faults of PostgreSQL, and of the way to it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{FaultProxy, Field, FieldPlan, wait_until};

use crate::{PATIENCE, let_pass, seed};

#[test]
fn f24_a_commit_whose_answer_is_lost_is_neither_lost_nor_done_twice() -> Result<()> {
    let mut field = Field::prepare(
        FieldPlan {
            residents: 20_000,
            connections: 4,
            slowness: Duration::from_millis(10),
            ..FieldPlan::default()
        },
        |_| {},
    )?;
    let proxy = FaultProxy::before(field.roles.postgres.port())?;
    field.roles.reach_database_by("deliver", proxy.port())?;
    field.roles.start_all()?;
    let mut resets = 0;
    // The answer to a COMMIT (T2, T6), and to a claim that commits by itself (T5).
    for (number, answer) in [b"COMMIT\0".as_slice(), b"UPDATE "].into_iter().enumerate() {
        let issue = field.hand_over(&format!("Issue {number}"))?;
        while field.sink.taken_of(issue) < field.residents() {
            proxy.reset_at(answer, 1);
            let reset = wait_until("a reset", Duration::from_secs(10), || {
                Ok(proxy.resets() > 0 || field.sink.taken_of(issue) >= field.residents())
            });
            if reset.is_err() || proxy.resets() == 0 {
                break;
            }
            resets += 1;
            if resets % 100 == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        proxy.reset_at(answer, 0);
        field.wait_through(issue, PATIENCE)?;
        let tally = field.check(issue)?;
        ensure!(tally.uncertain == 0, "{tally:?}");
    }
    eprintln!("figures: {resets} resets");
    ensure!(resets >= 40, "only {resets} resets");
    Ok(())
}

#[test]
fn f27_with_the_disk_of_the_database_full_nothing_is_sent_that_cannot_be_written_down() -> Result<()>
{
    let field = Field::start(FieldPlan {
        residents: 2_000,
        connections: 2,
        slowness: Duration::from_millis(50),
        // Old segments of the log are not used again: the next one needs space.
        postgres: &[
            "fsync=off",
            "wal_recycle=off",
            "max_wal_size=48MB",
            "min_wal_size=32MB",
        ],
        ..FieldPlan::default()
    })?;
    let issue = field.hand_over("Bins")?;
    field.sink.wait_for_taken(issue, 100, PATIENCE)?;
    // A small file system in the place of the write-ahead log, filled.
    let wal = field.roles.postgres.data().join("pg_wal");
    field.roles.postgres.stop()?;
    let small = SmallDisk::in_place_of(&wal, "96m", "postgres")?;
    field.roles.postgres.resume()?;
    let before = field.sink.taken_of(issue);
    wait_until("sending to go on", PATIENCE, || {
        Ok(field.sink.taken_of(issue) > before + 50)
    })?;
    // What a checkpoint frees is filled as well, until the next segment has no place and PostgreSQL falls.
    wait_until("the database to refuse", PATIENCE, || {
        small.fill()?;
        Ok(field.roles.sql("SELECT pg_switch_wal()").is_err())
    })?;
    let_pass(Duration::from_secs(10))?;
    let stopped = field.sink.entries().len();
    let_pass(Duration::from_secs(20))?;
    let later = field.sink.entries().len();
    eprintln!("figures: {stopped} transactions, 20 s later {later}");
    ensure!(
        later == stopped,
        "{} mails with the disk full",
        later - stopped
    );
    small.empty()?;
    if field.roles.postgres.pid().is_none() {
        field.roles.postgres.resume()?;
    }
    field.wait_through(issue, PATIENCE)?;
    let tally = field.check(issue)?;
    ensure!(tally.uncertain == 0, "{tally:?}");
    // Before its disk goes.
    field.roles.postgres.stop()?;
    drop(small);
    Ok(())
}

/// A file system in memory in the place of a folder; only root can make one.
struct SmallDisk {
    folder: std::path::PathBuf,
}

impl SmallDisk {
    fn in_place_of(folder: &std::path::Path, size: &str, owner: &str) -> Result<Self> {
        let saved = tempfile::tempdir()?;
        run(
            "cp",
            &[
                "-a",
                &format!("{}/.", folder.display()),
                &saved.path().display().to_string(),
            ],
        )?;
        let options = format!("size={size},mode=0700");
        let place = folder.display().to_string();
        run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &place])
            .context("this needs root")?;
        run(
            "cp",
            &["-a", &format!("{}/.", saved.path().display()), &place],
        )?;
        run("chown", &[owner, &place])?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn fill(&self) -> Result<()> {
        let filler = self.folder.join("filler");
        // Until there is no space left, which is what it is to say.
        let of = format!("of={}", filler.display());
        let _ = Command::new("dd")
            .args(["if=/dev/zero", &of, "bs=64k"])
            .args(["oflag=append", "conv=notrunc"])
            .output()?;
        Ok(())
    }

    fn empty(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.folder.join("filler"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
    }
}

fn run(program: &str, words: &[&str]) -> Result<()> {
    let output = Command::new(program).args(words).output()?;
    ensure!(
        output.status.success(),
        "{program} {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn f47_an_audience_of_a_million_is_written_once_whatever_dies() -> Result<()> {
    const MANY: usize = 1_000_000;
    let mut seed = seed();
    let mut field = Field::start(FieldPlan {
        residents: 200,
        ..FieldPlan::default()
    })?;
    field.roles.delivers[0].stop()?;
    add_residents_whom_nobody_can_open(&field, MANY)?;
    let issue = field.hand_over("Bins")?;
    let rows = format!("SELECT count(*) FROM delivery WHERE issue_id = {issue}");
    let done = format!("SELECT fanned_out_at IS NOT NULL FROM issue WHERE id = {issue}");
    let mut kills = 0;
    while kills < 30 && field.roles.sql(&done)? == "f" {
        field.roles.delivers[0].start()?;
        std::thread::sleep(Duration::from_millis(1_200 + seed.below(1_500)));
        field.roles.delivers[0].kill()?;
        kills += 1;
        eprintln!(
            "figures: {} rows after kill {kills}",
            field.roles.sql(&rows)?
        );
    }
    field.roles.delivers[0].start()?;
    wait_until("the audience to be complete", PATIENCE, || {
        Ok(field.roles.sql(&done)? == "t")
    })?;
    field.roles.delivers[0].kill()?;
    ensure!(
        field.roles.sql(&rows)? == MANY.to_string(),
        "{} rows",
        field.roles.sql(&rows)?
    );
    let twice = format!(
        "SELECT count(*) - count(DISTINCT subscriber_id) FROM delivery WHERE issue_id = {issue}"
    );
    ensure!(field.roles.sql(&twice)? == "0");
    let chunks = format!("SELECT sum(n) FROM chunk WHERE issue_id = {issue}");
    ensure!(field.roles.sql(&chunks)? == MANY.to_string());
    let conflicts = std::fs::read_to_string(field.roles.postgres.data().join("server.log"))?;
    ensure!(
        !conflicts.contains("duplicate key"),
        "a conflict came to light"
    );
    Ok(())
}

/// Fills the newsletter up to so many readers. No key of ours made the new ones, so nobody can be mailed by
/// them: an audience needs no more.
pub(crate) fn add_residents_whom_nobody_can_open(field: &Field, number: usize) -> Result<()> {
    let new = number - field.residents();
    for statement in [
        &format!(
            "INSERT INTO subscriber (address_index, suppression_code, mailbox_code, code_generation, created_at)
             SELECT sha256(('i' || i)::bytea), sha256(('s' || i)::bytea), sha256(('m' || i)::bytea), 1, now()
             FROM generate_series(1, {new}) i"
        ),
        "INSERT INTO subscription (subscription_id, subscriber_id, newsletter_id, state, language, box_id,
             box_accepted_at, sealed, consent_event_id, row_mac, changed_at)
         SELECT substr(sha256(('u' || s.id)::bytea), 1, 16), s.id, o.newsletter_id, 1, 0,
             substr(sha256(('b' || s.id)::bytea), 1, 16), now(), o.sealed, o.consent_event_id, o.row_mac, now()
         FROM subscriber s CROSS JOIN (SELECT * FROM subscription LIMIT 1) o
         WHERE NOT EXISTS (SELECT 1 FROM subscription x WHERE x.subscriber_id = s.id)",
    ] {
        field.roles.sql(statement)?;
    }
    Ok(())
}

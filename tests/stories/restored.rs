//! A backup is restored: what came after it is in spools, in journals, and in nobody's database. Nothing is
//! sent before that is made up for, and whoever was erased or left since the backup never gets a mail.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::{
    DEADLINE, Roles, RolesPlan, addresses, all_join, leave, unsubscribe_link, wait_until,
};

use crate::settled::{an_issue_reaches, copies, nothing_waits};

/// The entries of the ledger that residents caused, with the times at which they did.
const LEAVES: &str = "SELECT string_agg(encode(event_id, 'hex') || ' ' || occurred_ms, E'\\n'
                      ORDER BY event_id) FROM ledger_entry WHERE method IN (0, 1, 7)";

/// The link in somebody's copy of an issue, as a path of the web role.
fn link_of(roles: &Roles, subject: &str, email: &str) -> Result<String> {
    let mails = roles.mailbox().all()?;
    let mut mails = mails.iter();
    let mail = mails.find(|mail| mail.to == email && mail.subject == subject);
    unsubscribe_link(mail.with_context(|| format!("no {subject} for {email}"))?)
}

fn back_up(roles: &Roles) -> Result<PathBuf> {
    let file = roles.folder().join("backup");
    let name = file.to_str().context("a strange folder")?;
    let words = ["--format=custom", "--file", name];
    roles
        .postgres
        .tool("pg_dump", roles.database(), &words)?
        .ok()?;
    Ok(file)
}

/// Puts the backup in the place of the database.
fn restore(roles: &Roles, backup: &Path) -> Result<()> {
    let (name, owner) = (
        roles.database(),
        roles.sql(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()",
        )?,
    );
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    roles.postgres.sql("postgres", &drop)?;
    let create = format!("CREATE DATABASE {name} OWNER {owner}");
    roles.postgres.sql("postgres", &create)?;
    let backup = backup.to_str().context("a strange folder")?;
    roles
        .postgres
        .tool("pg_restore", name, &["--exit-on-error", backup])?
        .ok()?;
    Ok(())
}

/// Erases somebody as a member of staff would.
fn erase(roles: &Roles, email: &str) -> Result<()> {
    let file = roles.folder().join("address");
    fs::write(&file, format!("{email}\n"))?;
    let keys = roles.keys().join("intake");
    let (file, keys) = (file.to_string_lossy(), keys.to_string_lossy());
    let said = roles
        .command(&["rights", "erase", "--file", &file, "--keys", &keys])?
        .ok()?;
    ensure!(said.contains("receipt"), "{said}");
    fs::remove_file(&*file)?;
    Ok(())
}

fn spool_of(role: &support::RoleProcess) -> Result<(PathBuf, String)> {
    let folder = role.data().join("spool");
    let id = data_encoding::HEXLOWER.encode(&support::spool_id(&folder)?);
    Ok((folder, id))
}

#[test]
fn a_restored_backup_mails_nobody_who_was_erased_or_left_since() -> Result<()> {
    let mut roles = Roles::start(RolesPlan {
        unsubscribes: 2,
        delivers: 2,
        ..RolesPlan::default()
    })?;
    let members = addresses("member", 6);
    all_join(&roles, &members)?;
    roles.wait_for_active(6)?;
    an_issue_reaches(&roles, "First", &members)?;
    let links = [1, 2].map(|member: usize| link_of(&roles, "First", &members[member]));
    let [left, left_at_the_other] = links;
    nothing_waits(&roles)?;

    let backup = back_up(&roles)?;
    let head = roles.sql("SELECT seq FROM ledger_head")?;
    erase(&roles, &members[0])?;
    leave(&roles.unsubscribes[0].web(), support::url_path(&left?))?;
    leave(
        &roles.unsubscribes[1].web(),
        support::url_path(&left_at_the_other?),
    )?;
    roles.wait_for_active(3)?;
    nothing_waits(&roles)?;
    let leaves = roles.sql(LEAVES)?;
    assert_eq!(leaves.lines().count(), 3, "{leaves}");
    // One worker dies with the database, so only one journal is left; and so does a web role's machine. A
    // worker looks with each heartbeat: it has seen more than the backup has.
    let seen = format!("ledger {}", roles.sql("SELECT seq FROM ledger_head")?);
    wait_until("both workers to have seen all of it", DEADLINE, || {
        let has = |worker: &support::RoleProcess, file: &str, text: &str| {
            fs::read_to_string(worker.data().join(file)).is_ok_and(|all| all.contains(text))
        };
        Ok(roles
            .delivers
            .iter()
            .all(|worker| has(worker, "seen", &seen) && has(worker, "erasures", " ")))
    })?;
    for role in roles.all_mut() {
        role.kill()?;
    }
    restore(&roles, &backup)?;
    roles.wait_for_active(6)?;

    roles.hand_over_issue("Second", "Tuesday.")?;
    roles.intakes[0].start()?;
    roles.unsubscribes[0].start()?;
    roles.delivers[1].start()?;
    let (dead_folder, dead) = spool_of(&roles.unsubscribes[1])?;
    wait_until("the dead machine's spool to be named", DEADLINE, || {
        let said = roles.command(&["status"])?.ok()?;
        Ok(said.contains("No mail goes out")
            && said.contains(&format!("spool {dead}"))
            && said.contains("letterbox spool retire")
            && !said.contains("erasures are applied"))
    })?;
    let ready = roles.delivers[1].admin().get("/readyz?verbose")?;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(ready.body.contains("went back in time"), "{}", ready.body);
    assert!(roles.delivers[1].log().contains(&dead), "the log names it");
    // What the living role had is applied again by now; the dead one's is what everything waits for.
    roles.wait_for_active(4)?;
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(copies(&roles, "Second")?.len(), 0, "nothing is sent");

    let folder = dead_folder.to_string_lossy().into_owned();
    for time in ["first", "second"] {
        let said = roles.command(&["replay", &folder])?.ok()?;
        assert!(said.contains(&dead), "{time}: {said}");
        assert_eq!(roles.sql(LEAVES)?, leaves, "{time}: once, at its own time");
    }
    roles.wait_for_active(3)?;
    assert_eq!(copies(&roles, "Second")?.len(), 0, "still nothing is sent");
    let reason = "--reason=the machine burnt down";
    roles.command(&["spool", "retire", &dead, reason])?.ok()?;
    let rest: Vec<String> = members[3..].to_vec();
    wait_until("the issue to go out", DEADLINE, || {
        Ok(copies(&roles, "Second")?.len() == rest.len())
    })?;
    an_issue_reaches(&roles, "Third", &rest)?;
    let second: Vec<String> = copies(&roles, "Second")?.into_keys().collect();
    assert_eq!(second, rest);

    assert_eq!(roles.sql("SELECT count(*) FROM subscriber")?, "5");
    let restored = "SELECT seq FROM ledger_entry WHERE method = 13";
    let after: u64 = head.trim().parse()?;
    assert_eq!(
        roles.sql(restored)?,
        (after + 1).to_string(),
        "once, first of all"
    );
    assert_eq!(
        roles.sql("SELECT count(*) FROM ledger_entry WHERE method = 12")?,
        "1",
        "the retirement"
    );
    Ok(())
}

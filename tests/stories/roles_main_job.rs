//! The whole job over separate roles: two of each web role, three workers, a broker; and no byte that
//! any of them leaves behind names anybody (`DESIGN.md` P1).

use std::fs;

use anyhow::{Context as _, Result};
use support::{
    BrokerNode, Resident, Roles, RolesPlan, Scan, Seed, SmtpSink, Vhost, all_sign_up, confirm_all,
    confirm_link, leave_by_page, plant_every_disguise, undo, unsubscribe_link, wait_until,
};

use crate::settled::nothing_waits;

#[test]
fn a_resident_signs_up_reads_leaves_and_comes_back() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let roles = Roles::start(RolesPlan {
        intakes: 2,
        unsubscribes: 2,
        delivers: 3,
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let (jo, sam) = (
        Resident::new("jo@example.org"),
        Resident::new("sam@example.org"),
    );
    jo.join(&roles)?;
    sam.join(&roles)?;
    roles.wait_for_active(2)?;
    let said = roles.send_issue("Bins", "Tuesday.")?;
    assert!(said.replace(" = ", " ").contains("audience 2"), "{said}");

    let link = unsubscribe_link(&roles.mailbox().wait_for(&jo.email, "Bins")?)?;
    let way_back = leave_by_page(&roles.web(), &link)?;
    roles.wait_for_active(1)?;
    roles.send_issue("Parks", "Open.")?;
    undo(&roles.web(), &way_back)?;
    roles.wait_for_active(2)?;
    roles.send_issue("Roads", "Closed.")?;
    let subjects = |resident: &Resident| -> Result<Vec<String>> {
        let mails = roles.mailbox().to(&resident.email)?;
        let mut subjects: Vec<String> = mails.into_iter().map(|mail| mail.subject).collect();
        subjects.retain(|subject| ["Bins", "Parks", "Roads"].contains(&subject.as_str()));
        subjects.sort();
        Ok(subjects)
    };
    assert_eq!(subjects(&jo)?, ["Bins", "Roads"]);
    assert_eq!(subjects(&sam)?, ["Bins", "Parks", "Roads"]);
    assert_eq!(
        roles.sql("SELECT method, effect FROM ledger_entry ORDER BY seq")?,
        "1|0\n11|3"
    );

    // It went by the queues, not round them.
    nothing_waits(&roles)?;
    for role in roles.intakes.iter().chain(&roles.unsubscribes) {
        assert!(
            (role.metric("letterbox_shipping_route", "route=\"queue\"")? - 1.0).abs() < 0.1,
            "{} does not ship by the broker",
            role.name
        );
    }
    assert_eq!(roles.sql("SELECT count(*) FROM request_inbox")?, "0");
    assert_eq!(
        roles.sql("SELECT last_value FROM request_inbox_id_seq")?,
        "1"
    );
    Ok(())
}

/// Addresses that occur nowhere else.
fn canaries(number: usize) -> Vec<String> {
    let mut seed = Seed::new(5_5);
    (0..number)
        .map(|number| {
            let (local, host) = (seed.letters(12), seed.letters(12));
            format!("zqcanary.{number}.{local}@{host}.example")
        })
        .collect()
}

#[test]
fn no_byte_left_behind_by_any_role_names_anybody() -> Result<()> {
    let node = BrokerNode::start()?;
    let sink = SmtpSink::start(Vec::new())?;
    let mut roles = Roles::start(RolesPlan {
        broker: Some(Vhost::of(&node)?),
        smtp: Some(sink.url()),
        log: "trace",
        postgres: &[
            "fsync=off",
            "wal_compression=off",
            "log_statement=all",
            "log_parameter_max_length=-1",
            "log_parameter_max_length_on_error=-1",
            "log_min_error_statement=debug5",
            "log_error_verbosity=verbose",
        ],
        ..RolesPlan::default()
    })?;
    let emails = canaries(6);
    all_sign_up(&roles, &emails[..4])?;
    let mut links = Vec::new();
    for email in &emails[..4] {
        links.push(confirm_link(&sink.wait_for(email, "")?)?);
    }
    confirm_all(&roles, &links)?;
    roles.wait_for_active(4)?;
    roles.send_issue("Bins", "Tuesday.")?;
    let link = unsubscribe_link(&sink.wait_for(&emails[0], "Bins")?)?;
    leave_by_page(&roles.web(), &link)?;
    roles.wait_for_active(3)?;

    // One waits at the broker, one on intake's own disk, and a worker dies with both before it.
    roles.delivers[0].kill()?;
    all_sign_up(&roles, &emails[4..5])?;
    let vhost = roles.vhost()?;
    vhost.wait_for_depth("letterbox.requests.v1", support::DEADLINE, 1)?;
    let waiting = vhost.look("letterbox.requests.v1", 1)?;
    assert!(waiting[0].len() > 150, "a sealed address is in it");
    node.stop()?;
    all_sign_up(&roles, &emails[5..])?;

    let left = roles.folder().join("left");
    fs::create_dir(&left)?;
    let dump = roles
        .postgres
        .tool("pg_dump", roles.database(), &["--inserts"])?;
    let dump = dump.ok()?;
    assert!(dump.contains("subscriber") && dump.len() > 10_000);
    fs::write(left.join("dump.sql"), dump)?;
    for role in roles.intakes.iter().chain(&roles.unsubscribes) {
        fs::write(left.join(&role.name), role.admin().get("/metrics")?.body)?;
        assert!(
            role.log().contains(" DEBUG "),
            "{} is at its noisiest",
            role.name
        );
    }
    let planted = roles.folder().join("planted");
    fs::create_dir(&planted)?;
    let number = plant_every_disguise(&emails[..1], &planted)?;
    let scan = Scan {
        words: emails,
        places: vec![
            roles.folder().to_owned(),
            roles.postgres.data(),
            node.folder().to_owned(),
        ],
    };
    let (of_ours, others): (Vec<_>, Vec<_>) = scan
        .run()?
        .into_iter()
        .partition(|finding| finding.file.starts_with(&planted));
    assert!(of_ours.len() > number, "the scanner finds what was planted");
    assert_eq!(others, []);
    Ok(())
}

#[test]
fn without_a_broker_the_roles_do_the_same_job() -> Result<()> {
    let mut roles = Roles::start(RolesPlan::default())?;
    let jo = Resident::new("jo@example.org");
    jo.join(&roles)?;
    roles.wait_for_active(1)?;
    roles.send_issue("Bins", "Tuesday.")?;
    let mail = roles.mailbox().wait_for(&jo.email, "Bins")?;
    leave_by_page(&roles.web(), &unsubscribe_link(&mail)?)?;
    roles.wait_for_active(0)?;
    // They stop when told to, having finished what they had.
    for role in roles.all_mut() {
        role.stop()?;
        assert!(
            role.log().contains("has stopped"),
            "{}: {}",
            role.name,
            role.log()
        );
    }
    wait_until("its port to be free", support::DEADLINE, || {
        Ok(roles.intakes[0].web().get("/newsletters").is_err())
    })
    .context("nothing answers")
}

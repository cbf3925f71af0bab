//! The keys of links change while every role runs: new links are made with the new key, every link to
//! leave that was ever made goes on working, and of a key that others know nothing else does.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{User, geteuid};
use support::{
    Letterbox, Mail, Resident, Roles, RolesPlan, Web, confirm_link, leave, token_of,
    unsubscribe_link, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the program promises; the machine under a test may be slower.
const PROMISE: Duration = Duration::from_secs(10);

/// The key folders belong to the user of the roles, as `deploy/README.md` says.
fn give_away(folder: &Path) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let user = User::from_name("letterbox")?.context("no user letterbox")?;
    let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    for entry in std::fs::read_dir(folder)? {
        chown(entry?.path(), uid, gid)?;
    }
    Ok(chown(folder, uid, gid)?)
}

/// The key id that a link was signed by.
fn kid_of(link: &str) -> Result<u16> {
    let bytes = data_encoding::BASE64URL_NOPAD.decode(token_of(link).as_bytes())?;
    Ok(u16::from_be_bytes([bytes[2], bytes[3]]))
}

fn wait_for_keys(roles: &mut Roles, state: &str, number: f64) -> Result<Duration> {
    let begun = Instant::now();
    let label = format!("state=\"{state}\"");
    for role in roles.all_mut() {
        wait_until("every role to take the keys", PATIENCE, || {
            Ok((role.metric("letterbox_link_keys", &label)? - number).abs() < 0.5)
        })?;
    }
    Ok(begun.elapsed())
}

fn status_of(web: &Web, link: &str) -> Result<u16> {
    Ok(web.get(link)?.status)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn keys_change_on_running_roles_and_no_link_to_leave_breaks() -> Result<()> {
    let mut roles = Roles::start(RolesPlan {
        unsubscribes: 2,
        ..RolesPlan::default()
    })?;
    let keys = roles.keys();
    let folder = |name: &str| keys.join(name).display().to_string();
    let [masters, intake, unsubscribe, deliver] =
        ["masters", "intake", "unsubscribe", "deliver"].map(folder);
    // Who runs the roles must be able to pass through what is above.
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o711))?;
    for role in [&intake, &unsubscribe, &deliver] {
        give_away(Path::new(role))?;
    }
    let mailbox = roles.mailbox();
    let join = |roles: &Roles, name: &str| -> Result<Resident> {
        let resident = Resident::new(&format!("{name}@example.org"));
        resident.join(roles)?;
        Ok(resident)
    };
    let old = [join(&roles, "ann")?, join(&roles, "ben")?];
    roles.wait_for_active(2)?;
    let late = Resident::new("late@example.org");
    late.sign_up(&roles)?;
    let old_confirm = confirm_link(&mailbox.wait_for(&late.email, "")?)?;
    roles.send_issue("First", "One.")?;
    let link_in = |mail: &Mail| unsubscribe_link(mail);
    let old_links = [
        link_in(&mailbox.wait_for(&old[0].email, "First")?)?,
        link_in(&mailbox.wait_for(&old[1].email, "First")?)?,
    ];
    assert_eq!(kid_of(&old_links[0])?, 1);

    // The command says what it did, for the masters and for each folder.
    let words = [
        "keys",
        "rotate",
        "links",
        "--masters",
        &masters,
        &deliver,
        &unsubscribe,
        &intake,
    ];
    let said = roles.run(&words, &[])?.ok()?;
    for part in [&masters, &intake, &unsubscribe, &deliver, "10 seconds"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        said.find(&unsubscribe) < said.rfind(&deliver),
        "verifiers first: {said}"
    );
    let took = wait_for_keys(&mut roles, "retired", 1.0)?;
    eprintln!(
        "figures: a new generation was in use by all roles after {took:?} (promise {PROMISE:?})"
    );
    roles.send_issue("Second", "Two.")?;
    let new_link = link_in(&mailbox.wait_for(&old[0].email, "Second")?)?;
    assert_eq!(kid_of(&new_link)?, 2);
    // Every process verifies both, the confirm link of the old key too.
    for process in &roles.unsubscribes {
        for link in [&new_link, &old_links[0], &old_links[1]] {
            assert_eq!(status_of(&process.web(), support::url_path(link))?, 200);
        }
    }
    assert_eq!(status_of(&roles.web(), &old_confirm)?, 200);

    let words = [
        "keys",
        "mark-compromised",
        "2",
        &masters,
        &intake,
        &unsubscribe,
        &deliver,
    ];
    let refused = roles.run(&words, &[])?;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("keys rotate links"), "{refused:?}");
    let words = [&words[..2], &["1"], &words[3..]].concat();
    roles.run(&words, &[])?.ok()?;
    let took = wait_for_keys(&mut roles, "compromised", 1.0)?;
    eprintln!("figures: a mark was known to all roles after {took:?} (promise {PROMISE:?})");
    assert_eq!(
        status_of(&roles.web(), &old_confirm)?,
        404,
        "as if it were none"
    );
    for link in &old_links {
        leave(&roles.web(), link)?;
    }
    roles.wait_for_sql(
        "SELECT count(*) FROM ledger_entry WHERE kid = 1 AND key_state = 2 AND effect = 0",
        "2",
    )?;
    let mut counted = 0.0;
    for process in &roles.unsubscribes {
        counted += process.metric("letterbox_unsubscribe_compromised_key_total", "")?;
    }
    assert!((counted - 2.0).abs() < 0.5, "{counted}");
    let shown = roles
        .run(&["keys", "show", "--keys", &masters], &[])?
        .ok()?;
    for line in ["key id 1, compromised", "key id 2, current"] {
        assert!(shown.contains(line), "{shown}");
    }

    // The folders still do after a restart, and one that is spoilt is spoken of and changes nothing.
    std::fs::write(keys.join("unsubscribe/note"), "x")?;
    for process in &roles.unsubscribes {
        wait_until("the folder to be refused", PATIENCE, || {
            Ok((process.metric("letterbox_key_folder_refused", "")? - 1.0).abs() < 0.5)
        })?;
        ensure!(
            process.log().contains("cannot be used"),
            "{}",
            process.log()
        );
        assert_eq!(
            status_of(&process.web(), support::url_path(&new_link))?,
            200
        );
    }
    std::fs::remove_file(keys.join("unsubscribe/note"))?;
    for role in roles.all_mut() {
        role.stop()?;
    }
    roles.start_all()?;
    for link in [&new_link, &old_links[0]] {
        assert_eq!(status_of(&roles.web(), link)?, 200);
    }
    Ok(())
}

#[test]
fn an_embedded_installation_takes_its_new_key_too() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let jo = Resident::new("jo@example.org");
    jo.join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    letterbox.send_issue("First", "One.")?;
    let old = unsubscribe_link(&letterbox.mailbox().wait_for(&jo.email, "First")?)?;
    letterbox.command(&["keys", "rotate", "links"])?.ok()?;
    letterbox
        .command(&["keys", "mark-compromised", "1"])?
        .ok()?;
    let web = letterbox.web();
    wait_until("the new key", PATIENCE, || {
        let page = web.get("/metrics")?.body;
        Ok(page.contains("letterbox_link_keys{state=\"compromised\"} 1"))
    })?;
    letterbox.send_issue("Second", "Two.")?;
    let new = unsubscribe_link(&letterbox.mailbox().wait_for(&jo.email, "Second")?)?;
    assert_eq!((kid_of(&old)?, kid_of(&new)?), (1, 2));
    leave(&web, &old)?;
    letterbox.wait_for_active(0)
}

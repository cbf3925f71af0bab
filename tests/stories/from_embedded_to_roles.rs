//! An installation of `letterbox up` becomes one of separate roles by the commands of `deploy/README.md`,
//! as they stand there: nobody is lost, and links in mail already sent still work.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use support::{
    Ended, Letterbox, Resident, Roles, RolesPlan, confirm_link, leave, letterbox_binary,
    repository, unsubscribe_link,
};

/// The block of commands in the README that says it is this story's.
fn commands() -> Result<String> {
    let page = std::fs::read_to_string(repository().join("deploy/README.md"))?;
    let (_, after) = page
        .split_once("<!-- The story from_embedded_to_roles runs this block as it stands. -->")
        .context("no such block")?;
    let (_, block) = after
        .split_once("```sh\n")
        .context("no block of commands")?;
    let (block, _) = block.split_once("\n```").context("no end of the block")?;
    Ok(block.to_owned())
}

/// Runs them as an operator would who set these four.
fn run_commands(old: &Path, roles: &Roles) -> Result<()> {
    let (database, password) = roles.owner()?;
    let program = letterbox_binary()?;
    let folder = program.parent().context("no folder")?;
    let script = format!("PATH={}:$PATH\n{}", folder.display(), commands()?);
    let ended = Command::new("bash")
        .arg("-c")
        .arg(script)
        .env("old", old)
        .env("new", roles.folder())
        .env("database", database)
        .env("password", password)
        .current_dir(repository())
        .output()?;
    Ended::from(ended)
        .ok()
        .context("the block of deploy/README.md")?;
    Ok(())
}

#[test]
fn nobody_is_lost_and_links_in_old_mail_still_work() -> Result<()> {
    let mut embedded = Letterbox::start()?;
    let named = |name: &str| Resident::new(&format!("{name}@example.org"));
    let [jo, sam, max] = ["jo", "sam", "max"].map(named);
    for resident in [&jo, &sam, &max] {
        resident.join(&embedded)?;
    }
    embedded.wait_for_active(3)?;
    embedded.send_issue("Before", "One.")?;
    let link_of = |resident: &Resident| -> Result<String> {
        unsubscribe_link(&embedded.mailbox().wait_for(&resident.email, "Before")?)
    };
    let [of_sam, of_max] = [link_of(&sam)?, link_of(&max)?];
    let kim = named("kim");
    kim.sign_up(&embedded)?;
    let of_kim = confirm_link(&embedded.mailbox().wait_for(&kim.email, "")?)?;
    // Some of it waits in the spools when the end comes.
    embedded.stop_postgres()?;
    let late = named("late");
    late.sign_up(&embedded)?;
    leave(&embedded.web(), &of_max)?;
    let body_id = embedded.command(&["keys", "show"])?.ok()?;
    embedded.stop()?;

    let mut roles = Roles::prepare(RolesPlan {
        port: Some(embedded.port()),
        ..RolesPlan::default()
    })?;
    roles.make_logins()?;
    run_commands(&embedded.data(), &roles)?;
    assert!(
        !embedded.data().exists(),
        "nobody starts the old one by mistake"
    );
    roles.start_all()?;

    let keys = roles.keys().join("deliver").display().to_string();
    let shown = roles.run(&["keys", "show", "--keys", &keys], &[])?.ok()?;
    let id = |text: &str| {
        let mut words = text.split_whitespace();
        let found = words
            .find(|word| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
        found.map(str::to_owned)
    };
    assert!(
        id(&body_id).is_some() && id(&body_id) == id(&shown),
        "{body_id}{shown}"
    );

    leave(&roles.web(), &of_sam)?;
    kim.press(&roles, &of_kim, "/confirm/")?;
    late.confirm(&roles)?;
    roles.wait_for_sql(
        "SELECT count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2) FROM subscription",
        "3|2",
    )?;
    // Twice is once: an old link again, by the new installation's own page.
    leave(&roles.web(), &of_max)?;
    roles.send_issue("After", "Two.")?;
    for resident in [&jo, &kim, &late] {
        let mail = roles.mailbox().wait_for(&resident.email, "After")?;
        assert!(mail.text.contains(&roles.base_url()), "{}", mail.text);
    }
    for resident in [&sam, &max] {
        assert_eq!(
            roles.mailbox().to(&resident.email)?.len(),
            0,
            "{}",
            resident.email
        );
    }
    let subjects = roles.command(&["issue", "status"])?.ok()?;
    assert_eq!(subjects.matches("audience").count(), 2, "{subjects}");
    Ok(())
}

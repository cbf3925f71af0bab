//! What each role holds: its folder of keys, its rights at database and broker, its settings; and that
//! no secret is shown by any of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use support::{BrokerNode, Ended, Resident, Roles, RolesPlan, Vhost, leave, unsubscribe_link};

/// What lies in the folder of each role of a new installation, and nothing else.
const FOLDERS: [(&str, &str); 3] = [
    (
        "intake",
        "body-id form-stamp.key link-join-1.key link-rights-1.key sealing-1.public",
    ),
    ("unsubscribe", "body-id link-leave-1.key"),
    (
        "deliver",
        "address-index-1.key address-message-id-1.key address-row-1.key address-suppression-1.key
         body-id ledger.key link-join-1.key link-leave-1.key link-rights-1.key sealing-1.key sealing-1.public
         verp-1.key",
    ),
];

fn names(folder: &Path) -> Result<BTreeSet<String>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

/// It was refused by one line that names these.
fn refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
    for part in parts {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
}

#[test]
fn each_folder_holds_what_its_role_needs_and_no_other_is_taken() -> Result<()> {
    let roles = Roles::prepare(RolesPlan::default())?;
    roles.make_keys()?;
    let keys = roles.keys();
    let mut secrets = BTreeSet::new();
    for (role, files) in FOLDERS {
        let folder = keys.join(role);
        let wanted: BTreeSet<String> = files.split_whitespace().map(str::to_owned).collect();
        assert_eq!(names(&folder)?, wanted, "{role}");
        assert_eq!(mode(&folder)?, 0o700, "{role}");
        for name in &wanted {
            assert_eq!(mode(&folder.join(name))?, 0o600, "{role}/{name}");
            if name.contains(".key") {
                secrets.insert(fs::read_to_string(folder.join(name))?.trim().to_owned());
            }
        }
    }
    // No role's folder holds a master: those lie apart, and are none of these.
    for entry in fs::read_dir(keys.join("masters"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?.trim().to_owned();
        let shared = ["sealing", "form-stamp", "ledger", "body-id"];
        let may_be_shared = shared
            .iter()
            .any(|name| path.to_string_lossy().contains(name));
        assert!(
            may_be_shared || !secrets.contains(&text),
            "{}",
            path.display()
        );
    }
    // Twice into the same folder would lose the first keys.
    let again = roles.run(&["keys", "new", &keys.to_string_lossy()], &[])?;
    refused(&again, &[&keys.to_string_lossy()]);

    // A role that is given another's folder names it and stops, whoever's it is.
    for (role, _) in FOLDERS {
        for (other, _) in FOLDERS.into_iter().chain([("masters", "")]) {
            if other != role {
                let process = roles.process(role, 1)?;
                let folder = keys.join(other).display().to_string();
                let ended = process.run_to_its_end(&[("--keys", &folder)])?;
                refused(&ended, &[&folder]);
            }
        }
    }
    // A key that others can read is refused too.
    let open = keys.join("unsubscribe/link-leave-1.key");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644))?;
    let ended = roles.process("unsubscribe", 1)?.run_to_its_end(&[])?;
    refused(&ended, &["link-leave-1.key", "chmod"]);
    Ok(())
}

#[test]
fn a_web_role_s_logins_open_no_row_about_anybody() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let roles = Roles::start(RolesPlan {
        broker: Some(vhost.clone()),
        ..RolesPlan::default()
    })?;
    let jo = Resident::new("jo@example.org");
    jo.join(&roles)?;
    roles.wait_for_active(1)?;
    let mail = roles.mailbox().wait_for(&jo.email, "")?;
    leave(&roles.web(), &unsubscribe_link(&mail)?)?;
    roles.wait_for_sql("SELECT count(*) FROM ledger_entry", "1")?;
    let tables = roles.sql("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v') AND relnamespace = 'public'::regnamespace")?;
    let tried = |user: &str, statement: &str| -> Result<Ended> {
        let login = (user, &*format!("{user}-at-the-database"));
        let words = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement];
        roles
            .postgres
            .tool_as(login, "psql", roles.database(), &words)
    };
    for user in ["intake", "unsubscribe"] {
        for table in tables.lines() {
            let read = tried(user, &format!("SELECT * FROM {table}"))?;
            // Whether anybody came back is asked by whoever is told of the same leaving twice.
            let may = table.starts_with("catalogue_")
                && (user, table) != ("intake", "catalogue_resumption");
            assert_eq!(read.code == Some(0), may, "{user} reads {table}: {read:?}");
        }
    }
    for user in [
        "intake",
        "unsubscribe",
        "deliver",
        "operator",
        "letterbox_owner",
    ] {
        for statement in [
            "UPDATE ledger_entry SET effect = 1",
            "DELETE FROM ledger_entry",
            "TRUNCATE ledger_entry",
        ] {
            let ended = tried(user, statement)?;
            assert_ne!(ended.code, Some(0), "{user}: {statement}");
        }
    }
    // The superuser has every right, and is refused by the table itself.
    let login = ("postgres", roles.postgres.password());
    let words = [
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        "TRUNCATE ledger_entry",
    ];
    let ended = roles
        .postgres
        .tool_as(login, "psql", roles.database(), &words)?;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    Ok(())
}

/// Settings that are wrong: the role, what is put in place of its own (an empty value takes the option
/// away), and what the line must name.
const WRONG: &str = "
    intake | --database= | --database
    intake | --database=nonsense | --database
    intake | --database=postgres://intake:s3cret@127.0.0.1/letterbox | --database
    intake | --database=postgres://intake@db.example/letterbox?sslmode=prefer | sslmode
    intake | --broker=http://broker.example | --broker
    intake | --broker=amqp://intake:s3cret@127.0.0.1/v | --broker
    intake | --broker=amqp://intake@broker.example/v | --broker
    intake | --base-url=nonsense | --base-url
    intake | --keys=/nowhere | /nowhere
    intake | --listen=nonsense | --listen
    unsubscribe | --data= | --data
    unsubscribe | --admin-listen=127.0.0.1:99999 | --admin-listen
    unsubscribe | --smtp=smtp://127.0.0.1 | --smtp
    unsubscribe | --base-url=http://127.0.0.1 | --base-url
    intake | --smtp=smtp://127.0.0.1 | --smtp
    deliver | --caught-mail= | --smtp
    deliver | --listen=127.0.0.1:8080 | --listen
    intake | --broker-ca-file=/nowhere | --broker-ca-file
    deliver | --connections=0 | --connections
    deliver | --log==,= | --log
";

#[test]
fn each_wrong_setting_is_one_line_with_the_remedy_and_shows_no_secret() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let roles = Roles::prepare(RolesPlan {
        broker: Some(vhost),
        ..RolesPlan::default()
    })?;
    roles.make_keys()?;
    for row in WRONG.lines().filter(|row| !row.trim().is_empty()) {
        let mut parts = row.split(" | ").map(str::trim);
        let [role, change, named] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let (option, value) = change.split_once('=').context("no =")?;
        let ended = roles.process(role, 1)?.run_to_its_end(&[(option, value)])?;
        refused(&ended, &[named]);
        assert!(!ended.err.contains("s3cret"), "{row}: {}", ended.err);
        assert!(!ended.err.contains("-at-the-"), "{row}: {}", ended.err);
        assert!(
            !roles.folder().join(format!("{role}-1")).exists(),
            "{row}: a folder was made"
        );
    }
    Ok(())
}

#[test]
fn no_secret_is_shown_by_help_ps_logs_or_metrics() -> Result<()> {
    let vhost = Vhost::of(&BrokerNode::shared()?)?;
    let mut roles = Roles::start(RolesPlan {
        broker: Some(vhost.clone()),
        log: "trace",
        ..RolesPlan::default()
    })?;
    Resident::new("jo@example.org").join(&roles)?;
    roles.wait_for_active(1)?;
    let mut secrets = Vec::new();
    for (role, files) in FOLDERS {
        for file in files
            .split_whitespace()
            .filter(|file| file.contains(".key"))
        {
            let text = fs::read_to_string(roles.keys().join(role).join(file))?;
            secrets.push(text.trim().to_owned());
        }
        secrets.push(format!("{role}-at-the-database"));
        secrets.push(format!("{role}-at-the-broker"));
    }
    let mut shown = Vec::new();
    for role in roles.all_mut() {
        let pid = role.pid()?;
        let name = role.name.split('-').next().unwrap_or_default().to_owned();
        let environment = [
            ("LETTERBOX_DATABASE_PASSWORD", secrets[0].as_str()),
            ("LETTERBOX_BROKER_PASSWORD", &secrets[0]),
            ("LETTERBOX_DATABASE", &secrets[0]),
        ];
        let environment = environment.map(|(name, value)| (name, value.to_owned()));
        shown.push(("ps", fs::read_to_string(format!("/proc/{pid}/cmdline"))?));
        shown.push(("metrics", role.admin().get("/metrics")?.body));
        shown.push(("health", role.admin().get("/readyz?verbose")?.body));
        role.stop()?;
        assert!(
            role.log().contains(" DEBUG "),
            "{} is at its noisiest",
            role.name
        );
        shown.push(("log", role.log()));
        let help = std::process::Command::new(support::letterbox_binary()?)
            .args([name.as_str(), "--help"])
            .envs(environment)
            .output()?;
        let help = Ended::from(help).ok()?;
        assert!(help.contains("--database-password-file"), "{help}");
        shown.push(("help", help));
    }
    for (place, text) in &shown {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{place} shows a secret");
        }
    }
    Ok(())
}

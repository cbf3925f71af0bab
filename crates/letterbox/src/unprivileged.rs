//! Becoming an unprivileged user before any thread starts: PostgreSQL refuses to run as root, and
//! nothing here needs root's rights.

use std::os::unix::fs::DirBuilderExt;
use std::process::Command;

use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, User, chown, geteuid, setgid, setgroups, setuid};

use crate::data_folder::{DataFolder, cannot_use};
use crate::failure::SettingsError;

/// The system user that `up` creates when root starts it.
const SYSTEM_USER: &str = "letterbox";

/// Who the process runs as from here on.
#[derive(Debug)]
pub(crate) struct RunningAs {
    pub(crate) user_name: String,
}

/// For `up`: as root, makes the folder and becomes its owner, or the system user `letterbox` for a
/// folder that is new or root's own; anybody else stays who they are.
pub(crate) fn become_server_user(data: &DataFolder) -> anyhow::Result<RunningAs> {
    let me = geteuid();
    if !me.is_root() {
        check_owner(data, me)?;
        return Ok(RunningAs {
            user_name: name_of(me),
        });
    }
    let owner = data
        .owner()
        .map_err(|error| cannot_use(data.root(), &error))?;
    let user = match owner {
        Some((uid, _)) if uid != 0 => user_with(Uid::from_raw(uid))?,
        _ => system_user()?,
    };
    if let Some(barred) = data.barred_for(user.uid.as_raw(), user.gid.as_raw()) {
        return Err(SettingsError::new(format!(
            "the user {} cannot pass through {} to reach {}: run `chmod o+x {}`, or give --data another folder, /var/lib/letterbox say",
            user.name,
            barred.display(),
            data.root().display(),
            barred.display()
        ))
        .into());
    }
    if owner.is_none_or(|(uid, _)| uid == 0) {
        hand_over(data, &user)?;
    }
    become_user(&user)?;
    Ok(RunningAs {
        user_name: user.name,
    })
}

/// For operator commands: as root, becomes the folder's owner; anybody but the owner is told whom to
/// run as.
pub(crate) fn become_owner(data: &DataFolder) -> anyhow::Result<()> {
    let me = geteuid();
    let owner = data
        .owner()
        .map_err(|error| cannot_use(data.root(), &error))?;
    let Some((uid, _)) = owner else {
        return Err(SettingsError::new(format!(
            "there is no installation in {}: start one with `letterbox up --data {}`, or name its folder with --data",
            data.root().display(),
            data.root().display()
        ))
        .into());
    };
    if me.is_root() && uid != 0 {
        return become_user(&user_with(Uid::from_raw(uid))?);
    }
    check_owner(data, me)
}

fn check_owner(data: &DataFolder, me: Uid) -> anyhow::Result<()> {
    match data.owner() {
        Ok(Some((uid, _))) if uid != me.as_raw() => Err(SettingsError::new(format!(
            "{} belongs to the user {}: run this as root or as that user (sudo -u {} …), or give --data a folder of your own",
            data.root().display(),
            name_of(Uid::from_raw(uid)),
            name_of(Uid::from_raw(uid))
        ))
        .into()),
        Ok(_) => Ok(()),
        Err(error) => Err(SettingsError::new(format!(
            "{} cannot be reached by the user {} ({error}): run this as root or as the folder's owner",
            data.root().display(),
            name_of(me)
        ))
        .into()),
    }
}

/// Gives a new folder to its user. A folder of root's own that holds something is not taken over.
fn hand_over(data: &DataFolder, user: &User) -> anyhow::Result<()> {
    let root = data.root();
    if let Ok(mut entries) = std::fs::read_dir(root)
        && entries.next().is_some()
    {
        return Err(SettingsError::new(format!(
            "{} belongs to root and is not empty: give --data an empty or new folder, or hand it over with `chown -R {} {}`",
            root.display(),
            user.name,
            root.display()
        ))
        .into());
    }
    if let Some(parent) = root.parent() {
        std::fs::create_dir_all(parent).map_err(|error| cannot_use(parent, &error))?;
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(|error| cannot_use(root, &error))?;
    chown(root, Some(user.uid), Some(user.gid))
        .with_context(|| format!("cannot give {} to the user {}", root.display(), user.name))
}

fn system_user() -> anyhow::Result<User> {
    if let Some(user) = User::from_name(SYSTEM_USER).context("cannot read the list of users")? {
        return Ok(user);
    }
    let made = Command::new("useradd")
        .args(["--system", "--no-create-home", "--home-dir", "/var/lib/letterbox"])
        .args(["--shell", "/usr/sbin/nologin", "--user-group", SYSTEM_USER])
        .output()
        .context("cannot run useradd: create the system user `letterbox` yourself, or start as another user than root")?;
    if !made.status.success() {
        bail!(
            "useradd could not create the system user `{SYSTEM_USER}`: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );
    }
    User::from_name(SYSTEM_USER)
        .context("cannot read the list of users")?
        .context("useradd created the user `letterbox`, yet it is not there")
}

fn user_with(uid: Uid) -> anyhow::Result<User> {
    User::from_uid(uid)
        .context("cannot read the list of users")?
        .with_context(|| format!("the folder's owner, user number {uid}, has no account"))
}

fn name_of(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("number {uid}"),
    }
}

fn become_user(user: &User) -> anyhow::Result<()> {
    let gid: Gid = user.gid;
    setgroups(&[gid]).context("cannot drop root's groups")?;
    setgid(gid).with_context(|| format!("cannot become the group of {}", user.name))?;
    setuid(user.uid).with_context(|| format!("cannot become the user {}", user.name))
}

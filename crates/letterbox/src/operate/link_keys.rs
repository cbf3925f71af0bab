//! `letterbox keys rotate links`, `keys update` and `keys mark-compromised`: the keys of links change
//! while the roles run.

use std::path::{Path, PathBuf};

use service_runtime::OsEntropy;

use super::keys::{embedded_keys, masters_folder};
use crate::cli::{DataOption, MastersOption};
use crate::keys::rotation::{self, Given, RoleFolder};
use crate::keys::{Masters, masters, watch};
use crate::up::print_line;

/// Makes a new generation and gives it to these folders of roles.
pub(super) fn rotate(folders: &[PathBuf], from: &MastersOption) -> anyhow::Result<()> {
    let from = masters_folder(from)?;
    // Whatever is wrong with one of them is said before anything changes.
    let roles = open(folders, &masters::read(&from)?)?;
    let generation = rotation::add_generation(&from, &OsEntropy)?;
    print_line(&format!(
        "Link key {generation} is in {}. Links are made with it from now on; those of older keys go on working.",
        from.display()
    ));
    give(&roles, &masters::read(&from)?)?;
    if roles.is_empty() {
        print_line(
            "An embedded installation takes it by itself. For separate roles, give it to the folder of each: `letterbox keys update`.",
        );
    }
    print_active();
    Ok(())
}

/// Gives these folders of roles what they lack of their masters' link keys.
pub(super) fn update(folders: &[PathBuf], from: &MastersOption) -> anyhow::Result<()> {
    let masters = masters::read(&masters_folder(from)?)?;
    give(&open(folders, &masters)?, &masters)?;
    print_active();
    Ok(())
}

/// Marks a generation in these folders, or in an embedded installation's.
pub(super) fn mark_compromised(
    kid: u16,
    folders: Vec<PathBuf>,
    data: &DataOption,
) -> anyhow::Result<()> {
    let folders = if folders.is_empty() {
        vec![embedded_keys(data)?]
    } else {
        folders
    };
    for (folder, news) in folders
        .iter()
        .zip(rotation::mark_compromised(&folders, kid)?)
    {
        print_line(&format!(
            "{}: link key {kid} {} marked as compromised.",
            folder.display(),
            if news { "is" } else { "was already" }
        ));
    }
    print_line(
        "Links to unsubscribe and \"not me\" links of that key go on working, and each use is counted; all its other links are refused.",
    );
    print_line(
        "Mark it in the masters and in the folder of every role. `letterbox keys show` lists the marks.",
    );
    print_active();
    Ok(())
}

/// Those that verify come before the one that makes links.
fn open(folders: &[PathBuf], masters: &Masters) -> anyhow::Result<Vec<RoleFolder>> {
    let mut roles = folders
        .iter()
        .map(|folder| RoleFolder::open(folder, masters))
        .collect::<anyhow::Result<Vec<_>>>()?;
    roles.sort_by_key(RoleFolder::makes_links);
    Ok(roles)
}

fn give(roles: &[RoleFolder], masters: &Masters) -> anyhow::Result<()> {
    for role in roles {
        let given = role.bring_up_to(masters)?;
        print_line(&said(role.path(), &given));
    }
    Ok(())
}

fn said(folder: &Path, given: &Given) -> String {
    let list = |numbers: &[u16]| {
        let numbers: Vec<_> = numbers.iter().map(u16::to_string).collect();
        numbers.join(", ")
    };
    let mut parts = Vec::new();
    if !given.generations.is_empty() {
        parts.push(format!("got link key {}", list(&given.generations)));
    }
    if !given.marks.is_empty() {
        parts.push(format!(
            "link key {} is marked as compromised",
            list(&given.marks)
        ));
    }
    if parts.is_empty() {
        parts.push("has what its masters have".to_owned());
    }
    format!("{}: {}.", folder.display(), parts.join("; "))
}

fn print_active() {
    print_line(&format!(
        "A running role takes it within {} seconds, without a restart.",
        watch::AT_THE_LATEST.as_secs()
    ));
}

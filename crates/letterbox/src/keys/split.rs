//! A folder for each role, with its share of what the masters give.
//!
//! Everything is built in a folder beside the target (or inside a target that exists already), made
//! durable, and then renamed: whatever ends the process, no role's folder is ever half made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use address_open::DerivedKeys;
use anyhow::{Context, ensure};
use domain::Entropy;
use link_token::{LinkClass, LinkMaster};
use zeroize::Zeroizing;

use super::Masters;
use super::dkim;
use super::key_file::{Generations, Holder, KeyFile, Kind};
use super::key_folder::{create_folder, parent_of, sync_folder, write_new};
use super::marks::{self, Mark};
use super::masters;
use crate::failure::SettingsError;

/// Writes a folder for each role into `target`, which must not have any yet.
pub(crate) fn write(masters: &Masters, target: &Path) -> anyhow::Result<()> {
    build(masters, target)?.finish()
}

fn build(masters: &Masters, target: &Path) -> anyhow::Result<Site> {
    let site = Site::prepare(target, &Holder::ROLES)?;
    for role in Holder::ROLES {
        write_share(masters, role, &site.building)?;
    }
    Ok(site)
}

/// As [`write`], with something that happens before the folders are put in their place.
#[cfg(test)]
pub(super) fn write_disturbed(
    masters: &Masters,
    target: &Path,
    disturbance: impl FnOnce(),
) -> anyhow::Result<()> {
    let site = build(masters, target)?;
    disturbance();
    site.finish()
}

/// Makes new masters, and writes them and a folder for each role into `target`.
pub(crate) fn write_new_keys(target: &Path, entropy: &dyn Entropy) -> anyhow::Result<()> {
    let [intake, unsubscribe, deliver] = Holder::ROLES;
    let site = Site::prepare(target, &[Holder::Masters, intake, unsubscribe, deliver])?;
    let folder = site.building.join(Holder::Masters.folder_name());
    create_folder(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    masters::create_if_absent(&folder, entropy)?;
    let made = masters::read(&folder)?;
    for role in Holder::ROLES {
        write_share(&made, role, &site.building)?;
    }
    site.finish()
}

fn write_share(masters: &Masters, role: Holder, parent: &Path) -> anyhow::Result<()> {
    let folder = parent.join(role.folder_name());
    create_folder(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let derived = DerivedKeys::derive(masters.body_id, &masters.address)
        .context("the address keys are broken")?;
    for file in role.files(generations(masters)?) {
        write_new(&folder, file, &value(masters, &derived, file)?)?;
    }
    if role.may_sign() {
        dkim::copy(&masters.dkim, &folder)?;
    }
    for kid in masters.compromised_links() {
        marks::set(&folder, Mark::Compromised(kid))?;
    }
    sync_folder(&folder)
}

fn generations(masters: &Masters) -> anyhow::Result<Generations> {
    let number = |length: usize| u16::try_from(length).context("too many generations");
    Ok(Generations {
        sealing: number(masters.sealing.len())?,
        links: number(masters.links.len())?,
        address: number(masters.address.len())?,
    })
}

/// What stands in a file of a role's folder.
pub(super) fn value(
    masters: &Masters,
    derived: &DerivedKeys,
    file: KeyFile,
) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let place = usize::from(file.generation.saturating_sub(1));
    let not_there = || format!("there is no {file}");
    let body = masters.body_id;
    let link = |key: fn(&LinkMaster, domain::BodyId) -> link_token::ClassKey| {
        let master = masters.links.get(place).with_context(not_there)?;
        anyhow::Ok(key(master, body).bytes)
    };
    let sealing = || masters.sealing.get(place).with_context(not_there);
    let bytes = match file.kind {
        Kind::BodyId => return Ok(Zeroizing::new(body.as_bytes().to_vec())),
        Kind::FormStamp => masters.form_stamp.clone(),
        Kind::SealingSecret => Zeroizing::new(*sealing()?.secret.expose()),
        Kind::SealingPublic => Zeroizing::new(sealing()?.public),
        Kind::LinkLeave => link(|master, body| master.class_key(LinkClass::Leave, body))?,
        Kind::LinkJoin => link(|master, body| master.class_key(LinkClass::Join, body))?,
        Kind::LinkRights => link(|master, body| master.class_key(LinkClass::Rights, body))?,
        Kind::ReturnPath => link(LinkMaster::return_path_key)?,
        Kind::AddressIndex => derived.index.clone(),
        Kind::AddressSuppression => derived
            .suppression
            .get(place)
            .with_context(not_there)?
            .clone(),
        Kind::AddressRow => derived.row.clone(),
        Kind::AddressMessageId => derived.message_id.clone(),
        Kind::Ledger => masters.ledger.clone(),
        Kind::LinkMaster | Kind::AddressMaster => anyhow::bail!("no role may hold {file}"),
    };
    Ok(Zeroizing::new(bytes.to_vec()))
}

/// Where folders are built, and where they go.
struct Site {
    target: PathBuf,
    /// Removed unless [`Site::finish`] came to its end.
    building: PathBuf,
    /// Only where the target is there already: its folders are moved one by one.
    into_existing: Option<Vec<&'static str>>,
}

impl Site {
    fn prepare(target: &Path, holders: &[Holder]) -> anyhow::Result<Self> {
        let refuse = |why: String| SettingsError::new(format!("{}: {why}", target.display()));
        let target = std::path::absolute(target).map_err(|error| refuse(error.to_string()))?;
        let names: Vec<_> = holders.iter().map(|holder| holder.folder_name()).collect();
        let exists = match fs::symlink_metadata(&target) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                let why = format!("{error}: name a folder that you may write to");
                return Err(refuse(why).into());
            }
        };
        for name in &names {
            ensure!(
                fs::symlink_metadata(target.join(name)).is_err(),
                SettingsError::new(format!(
                    "{} is there already, and keys are never overwritten: name another folder",
                    target.join(name).display()
                ))
            );
        }
        let building = if exists {
            target.join("incomplete")
        } else {
            let name = target.file_name().ok_or_else(|| {
                refuse("name a new folder for the keys, not one that ends in `..`".into())
            })?;
            let parent = parent_of(&target);
            fs::create_dir_all(&parent)
                .map_err(|error| refuse(format!("cannot create its parent: {error}")))?;
            let mut name = name.to_owned();
            name.push(".incomplete");
            parent.join(name)
        };
        create_folder(&building).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                SettingsError::new(format!(
                    "{0} is there: another `letterbox keys` is at work, or one was cut short; if none is, run `rm -r {0}` and this again",
                    building.display()
                ))
            } else {
                SettingsError::new(format!(
                    "cannot create {}: {error}: name a folder that you may write to",
                    building.display()
                ))
            }
        })?;
        Ok(Self {
            target,
            building,
            into_existing: exists.then_some(names),
        })
    }

    /// Puts everything in its place.
    fn finish(self) -> anyhow::Result<()> {
        sync_folder(&self.building)?;
        let cannot_move = || format!("cannot put the keys into {}", self.target.display());
        let Some(names) = &self.into_existing else {
            fs::rename(&self.building, &self.target).with_context(cannot_move)?;
            return sync_folder(&parent_of(&self.target));
        };
        for (done, name) in names.iter().enumerate() {
            let moved = fs::rename(self.building.join(name), self.target.join(name));
            if moved.is_err() {
                for name in &names[..done] {
                    let _ = fs::remove_dir_all(self.target.join(name));
                }
            }
            moved.with_context(cannot_move)?;
        }
        sync_folder(&self.target)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // After a rename there is nothing at this path, or an empty folder.
        let _ = fs::remove_dir_all(&self.building);
    }
}

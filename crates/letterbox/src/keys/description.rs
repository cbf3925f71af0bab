//! What `letterbox keys show` says of a folder: numbers, states and public keys (of signatures as the
//! DNS records that publish them), never a secret.

use std::path::Path;

use data_encoding::HEXLOWER;

use super::dkim;
use super::key_file::{Holder, Kind};
use super::key_folder::{self, KeyFolder};
use super::ledger_key;
use super::masters;

/// The lines about the masters in this folder.
pub(crate) fn of_masters(path: &Path) -> anyhow::Result<Vec<String>> {
    of(path, Holder::Masters)
}

/// The lines about any folder that `keys new` or `keys split` made; whose it is comes first.
pub(crate) fn of_any(path: &Path) -> anyhow::Result<Vec<String>> {
    let holder = Holder::of_role(&key_folder::key_files(path)?).unwrap_or(Holder::Masters);
    let mut lines = vec![format!("folder       of {}", holder.folder_name())];
    lines.extend(of(path, holder)?);
    Ok(lines)
}

fn of(path: &Path, holder: Holder) -> anyhow::Result<Vec<String>> {
    let folder = KeyFolder::read(path, holder)?;
    let mut lines = vec![format!("body id      {}", folder.body_id()?)];
    for kid in 1..=folder.generations.links {
        let state = folder.link_state(kid).label();
        lines.push(format!("links        key id {kid}, {state}"));
    }
    if holder.may_hold(Kind::AddressMaster) || holder.may_hold(Kind::AddressIndex) {
        lines.push(format!(
            "addresses    generation 1 to {}",
            folder.generations.address
        ));
    }
    let newest = folder.generations.sealing;
    let sealing = if holder.may_hold(Kind::SealingSecret) {
        masters::sealing_keys(path, &folder)?
            .into_iter()
            .map(|key| (key.kid.0, key.public))
            .collect()
    } else if holder.may_hold(Kind::SealingPublic) {
        vec![(newest, *folder.key(Kind::SealingPublic, newest)?)]
    } else {
        vec![]
    };
    for (kid, public) in sealing {
        let public = HEXLOWER.encode(&public);
        lines.push(format!("sealing      key id {kid}, public key {public}"));
    }
    if holder.may_hold(Kind::Ledger) {
        let seed = folder.key(Kind::Ledger, 0)?;
        let public = HEXLOWER.encode(&ledger_key::public(&seed)?);
        lines.push(format!("ledger       public key {public}"));
    }
    if holder.may_sign() {
        let records = dkim::records(path)?;
        lines.extend(
            records
                .into_iter()
                .map(|record| format!("dkim         {record}")),
        );
    }
    Ok(lines)
}

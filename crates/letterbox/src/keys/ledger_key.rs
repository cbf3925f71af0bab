//! `ledger.key`: signs the checkpoints of the unsubscribe ledger, on the worker's machine and never in the
//! database.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use delivery::LedgerSigner;
use domain::{BodyId, Entropy};
use ledger::{PublicKey, SigningKey};
use zeroize::Zeroizing;

use super::key_file::{Holder, KeyFile, Kind};
use super::key_folder::{self, KeyFolder};
use crate::failure::SettingsError;

const FILE: KeyFile = KeyFile {
    kind: Kind::Ledger,
    generation: 0,
};

/// What signs the ledger of this body.
pub(super) fn signer(body_id: BodyId, seed: &[u8; 32]) -> anyhow::Result<Arc<LedgerSigner>> {
    let key = SigningKey::from_seed(seed).context("the ledger's key is broken")?;
    Ok(Arc::new(LedgerSigner { body_id, key }))
}

/// What its signatures are checked with.
pub(super) fn public(seed: &[u8; 32]) -> anyhow::Result<PublicKey> {
    let key = SigningKey::from_seed(seed).context("the ledger's key is broken")?;
    Ok(key.public_key())
}

/// Whether a folder has a key of the ledger.
pub(crate) fn is_in(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join(FILE.to_string())).is_ok()
}

/// The ledger's public key and the body, of a folder of masters or of a worker.
pub(crate) fn read_public(folder: &Path) -> anyhow::Result<(BodyId, PublicKey)> {
    let holder = holder_of(folder)?;
    let read = KeyFolder::read(folder, holder)?;
    Ok((read.body_id()?, public(&*read.key(Kind::Ledger, 0)?)?))
}

/// Makes the key in a folder of masters or of a worker that has none. Others of the same installation get
/// a copy of it: it is one key for all of them.
pub(crate) fn create(folder: &Path, entropy: &dyn Entropy) -> anyhow::Result<PublicKey> {
    holder_of(folder)?;
    ensure!(
        !is_in(folder),
        SettingsError::new(format!(
            "{} is there already, and keys are never overwritten",
            folder.join(FILE.to_string()).display()
        ))
    );
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(seed.as_mut());
    key_folder::write_new(folder, FILE, seed.as_ref())?;
    key_folder::sync_folder(folder)?;
    public(&seed)
}

fn holder_of(folder: &Path) -> anyhow::Result<Holder> {
    let files = key_folder::key_files(folder)?;
    let holder = Holder::of_role(&files).unwrap_or(Holder::Masters);
    ensure!(
        holder.may_hold(Kind::Ledger) && !files.is_empty(),
        SettingsError::new(format!(
            "{} is no folder of masters or of deliver, and no other signs the ledger: name one of these",
            folder.display()
        ))
    );
    Ok(holder)
}

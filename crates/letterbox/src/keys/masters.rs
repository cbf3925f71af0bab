//! The masters: what every key of every role is derived from. `letterbox up` has them in
//! `--data`/keys; separate roles never do.

use std::path::Path;

use address_open::{AddressKeys, AddressMaster, Opener, SecretKey};
use address_seal::Sealer;
use anyhow::{Context, ensure};
use domain::{BodyId, Entropy, KeyId, KeyState};
use link_token::return_path::ReturnPathKeys;
use link_token::{FormStampKey, LinkClass, LinkKeys, LinkMaster};
use zeroize::Zeroizing;

use super::dkim::{self, DkimFile};
use super::key_file::{Holder, KeyFile, Kind};
use super::key_folder::{self, KeyFolder};
use super::ledger_key;
use super::role_folders::{DeliverKeys, IntakeKeys, UnsubscribeKeys};
use crate::failure::SettingsError;

/// Every key of an installation.
pub(crate) struct Masters {
    pub(crate) body_id: BodyId,
    pub(crate) links: Vec<LinkMaster>,
    pub(crate) address: Vec<AddressMaster>,
    pub(crate) sealing: Vec<SealingKey>,
    pub(super) form_stamp: Zeroizing<[u8; 32]>,
    /// Signs the ledger; from none of the others.
    pub(super) ledger: Zeroizing<[u8; 32]>,
    /// Made beside the masters and from none of them.
    pub(super) dkim: Vec<DkimFile>,
}

/// A key pair for sealed addresses.
pub(crate) struct SealingKey {
    pub(crate) kid: KeyId,
    pub(crate) secret: SecretKey,
    pub(crate) public: [u8; 32],
}

/// Makes the first generation of whatever is missing in a folder that has no keys at all.
///
/// A folder that holds some keys and lacks others is refused by [`read`]: new ones would not open what
/// the lost ones locked.
pub(crate) fn create_if_absent(folder: &Path, entropy: &dyn Entropy) -> anyhow::Result<bool> {
    let empty = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .next()
        .is_none();
    if !empty {
        return Ok(false);
    }
    let random = |length: usize| {
        let mut bytes = Zeroizing::new(vec![0; length]);
        entropy.fill(&mut bytes);
        bytes
    };
    let write = |kind: Kind, bytes: &[u8]| {
        let generation = u16::from(kind.family().is_some());
        key_folder::write_new(folder, KeyFile { kind, generation }, bytes)
    };
    let pair = address_open::generate_key_pair().context("cannot make a sealing key")?;
    write(Kind::SealingSecret, pair.secret.expose())?;
    write(Kind::SealingPublic, &pair.public)?;
    write(Kind::AddressMaster, &random(32))?;
    write(Kind::LinkMaster, &random(32))?;
    write(Kind::FormStamp, &random(32))?;
    write(Kind::Ledger, &random(32))?;
    // Written last: a folder without it was left half made, and `read` says so.
    write(Kind::BodyId, &random(16))?;
    key_folder::sync_folder(folder)?;
    Ok(true)
}

/// Reads all keys of a folder.
pub(crate) fn read(path: &Path) -> anyhow::Result<Masters> {
    let folder = KeyFolder::read(path, Holder::Masters)?;
    let links = (1..=folder.generations.links)
        .map(|generation| {
            Ok(LinkMaster {
                kid: KeyId(generation),
                bytes: folder.key(Kind::LinkMaster, generation)?,
                state: folder.link_state(generation),
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let address = (1..=folder.generations.address)
        .map(|generation| {
            let bytes = folder.key(Kind::AddressMaster, generation)?;
            Ok(AddressMaster::new(bytes))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Masters {
        body_id: folder.body_id()?,
        links,
        address,
        sealing: sealing_keys(path, &folder)?,
        form_stamp: folder.key(Kind::FormStamp, 0)?,
        ledger: folder.key(Kind::Ledger, 0)?,
        dkim: dkim::read(path)?,
    })
}

/// The sealing key pairs of a folder; two halves that do not belong together are refused.
pub(super) fn sealing_keys(path: &Path, folder: &KeyFolder) -> anyhow::Result<Vec<SealingKey>> {
    (1..=folder.generations.sealing)
        .map(|generation| {
            let secret = SecretKey::from_bytes(folder.key(Kind::SealingSecret, generation)?);
            let public = *folder.key(Kind::SealingPublic, generation)?;
            ensure!(
                secret.belongs_to(&public),
                SettingsError::new(format!(
                    "{}: sealing-{generation}.public is not the public key of sealing-{generation}.key: put both back from your backup",
                    path.display()
                ))
            );
            Ok(SealingKey { kid: KeyId(generation), secret, public })
        })
        .collect()
}

impl Masters {
    /// The link generations that others may know.
    pub(super) fn compromised_links(&self) -> impl Iterator<Item = u16> {
        let known = |master: &&LinkMaster| master.state == KeyState::Compromised;
        self.links.iter().filter(known).map(|master| master.kid.0)
    }

    /// Derives each part's keys; the masters end here.
    pub(crate) fn share_out(self) -> anyhow::Result<(IntakeKeys, UnsubscribeKeys, DeliverKeys)> {
        let body_id = self.body_id;
        let newest = self.sealing.last().context("there is no sealing key")?;
        let sealer =
            Sealer::new(body_id, newest.kid, newest.public).context("the sealing key is broken")?;
        let links = |class| {
            LinkKeys::derive(class, body_id, &self.links).context("the link keys are broken")
        };
        let return_paths = ReturnPathKeys::derive(body_id, &self.links)
            .context("the return path keys are broken")?;
        let (leave, join) = (links(LinkClass::Leave)?, links(LinkClass::Join)?);
        let address =
            AddressKeys::derive(body_id, &self.address).context("the address keys are broken")?;
        let opening = self.sealing.into_iter().map(|key| (key.kid, key.secret));
        Ok((
            IntakeKeys {
                body_id,
                sealer,
                join: join.clone(),
                form_stamp: FormStampKey::new(self.form_stamp),
            },
            UnsubscribeKeys {
                body_id,
                leave: leave.clone(),
            },
            DeliverKeys {
                body_id,
                keys: delivery::Keys {
                    opener: Opener::new(body_id, opening.collect()),
                    address,
                    leave,
                    join,
                    return_paths,
                    dkim: dkim::signer(self.dkim),
                    ledger: ledger_key::signer(body_id, &self.ledger)?,
                },
            },
        ))
    }
}

//! A role reads its own folder. One that holds a key of another role is refused: the wall between the
//! roles is that such a key is not there.
//!
//! `link-rights-N.key` is checked with the rest and used by nothing yet.

use std::path::Path;

use address_open::{AddressKeys, DerivedKeys, Opener};
use address_seal::Sealer;
use anyhow::Context;
use domain::{BodyId, KeyId};
use link_token::return_path::ReturnPathKeys;
use link_token::{FormStampKey, LinkClass, LinkKeys};

use super::dkim;
use super::key_file::{Holder, Kind};
use super::key_folder::{self, KeyFolder};
use super::ledger_key;
use super::masters;
use super::watch::ChangingKeys;
use crate::failure::SettingsError;

/// What `intake` may hold: nothing that opens an address.
pub(crate) struct IntakeKeys {
    pub(crate) body_id: BodyId,
    pub(crate) sealer: Sealer,
    pub(crate) join: LinkKeys,
    pub(crate) form_stamp: FormStampKey,
}

/// What `unsubscribe` may hold.
pub(crate) struct UnsubscribeKeys {
    pub(crate) body_id: BodyId,
    pub(crate) leave: LinkKeys,
}

/// What `deliver` may hold.
pub(crate) struct DeliverKeys {
    pub(crate) body_id: BodyId,
    pub(crate) keys: delivery::Keys,
}

impl IntakeKeys {
    /// Those that can change while it runs.
    pub(crate) fn changing(&self) -> ChangingKeys {
        ChangingKeys {
            body_id: self.body_id,
            links: vec![self.join.clone()],
            return_paths: None,
        }
    }
}

impl UnsubscribeKeys {
    /// Those that can change while it runs.
    pub(crate) fn changing(&self) -> ChangingKeys {
        ChangingKeys {
            body_id: self.body_id,
            links: vec![self.leave.clone()],
            return_paths: None,
        }
    }
}

impl DeliverKeys {
    /// Those that can change while it runs.
    pub(crate) fn changing(&self) -> ChangingKeys {
        ChangingKeys {
            body_id: self.body_id,
            links: vec![self.keys.leave.clone(), self.keys.join.clone()],
            return_paths: Some(self.keys.return_paths.clone()),
        }
    }
}

/// For `letterbox intake`.
pub(crate) fn read_intake(path: &Path) -> anyhow::Result<IntakeKeys> {
    let folder = KeyFolder::read(path, Holder::Intake)?;
    let body_id = folder.body_id()?;
    let kid = folder.generations.sealing;
    let public = *folder.key(Kind::SealingPublic, kid)?;
    let sealer = Sealer::new(body_id, KeyId(kid), public).map_err(|error| {
        SettingsError::new(format!(
            "{}: {error}: put sealing-{kid}.public back from your backup",
            path.display()
        ))
    })?;
    Ok(IntakeKeys {
        body_id,
        sealer,
        join: links(&folder, LinkClass::Join)?,
        form_stamp: FormStampKey::new(folder.key(Kind::FormStamp, 0)?),
    })
}

/// For `letterbox unsubscribe`.
pub(crate) fn read_unsubscribe(path: &Path) -> anyhow::Result<UnsubscribeKeys> {
    let folder = KeyFolder::read(path, Holder::Unsubscribe)?;
    Ok(UnsubscribeKeys {
        body_id: folder.body_id()?,
        leave: links(&folder, LinkClass::Leave)?,
    })
}

/// For `letterbox deliver`.
pub(crate) fn read_deliver(path: &Path) -> anyhow::Result<DeliverKeys> {
    let folder = KeyFolder::read(path, Holder::Deliver)?;
    let body_id = folder.body_id()?;
    let opening = masters::sealing_keys(path, &folder)?
        .into_iter()
        .map(|key| (key.kid, key.secret));
    let newest = folder.generations.address;
    let derived = DerivedKeys {
        index: folder.key(Kind::AddressIndex, newest)?,
        suppression: (1..=newest)
            .map(|generation| folder.key(Kind::AddressSuppression, generation))
            .collect::<anyhow::Result<_>>()?,
        row: folder.key(Kind::AddressRow, newest)?,
        message_id: folder.key(Kind::AddressMessageId, newest)?,
    };
    Ok(DeliverKeys {
        body_id,
        keys: delivery::Keys {
            opener: Opener::new(body_id, opening.collect()),
            address: AddressKeys::from_derived(derived).context("the address keys are broken")?,
            leave: links(&folder, LinkClass::Leave)?,
            join: links(&folder, LinkClass::Join)?,
            return_paths: ReturnPathKeys::from_keys(folder.class_keys(Kind::ReturnPath)?)
                .context("the return path keys are broken")?,
            dkim: dkim::signer(dkim::read(path)?),
            ledger: ledger_key::signer(body_id, &*folder.key(Kind::Ledger, 0)?)?,
        },
    })
}

/// For `letterbox migrate`: the body's id, from any of the folders; nothing else in it is read.
pub(crate) fn read_body_id(path: &Path) -> anyhow::Result<BodyId> {
    key_folder::read_body_id(path)
}

fn links(folder: &KeyFolder, class: LinkClass) -> anyhow::Result<LinkKeys> {
    let kind = match class {
        LinkClass::Leave => Kind::LinkLeave,
        LinkClass::Join => Kind::LinkJoin,
        LinkClass::Rights => Kind::LinkRights,
    };
    LinkKeys::from_class_keys(class, folder.class_keys(kind)?).context("the link keys are broken")
}

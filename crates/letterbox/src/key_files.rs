//! Keys of an embedded installation: one file each in `DIR/keys`, 0600, one line of lower-case hex.
//!
//! | file | what |
//! | --- | --- |
//! | `body-id` | 16 bytes that keep this body's keys and codes apart from any other's |
//! | `link-N.key` | master of link generation N: links, return paths, mailto |
//! | `address-N.key` | address master of generation N: index, suppression, row MAC, Message-ID |
//! | `sealing-N.key` | the secret that opens addresses sealed under key id N |
//! | `sealing-N.public` | the public key that seals under key id N |
//! | `form-stamp.key` | makes an `Idempotency-Key` into an `event_id` |
//!
//! The largest N makes; all verify and open. Separate roles get folders with their share only, in a
//! later issue.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use address_open::{AddressMaster, SecretKey};
use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use domain::{BodyId, Entropy, KeyId, KeyState};
use link_token::{FormStampKey, LinkMaster};
use zeroize::Zeroizing;

use crate::failure::SettingsError;

/// Every key of an installation.
pub(crate) struct KeyFiles {
    pub(crate) body_id: BodyId,
    pub(crate) links: Vec<LinkMaster>,
    pub(crate) address: Vec<AddressMaster>,
    pub(crate) sealing: Vec<SealingKey>,
    pub(crate) form_stamp: FormStampKey,
}

/// A key pair for sealed addresses.
pub(crate) struct SealingKey {
    pub(crate) kid: KeyId,
    pub(crate) secret: SecretKey,
    pub(crate) public: [u8; 32],
}

/// Makes the first generation of whatever is missing in a folder that has no keys at all.
///
/// A folder that holds some keys and lacks others is refused: new ones would not open what the lost
/// ones locked.
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
    let pair = address_open::generate_key_pair().context("cannot make a sealing key")?;
    write_new(folder, "sealing-1.key", pair.secret.expose())?;
    write_new(folder, "sealing-1.public", &pair.public)?;
    write_new(folder, "address-1.key", &random(32))?;
    write_new(folder, "link-1.key", &random(32))?;
    write_new(folder, "form-stamp.key", &random(32))?;
    // Written last: a folder without it was left half made, and `read` says so.
    write_new(folder, "body-id", &random(16))?;
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .with_context(|| format!("cannot make {} durable", folder.display()))?;
    Ok(true)
}

fn write_new(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    let line = Zeroizing::new(format!("{}\n", HEXLOWER.encode(bytes)));
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads all keys of a folder.
pub(crate) fn read(folder: &Path) -> anyhow::Result<KeyFiles> {
    let body_id = BodyId::new(*read_key::<16>(&folder.join("body-id"))?);
    let link_generations = generations(folder, "link")?;
    let newest = link_generations.last().copied();
    let links = link_generations
        .iter()
        .map(|kid| {
            Ok(LinkMaster {
                kid: KeyId(*kid),
                bytes: read_key(&folder.join(format!("link-{kid}.key")))?,
                state: if Some(*kid) == newest {
                    KeyState::Current
                } else {
                    KeyState::Retired
                },
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let address = generations(folder, "address")?
        .iter()
        .map(|number| {
            Ok(AddressMaster::new(read_key(
                &folder.join(format!("address-{number}.key")),
            )?))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let sealing = generations(folder, "sealing")?
        .iter()
        .map(|kid| {
            let secret = SecretKey::from_bytes(read_key(&folder.join(format!("sealing-{kid}.key")))?);
            let public = *read_key(&folder.join(format!("sealing-{kid}.public")))?;
            ensure!(
                secret.belongs_to(&public),
                SettingsError::new(format!(
                    "{}: sealing-{kid}.public is not the public key of sealing-{kid}.key: put both back from your backup",
                    folder.display()
                ))
            );
            Ok(SealingKey { kid: KeyId(*kid), secret, public })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let form_stamp = FormStampKey::new(read_key(&folder.join("form-stamp.key"))?);
    Ok(KeyFiles {
        body_id,
        links,
        address,
        sealing,
        form_stamp,
    })
}

/// The numbers N of the files `NAME-N.key`, from 1 on without a gap.
fn generations(folder: &Path, name: &str) -> anyhow::Result<Vec<u16>> {
    let mut numbers = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let file_name = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .file_name();
        let number = file_name
            .to_str()
            .and_then(|text| text.strip_prefix(name))
            .and_then(|text| text.strip_prefix('-'))
            .and_then(|text| text.strip_suffix(".key"))
            .and_then(|text| text.parse::<u16>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    let gapless = numbers
        .iter()
        .copied()
        .eq(1..=u16::try_from(numbers.len()).unwrap_or(0));
    ensure!(
        gapless && !numbers.is_empty(),
        SettingsError::new(format!(
            "{} should hold {name}-1.key and each later generation without a gap: put the missing file back from your backup",
            folder.display()
        ))
    );
    Ok(numbers)
}

fn read_key<const LENGTH: usize>(path: &Path) -> anyhow::Result<Zeroizing<[u8; LENGTH]>> {
    let text = service_runtime::secret_file::read(path)
        .map_err(|error| SettingsError::new(error.to_string()))?;
    let mut bytes = Zeroizing::new([0; LENGTH]);
    let decoded = Zeroizing::new(HEXLOWER.decode(&text).unwrap_or_default());
    ensure!(
        decoded.len() == LENGTH,
        SettingsError::new(format!(
            "{} should be one line of {} lower-case hexadecimal digits: put it back from your backup",
            path.display(),
            LENGTH * 2
        ))
    );
    bytes.copy_from_slice(&decoded);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::CountingEntropy;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(create_if_absent(folder.path(), &CountingEntropy::default()).unwrap());
        assert!(!create_if_absent(folder.path(), &CountingEntropy::default()).unwrap());
        let keys = read(folder.path()).unwrap();
        assert_eq!(keys.links.len(), 1);
        assert_eq!(keys.links[0].state, KeyState::Current);
        assert_eq!(keys.sealing[0].kid, KeyId(1));
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn an_older_link_generation_is_retired() {
        let folder = tempfile::tempdir().unwrap();
        create_if_absent(folder.path(), &CountingEntropy::default()).unwrap();
        write_new(folder.path(), "link-2.key", &[7; 32]).unwrap();
        let states: Vec<_> = read(folder.path())
            .unwrap()
            .links
            .iter()
            .map(|master| master.state)
            .collect();
        assert_eq!(states, [KeyState::Retired, KeyState::Current]);
    }

    #[test]
    fn a_missing_or_broken_key_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        create_if_absent(folder.path(), &CountingEntropy::default()).unwrap();
        let link = folder.path().join("link-1.key");
        std::fs::write(&link, "zz\n").unwrap();
        let refusal = read(folder.path()).err().unwrap().to_string();
        assert!(
            refusal.contains("link-1.key") && refusal.contains("backup"),
            "{refusal}"
        );
        std::fs::remove_file(&link).unwrap();
        let refusal = read(folder.path()).err().unwrap().to_string();
        assert!(refusal.contains("link-1.key"), "{refusal}");
    }
}

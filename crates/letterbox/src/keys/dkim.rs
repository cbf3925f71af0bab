//! Keys of DKIM signatures, beside the others: `dkim-SELECTOR.key`, PEM (PKCS#8), so that keys that were
//! made elsewhere can be put there too. Each key in the folder signs; none needs to be there.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use mail::{DkimAlgorithm, DkimKey, DkimSigner};
use zeroize::Zeroizing;

use super::key_file::Holder;
use super::key_folder::{self, KeyFolder};
use crate::failure::SettingsError;

/// One of RSA and one of Ed25519, and both again while a new pair takes over.
const MOST: usize = 4;
/// A string of a DNS record has at most 255 bytes.
const DNS_STRING: usize = 250;

/// A key as it stands in its file.
pub(crate) struct DkimFile {
    key: DkimKey,
    pem: Zeroizing<String>,
}

/// The selector that a file name carries; none if it is no name of such a file.
pub(super) fn selector(file_name: &str) -> Option<&str> {
    file_name.strip_prefix("dkim-")?.strip_suffix(".key")
}

/// The keys of a folder, RSA first: readers that know only that stop at the first signature.
pub(super) fn read(folder: &Path) -> anyhow::Result<Vec<DkimFile>> {
    let mut files = Vec::new();
    for name in key_folder::names(folder)? {
        let Some(selector) = selector(&name) else {
            continue;
        };
        let shown = folder.join(&name);
        let unusable = |why: String| SettingsError::new(format!("{}: {why}", shown.display()));
        let bytes = key_folder::read_secret(&shown)?;
        let pem = std::str::from_utf8(&bytes)
            .map_err(|_| unusable("it is not a private key in PEM".into()))?;
        let key = DkimKey::from_pem(selector, pem).map_err(|error| {
            unusable(format!(
                "{error}: make keys with `letterbox keys dkim`, or take this one away"
            ))
        })?;
        files.push(DkimFile {
            key,
            pem: Zeroizing::new(pem.to_owned()),
        });
    }
    ensure!(
        files.len() <= MOST,
        SettingsError::new(format!(
            "{} has {} DKIM keys, and each of them would sign each mail: keep the two that are published, and those that follow them",
            folder.display(),
            files.len()
        ))
    );
    files.sort_by_key(|file| file.key.algorithm() != DkimAlgorithm::Rsa);
    Ok(files)
}

/// What signs with these keys; none without any.
pub(super) fn signer(files: Vec<DkimFile>) -> Option<DkimSigner> {
    let keys: Vec<DkimKey> = files.into_iter().map(|file| file.key).collect();
    (!keys.is_empty()).then(|| DkimSigner::new(keys))
}

/// Writes the keys of one folder into another.
pub(super) fn copy(files: &[DkimFile], folder: &Path) -> anyhow::Result<()> {
    files
        .iter()
        .try_for_each(|file| write(folder, file.key.selector(), &file.pem))
}

/// Makes `dkim-NAME-rsa.key` and `dkim-NAME-ed25519.key` in the folder of a worker or of masters.
pub(crate) fn create(folder: &Path, name: &str) -> anyhow::Result<()> {
    let holder = Holder::of_role(&key_folder::key_files(folder)?).unwrap_or(Holder::Masters);
    ensure!(
        matches!(holder, Holder::Deliver | Holder::Masters),
        SettingsError::new(format!(
            "{} is the folder of {}, which sends no mail: name the folder of deliver",
            folder.display(),
            holder.folder_name()
        ))
    );
    // Whatever else is wrong with it is said now, and not when the worker starts.
    KeyFolder::read(folder, holder)?;
    let present = read(folder)?;
    let mut made = Vec::new();
    for algorithm in [DkimAlgorithm::Rsa, DkimAlgorithm::Ed25519] {
        let selector = format!("{name}-{}", algorithm.label());
        ensure!(
            present.iter().all(|file| file.key.selector() != selector),
            SettingsError::new(format!(
                "{} is there already, and keys are never overwritten: give the new pair another --selector",
                folder.join(file_name(&selector)).display()
            ))
        );
        let pem = DkimKey::generate(algorithm).context("no key could be made")?;
        DkimKey::from_pem(&selector, &pem)
            .map_err(|error| SettingsError::new(format!("--selector {name}: {error}")))?;
        made.push((selector, pem));
    }
    ensure!(
        present.len() + made.len() <= MOST,
        SettingsError::new(format!(
            "{} has {} DKIM keys already: first take away those that no mail needs any more",
            folder.display(),
            present.len()
        ))
    );
    for (done, (selector, pem)) in made.iter().enumerate() {
        if let Err(error) = write(folder, selector, pem) {
            for (selector, _) in &made[..done] {
                let _ = fs::remove_file(folder.join(file_name(selector)));
            }
            return Err(error);
        }
    }
    key_folder::sync_folder(folder)
}

/// The DNS records of a folder's keys, as they stand in a zone file of the sending domain.
pub(crate) fn records(folder: &Path) -> anyhow::Result<Vec<String>> {
    let files = read(folder)?;
    Ok(files.iter().map(|file| record(&file.key)).collect())
}

fn record(key: &DkimKey) -> String {
    let text = key.record();
    // Base64 and tags: ASCII, so that any cut is one between letters.
    let strings: Vec<String> = text
        .as_bytes()
        .chunks(DNS_STRING)
        .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
        .collect();
    format!(
        "{}._domainkey IN TXT ( {} )",
        key.selector(),
        strings.join(" ")
    )
}

fn file_name(selector: &str) -> String {
    format!("dkim-{selector}.key")
}

fn write(folder: &Path, selector: &str, pem: &str) -> anyhow::Result<()> {
    let line = Zeroizing::new(format!("{}\n", pem.trim_end()));
    key_folder::write_private(folder, &file_name(selector), line.as_bytes())
}

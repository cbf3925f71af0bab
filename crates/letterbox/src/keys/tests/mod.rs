//! What a role's folder holds, what is refused, and what whoever has one of them can do with it.

mod attacker;
mod dkim;
mod interrupted;
mod refused;
mod rotation;
mod share;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use data_encoding::HEXLOWER;
use domain::{CountingEntropy, Entropy};
use tempfile::TempDir;

use super::key_file::{Generations, Holder, KeyFile, Kind};
use super::{key_folder, masters, split};

/// Other bytes than those that made the installation, and others each time.
struct Other(AtomicU8);

impl Other {
    const fn than(seed: u8) -> Self {
        Self(AtomicU8::new(seed))
    }
}

impl Entropy for Other {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0xA5);
        buffer[0] = self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Masters, and a folder for each role beside them.
struct Installation {
    folder: TempDir,
}

impl Installation {
    /// With this many generations of each.
    fn with(generations: Generations) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let masters_folder = folder.path().join("masters");
        key_folder::create_folder(&masters_folder).unwrap();
        let entropy = CountingEntropy::default();
        masters::create_if_absent(&masters_folder, &entropy).unwrap();
        for generation in 2..=generations.links {
            add(
                &masters_folder,
                Kind::LinkMaster,
                generation,
                &random(&entropy),
            );
        }
        for generation in 2..=generations.address {
            add(
                &masters_folder,
                Kind::AddressMaster,
                generation,
                &random(&entropy),
            );
        }
        for generation in 2..=generations.sealing {
            let pair = address_open::generate_key_pair().unwrap();
            add(
                &masters_folder,
                Kind::SealingSecret,
                generation,
                pair.secret.expose(),
            );
            add(
                &masters_folder,
                Kind::SealingPublic,
                generation,
                &pair.public,
            );
        }
        let masters = masters::read(&masters_folder).unwrap();
        split::write(&masters, folder.path()).unwrap();
        Self { folder }
    }

    fn new() -> Self {
        Self::with(generations(1, 1, 1))
    }

    fn path(&self, holder: Holder) -> PathBuf {
        self.folder.path().join(holder.folder_name())
    }
}

fn generations(links: u16, sealing: u16, address: u16) -> Generations {
    Generations {
        sealing,
        links,
        address,
    }
}

fn random(entropy: &dyn Entropy) -> [u8; 32] {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    bytes
}

fn add(folder: &Path, kind: Kind, generation: u16, bytes: &[u8]) {
    key_folder::write_new(folder, KeyFile { kind, generation }, bytes).unwrap();
}

/// Every file of a folder by name, with the bytes that it holds.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            let line = text.strip_suffix('\n').unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, HEXLOWER.decode(line.as_bytes()).unwrap())
        })
        .collect()
}

/// A role reads its folder; the refusal if it does not start.
fn refusal(role: Holder, folder: &Path) -> Option<anyhow::Error> {
    use super::role_folders::{read_deliver, read_intake, read_unsubscribe};
    match role {
        Holder::Masters => masters::read(folder).err(),
        Holder::Intake => read_intake(folder).err(),
        Holder::Unsubscribe => read_unsubscribe(folder).err(),
        Holder::Deliver => read_deliver(folder).err(),
    }
}

//! `letterbox rights erase`: somebody's right to be forgotten, done by a member of staff.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use address_seal::{Purpose, Sealer};
use anyhow::Context;
use domain::{Clock, EmailAddress, Entropy, Erasure, EventId, Request, SealedAddress, SpoolId};
use service_runtime::{OsEntropy, SystemClock};
use store::InboxRow;
use zeroize::Zeroizing;

use super::installation::Place;
use super::{block_on, installation};
use crate::cli::{RightsCommand, Target};
use crate::failure::SettingsError;
use crate::keys::{masters, role_folders};
use crate::up::print_line;

/// The longest input that is read: an address has at most 328 bytes.
const LARGEST: u64 = 4_096;
/// How long the registrar is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the command.
pub(crate) fn run(command: RightsCommand) -> anyhow::Result<()> {
    let RightsCommand::Erase { file, keys, target } = command;
    let address = read_address(file.as_deref())?;
    erase(&address, keys.as_deref(), &target)
}

/// An address stands in no command line, which every process of the machine can read.
fn read_address(file: Option<&Path>) -> anyhow::Result<EmailAddress> {
    let mut text = Zeroizing::new(String::new());
    match file {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
            .map_err(|error| SettingsError::new(format!("{}: {error}", path.display())))?,
        None => std::io::stdin()
            .take(LARGEST)
            .read_to_string(&mut text)
            .map_err(|error| SettingsError::new(format!("standard input: {error}")))?,
    };
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let [line] = lines.as_slice() else {
        return Err(SettingsError::new(
            "exactly one address is wanted, in a line of its own, by --file or on standard input",
        )
        .into());
    };
    EmailAddress::parse(line.trim()).map_err(|problem| {
        SettingsError::new(format!(
            "the address cannot be one ({problem}): look at its spelling"
        ))
        .into()
    })
}

fn erase(address: &EmailAddress, keys: Option<&Path>, target: &Target) -> anyhow::Result<()> {
    // A key folder that only its owner reads is read before this becomes the owner of a data folder.
    let given = keys.map(role_folders::read_intake).transpose()?;
    let place = installation::place_of(target)?;
    let (sealer, body) = match (given, &place) {
        (Some(keys), _) => (keys.sealer, keys.body_id),
        (None, Place::Folder(data)) => {
            let (intake, ..) = masters::read(&data.keys())?.share_out()?;
            (intake.sealer, intake.body_id)
        }
        (None, Place::Database { .. }) => {
            return Err(SettingsError::new(
                "--keys: name the key folder of `letterbox intake`, whose public key seals the address",
            )
            .into());
        }
    };
    let event_id = EventId::new(OsEntropy.sixteen());
    let shut = seal(&sealer, address, event_id)?;
    block_on(async {
        let open = installation::open(place).await?;
        open.database.belongs_to(body).await?;
        let row = row(event_id, shut);
        let (id, inbox) = (row.spool_id, open.database.sign_up_inbox());
        inbox
            .ship(&[row], SystemClock.now())
            .await
            .context("nothing is erased: the database did not take the request")?;
        let until = Instant::now() + PATIENCE;
        while inbox.waiting_of(id).await? > 0 {
            anyhow::ensure!(
                Instant::now() < until,
                "the erasure waits for a worker, and is done once `letterbox deliver` runs; its receipt is {}",
                receipt(event_id)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        print_line(&format!("It is erased. The receipt: {}", receipt(event_id)));
        Ok(())
    })
}

fn seal(
    sealer: &Sealer,
    address: &EmailAddress,
    event_id: EventId,
) -> anyhow::Result<SealedAddress> {
    sealer
        .seal(address, Purpose::LookUp, event_id.into())
        .context("the address cannot be sealed")
}

/// The request, in a spool of its own that holds nothing else.
fn row(event_id: EventId, sealed: SealedAddress) -> InboxRow {
    let spool_id = SpoolId::new(OsEntropy.sixteen());
    let request = Request::Erasure(Erasure { sealed });
    let body = spool::record::encode_body(1, event_id, SystemClock.now(), &request);
    InboxRow {
        spool_id,
        seq: 1,
        stop: true,
        envelope: spool::record::envelope(&body, spool_id),
    }
}

fn receipt(event_id: EventId) -> String {
    link_token::receipt::of(event_id)
}

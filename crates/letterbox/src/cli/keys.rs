//! The command line of `letterbox keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::target::DataOption;

/// Which masters: those of an embedded installation, or a folder of their own.
#[derive(Args, Clone)]
pub(crate) struct MastersOption {
    /// Masters as `keys new` made them, in place of --data
    #[arg(long, value_name = "DIR")]
    pub(crate) masters: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: DataOption,
}

#[derive(Subcommand)]
pub(crate) enum RotateCommand {
    /// Make the next link key: links are made with it from then on, and those of older keys go on working
    ///
    /// The new key goes into the masters and into each folder of a role that is named here; running roles
    /// take it within 10 seconds, those that verify links before the one that makes them. Folders on
    /// other machines: run this on copies of them beside the masters, then copy the new files to
    /// `unsubscribe` and `intake` first and to `deliver` last. Once a year is enough.
    Links {
        /// Folders of roles; none for an embedded installation
        folders: Vec<PathBuf>,
        #[command(flatten)]
        from: MastersOption,
    },
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make the keys of a new installation of separate roles: one folder a role, and the masters
    ///
    /// DIR/intake, DIR/unsubscribe and DIR/deliver hold what that role needs and nothing else; move each
    /// to the machine of its role and give it to the role's user (chown -R). DIR/masters makes them
    /// all: no role reads it. Keep it off these machines, and a copy elsewhere. All of it belongs to
    /// whoever runs this, and is open to nobody else.
    New {
        /// The folder; may be there already, without any of the four
        dir: PathBuf,
    },
    /// Split the keys of an embedded installation, or masters, into one folder a role
    ///
    /// The old keys stay where they are; the new folders open the same addresses and verify the
    /// same links. Run it as the installation's owner or as root; the new folders belong to whoever
    /// runs it: give each to the user of its role (chown -R) and move it to that machine.
    Split {
        /// The folder for the folders; may be there already, without any of the three
        dir: PathBuf,
        #[command(flatten)]
        from: MastersOption,
    },
    /// Make a new generation of keys, without breaking what the old ones made
    #[command(subcommand)]
    Rotate(RotateCommand),
    /// Give folders of roles the link keys and marks that their masters have and they lack
    ///
    /// For a folder that was not there at `keys rotate links`, or after a run of it that was cut short.
    Update {
        /// Folders of roles; name those of `unsubscribe` and `intake` before that of `deliver`
        #[arg(required = true)]
        folders: Vec<PathBuf>,
        #[command(flatten)]
        from: MastersOption,
    },
    /// Say that others may know the keys of a link generation
    ///
    /// Links to unsubscribe and "not me" links of that generation go on working, because a right hangs on
    /// them; the ledger says that the key was compromised, and each use is counted
    /// (`letterbox_unsubscribe_compromised_key_total`). Every other link of it is refused as if it were
    /// none: undo, confirm, my data. Running roles follow within 10 seconds.
    ///
    /// Make a new generation first (`keys rotate links`): the one that links are made with is not marked.
    /// To take a mark back, remove the file link-KID.compromised from each folder.
    MarkCompromised {
        /// The number of the generation, as `keys show` lists it
        #[arg(value_parser = clap::value_parser!(u16).range(1..))]
        kid: u16,
        /// Folders of keys, of masters and of each role, in place of --data
        folders: Vec<PathBuf>,
        #[command(flatten)]
        data: DataOption,
    },
    /// Make a pair of keys that sign mail (DKIM), and print the DNS records that publish them
    ///
    /// Each key in the folder signs each mail from the next start of `letterbox deliver` (or `up`) on:
    /// publish the records in the zone of every domain that newsletters are sent from, and start it when
    /// they can be looked up. RSA is what every receiver checks, and takes about 0.7 ms of one core a
    /// mail; Ed25519 takes 0.03 ms, and some receivers do not know it. Take the RSA file away where the
    /// relay signs with RSA itself, or take both away where it signs with both.
    ///
    /// To change keys, make a pair with another --selector and publish it; when its records can be
    /// looked up, start again, and a week later take the old files and records away.
    Dkim {
        /// The key folder of `letterbox deliver`, or that of masters, in place of --data
        dir: Option<PathBuf>,
        /// The pair's name: it signs as NAME-rsa and NAME-ed25519
        #[arg(long, value_name = "NAME", default_value = "letterbox")]
        selector: String,
        #[command(flatten)]
        data: DataOption,
    },
    /// Make the key that signs the unsubscribe ledger, in a folder from before there was one
    ///
    /// `keys new` makes it by itself. Make it once, in the masters or in the folder of one `letterbox
    /// deliver`, and copy ledger.key from there into the masters and into the folder of each other worker:
    /// all sign with one key. Its public half, which `ledger verify` checks signatures with, is printed.
    Ledger {
        /// The key folder of `letterbox deliver`, or that of masters, in place of --data
        dir: Option<PathBuf>,
        #[command(flatten)]
        data: DataOption,
    },
    /// Print the body id, the key generations and the DNS records of signatures; never a key
    Show {
        /// A folder that `keys new` or `keys split` made, in place of --data
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
        #[command(flatten)]
        data: DataOption,
    },
}

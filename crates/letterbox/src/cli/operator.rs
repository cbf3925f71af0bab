//! The command lines of operator commands; those about issues are in `issue`.

use std::path::PathBuf;

use clap::Subcommand;

use super::target::{DataOption, Target};

#[derive(Subcommand)]
pub(crate) enum BodyCommand {
    /// Take the body's particulars from a file; every notice is written anew from them
    ///
    /// DIR/examples/body.toml is a commented file to start from. Without these particulars no
    /// newsletter opens.
    Set {
        /// The file (TOML)
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Print the body's particulars
    Show {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Subcommand)]
pub(crate) enum NewsletterCommand {
    /// Add a newsletter from a file, or change the one with the same slug
    ///
    /// DIR/examples/newsletter.toml is a commented file to start from.
    Add {
        /// The file (TOML)
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// List the newsletters
    List {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List the requests that nobody could read; one that may be an unsubscribe holds back all bulk mail
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Say that somebody has looked at one of them: it holds back nothing any more
    ///
    /// What it asked for was not done. Find out what it was first: `list` tells where it came from,
    /// and the table `dead_request` keeps its bytes.
    Seen {
        /// Its number in the list
        number: u64,
        #[command(flatten)]
        target: Target,
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
        /// Masters as `keys new` made them, in place of --data
        #[arg(long, value_name = "DIR")]
        masters: Option<PathBuf>,
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
    /// Print the body id, the key generations and the DNS records of signatures; never a key
    Show {
        /// A folder that `keys new` or `keys split` made, in place of --data
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
        #[command(flatten)]
        data: DataOption,
    },
}

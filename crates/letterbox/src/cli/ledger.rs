//! The command line of `letterbox ledger`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::target::Target;

/// What the ledger is held against.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Checkpoints")]
pub(crate) struct CheckpointOptions {
    /// File of checkpoints that lies outside of the database: checkpoints.jsonl in a worker's --data folder
    ///
    /// May be given several times, one for each worker. Without it, those in the table are all there is,
    /// and whoever can change the ledger can take those away.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// A public key that the body signs or has signed its checkpoints with, as `keys show` prints it
    #[arg(long, value_name = "HEX")]
    pub(crate) public_key: Vec<String>,
    /// The same from a folder of keys, of `letterbox deliver` or of masters
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check that nothing in the unsubscribe ledger was changed, removed or put in
    ///
    /// Computes the hash of each entry and the chain over them, and holds it against the checkpoints. It
    /// names the first bad entry and ends with exit code 1. Memory does not grow with the ledger.
    ///
    /// On the folder of `letterbox up` it takes keys and checkpoints from there. For separate roles give
    /// --database, and from a worker's machine --checkpoints, and --public-key or --keys: without a key
    /// the signatures prove only that all of it was made by one hand.
    Verify {
        /// An export to check, in place of the database
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
        #[command(flatten)]
        against: CheckpointOptions,
        #[command(flatten)]
        target: Box<Target>,
    },
    /// Show that an unsubscribe is in the ledger, by the receipt of its page
    ///
    /// Says "accepted, not yet recorded" where there is no entry yet, as while the database is away; or the
    /// entry, its hash, and the checkpoint that covers it, with the chain from the one to the other
    /// computed anew.
    Prove {
        /// The receipt: 26 letters and digits; small letters, spaces and hyphens do no harm
        receipt: String,
        #[command(flatten)]
        against: CheckpointOptions,
        #[command(flatten)]
        target: Box<Target>,
    },
    /// Say whether any mail went out later than two seconds after its recipient had been stopped
    ///
    /// Workers look at every mail of an issue after they sent it, and write down those whose recipient had
    /// left by then. Later than two seconds there is none, ever: if there is one it is listed, and the exit
    /// code is 1. What was within the two seconds is counted for 35 days.
    Audit {
        #[command(flatten)]
        target: Box<Target>,
    },
    /// Write the whole ledger with its checkpoints to standard output, for whoever verifies it elsewhere
    ///
    /// JSON lines as FORMATS.md has them. No address is in it: random ids, numbers and times.
    Export {
        #[command(flatten)]
        against: CheckpointOptions,
        #[command(flatten)]
        target: Box<Target>,
    },
}

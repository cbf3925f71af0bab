//! The command lines of operator commands; those about issues are in `issue`,
//! those about keys in `keys`.

use std::path::PathBuf;

use clap::Subcommand;

use super::target::Target;

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

//! The command line. What `--help` prints is the manual.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options`, `limits` | groups of options that several commands share |
//! | `target` | which installation an operator command acts on |
//! | `up`, `roles` | what runs: everything in one process, or one role |
//! | `barrier` | spools, the barrier, restores, people's rights |
//! | `operator`, `issue`, `keys`, `ledger` | what an operator does to it |

mod barrier;
mod issue;
mod keys;
mod ledger;
mod limits;
mod operator;
mod options;
mod roles;
mod target;
mod up;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use self::ledger::{CheckpointOptions, LedgerCommand};
pub(crate) use barrier::{BarrierCommand, ReplayOptions, RightsCommand, SpoolCommand};
pub(crate) use issue::{ChangeOptions, DoubtWord, InDoubt, IssueCommand, SendOptions};
pub(crate) use keys::{KeysCommand, MastersOption, RotateCommand};
pub(crate) use limits::LimitOptions;
pub(crate) use operator::{BodyCommand, DeadLettersCommand, NewsletterCommand};
pub(crate) use options::{BrokerOptions, DatabaseOptions, RelayOptions, StopOption};
pub(crate) use roles::{DeliverOptions, IntakeOptions, MigrateOptions, UnsubscribeOptions};
pub(crate) use target::{DataOption, Target};
pub(crate) use up::UpOptions;

/// Email newsletters that a public body can trust with a resident's address.
///
/// Start with `letterbox up`: it runs everything in one process and prints what to try next. Larger
/// bodies run `intake`, `unsubscribe` and `deliver` as processes of their own. Operator commands act
/// on the running installation: give them the same --data folder, or the --database of the roles.
#[derive(Parser)]
#[command(
    name = "letterbox",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, with a private PostgreSQL: for trying it and for small bodies
    ///
    /// One process holds every key here. That is weaker than separate roles, where the part that
    /// takes sign-ups cannot read a single address. Use it to try Letterbox, or where you accept that.
    ///
    /// Without --smtp no mail leaves the machine: each message is a file in DIR/caught-mail, and
    /// /caught-mail shows them. Started as root, it creates and becomes the system user `letterbox`.
    /// Ctrl-C stops everything; the next start goes on with the same data.
    Up(Box<UpOptions>),
    /// Run the role that takes sign-ups: it can seal an address and never open one
    ///
    /// It answers 2xx once a request is on its own disk, and passes it on by RabbitMQ (--broker), or by
    /// the database where there is no broker. It works while both are down.
    Intake(Box<IntakeOptions>),
    /// Run the role behind unsubscribe links: it knows nothing about anybody
    ///
    /// It answers 2xx once an unsubscribe is on its own disk, and passes it on by RabbitMQ (--broker), or
    /// by the database where there is no broker. It works while both are down.
    Unsubscribe(Box<UnsubscribeOptions>),
    /// Run a worker: it applies requests to the database and sends mail
    ///
    /// Run as many as you like, each with a --data folder of its own that survives restarts.
    Deliver(Box<DeliverOptions>),
    /// Create the tables and rights of separate roles, or bring them up to date
    ///
    /// Run it with the database user that owns the tables, before roles of a new version start.
    Migrate(Box<MigrateOptions>),
    /// Say who sends: name, data protection officer, regulator, colour, reply-to
    #[command(subcommand)]
    Body(BodyCommand),
    /// Add, change and list newsletters
    #[command(subcommand)]
    Newsletter(NewsletterCommand),
    /// Send an issue, see how far it is, stop it and go on
    #[command(subcommand)]
    Issue(IssueCommand),
    /// Write commented example files to start from: body, newsletter, issue
    Examples {
        /// The folder; files that are there stay as they are
        dir: PathBuf,
    },
    /// Look at requests that could not be read
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Say whether mail goes out, and what it waits for if not
    Status {
        #[command(flatten)]
        target: Box<Target>,
    },
    /// Look at the web roles' spools, and say that one is gone for good
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Play the spool of a machine that is gone: every request in it is applied exactly once
    ///
    /// DIR is the folder, or a copy of it or of its archive, that the machine's role kept its spool in.
    /// Records that were applied have no effect again, so it may be played as often as you like, and
    /// the ledger has the time at which each was accepted. What is damaged is named.
    Replay(Box<ReplayOptions>),
    /// Let bulk mail pass the barrier for a while
    #[command(subcommand)]
    Barrier(BarrierCommand),
    /// Do what somebody has a right to: erase everything about an address
    #[command(subcommand)]
    Rights(RightsCommand),
    /// Verify, export and look into the unsubscribe ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Make, split, change and look at the keys of an installation
    #[command(subcommand)]
    Keys(KeysCommand),
}

//! `letterbox`: every role and every operator command in one binary.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `cli/` | the command line; `--help` is the manual |
//! | `settings/` | what options and environment say, checked |
//! | `roles/` | `letterbox intake`, `unsubscribe`, `deliver` and `migrate` |
//! | `up/` | `letterbox up`: settings, private PostgreSQL, the parts in one process, the summary |
//! | `operate/` | operator commands on a running installation |
//! | `keys/` | key files: masters, and the folders of the roles |
//! | `data_folder`, `open_spool` | what lies in `--data` |
//! | `public_pages`, `caught_mail_page` | pages that belong to no role |
//! | `starting` | log, ports and pages, alike for every process |
//! | `unprivileged` | dropping root's rights before any thread starts |
//! | `failure` | one line on standard error and an exit code |
//!
//! A walk: `main` reads the command line. `up::run` or one of `roles` checks its settings and keys,
//! `unprivileged` drops rights, spools are opened, each part is handed what it may hold, and the
//! process waits for a signal. `up` starts a private PostgreSQL besides.

mod caught_mail_page;
mod cli;
mod data_folder;
mod failure;
mod keys;
mod open_spool;
mod operate;
mod public_pages;
mod roles;
mod settings;
mod starting;
mod unprivileged;
mod up;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let (cli, matches) = match parse() {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => return refuse_command_line(&error),
        Err(error) => {
            // --help and --version: to standard output, a closed pipe is nobody's fault
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    // A core file would hold keys and addresses (`privacy.md` 5.5). The limit alone does not keep
    // the kernel from piping one to a handler.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = set_dumpable(false);
    // `FAILPOINTS=P8=return` and the like: only in what tests build.
    #[cfg(feature = "failpoints")]
    let _fail_points = fail::FailScenario::setup();
    match settings::secret::refuse_on_command_line(&matches)
        .map_err(anyhow::Error::from)
        .and_then(|()| run(cli.command))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(options) => up::run(*options),
        Command::Intake(options) => roles::intake(*options),
        Command::Unsubscribe(options) => roles::unsubscribe(*options),
        Command::Deliver(options) => roles::deliver(*options),
        Command::Migrate(options) => roles::migrate(&options),
        Command::Body(command) => operate::body(command),
        Command::Newsletter(command) => operate::newsletter(command),
        Command::Issue(command) => operate::issue(command),
        Command::Examples { dir } => operate::examples(&dir),
        Command::DeadLetters(command) => operate::dead_letters(command),
        Command::Status { target } => operate::status(&target),
        Command::Spool(command) => operate::spool(command),
        Command::Replay(options) => operate::replay(&options),
        Command::Barrier(command) => operate::barrier(command),
        Command::Rights(command) => operate::rights(command),
        Command::Ledger(command) => operate::ledger(command),
        Command::Keys(command) => operate::keys(command),
    }
}

/// The command line, and where each value of it came from.
fn parse() -> Result<(Cli, ArgMatches), clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    Ok((Cli::from_arg_matches(&matches)?, matches))
}

/// One line, where the library would print the usage as well.
fn refuse_command_line(error: &clap::Error) -> ExitCode {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or(&text);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("letterbox: {line}; see --help");
    ExitCode::from(2)
}

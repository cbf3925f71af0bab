//! `letterbox`: every role and every operator command in one binary.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `cli` | the command line; `--help` is the manual |
//! | `up/` | `letterbox up`: settings, private PostgreSQL, the parts in one process, the summary |
//! | `operate/` | operator commands on a running installation |
//! | `data_folder`, `key_files` | what lies in `--data` |
//! | `unprivileged` | dropping root's rights before any thread starts |
//! | `failure` | one line on standard error and an exit code |
//!
//! A walk: `main` reads the command line, `unprivileged` drops rights, `up::run` opens keys and
//! spools, starts PostgreSQL, hands each part what it may hold, and waits for a signal.

mod cli;
mod data_folder;
mod failure;
mod key_files;
mod operate;
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
    let outcome = match cli.command {
        Command::Up(options) => {
            let source = matches
                .subcommand_matches("up")
                .and_then(|matches| matches.value_source("smtp_password"));
            up::run(*options, source)
        }
        Command::Body(command) => operate::body(command),
        Command::Newsletter(command) => operate::newsletter(command),
        Command::Issue(command) => operate::issue(command),
        Command::Keys(command) => operate::keys(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
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

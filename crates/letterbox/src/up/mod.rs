//! `letterbox up`: all roles in one process, with a private PostgreSQL and no broker.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `settings` | every setting checked against the others |
//! | `private_postgres` | set up, started, kept running, stopped |
//! | `postgres_programs` | where its programs are |
//! | `parts` | what each part is handed, and the order in which they start and stop |
//! | `examples` | the example body, newsletter and issue |
//! | `summary` | what is printed |

mod examples;
mod parts;
mod postgres_programs;
mod private_postgres;
mod settings;
mod summary;

use anyhow::Context;
use service_runtime::OsEntropy;

pub(crate) use examples::write_files as write_examples;
pub(crate) use private_postgres::Connection;
pub(crate) use summary::line as print_line;

use crate::cli::UpOptions;
use crate::data_folder::DataFolder;
use crate::keys::{ledger_key, masters};
use crate::{starting, unprivileged};

/// Runs until a signal. Nothing is created or bound before all settings are checked.
pub(crate) fn run(options: UpOptions) -> anyhow::Result<()> {
    let data = DataFolder::at(&options.data.folder())?;
    let settings = settings::check(options)?;
    starting::log(&settings.log)?;

    let running_as = unprivileged::become_server_user(&data)?;
    data.create()?;
    // PostgreSQL's programs want a working folder that their user may enter.
    std::env::set_current_dir(data.root())
        .with_context(|| format!("cannot enter {}", data.root().display()))?;
    let _lock = data.lock()?;
    let instead = "another one, 127.0.0.1:8081 say";
    let listener = starting::listen(settings.listen, "--listen", instead)?;
    let made = masters::create_if_absent(&data.keys(), &OsEntropy)?;
    // An installation from before the ledger was signed has no key for it. Where one has signed, it is
    // somewhere, and another one must not take its place.
    let has_signed = data.state().join("checkpoints.jsonl").exists();
    if !made && !has_signed && !ledger_key::is_in(&data.keys()) {
        ledger_key::create(&data.keys(), &OsEntropy)?;
        print_line("The unsubscribe ledger is signed from now on: its key is made.");
    }
    let keys = masters::read(&data.keys())?;
    examples::write_files(&data.examples())?;

    print_line(&format!(
        "Letterbox {} in {}, as user {}{}.",
        env!("CARGO_PKG_VERSION"),
        data.root().display(),
        running_as.user_name,
        if made {
            ", first start: keys are made"
        } else {
            ""
        }
    ));
    let _gathered = starting::gather_log_lines()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    runtime.block_on(parts::run(settings, data, keys, listener))
}

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

use std::net::TcpListener;

use anyhow::Context;
use service_runtime::OsEntropy;

pub(crate) use examples::write_files as write_examples;
pub(crate) use private_postgres::Connection;
pub(crate) use summary::line as print_line;

use crate::cli::UpOptions;
use crate::data_folder::DataFolder;
use crate::failure::SettingsError;
use crate::keys::masters;
use crate::unprivileged;

/// Runs until a signal. Nothing is created or bound before all settings are checked.
pub(crate) fn run(options: UpOptions) -> anyhow::Result<()> {
    let data = DataFolder::at(&options.data.folder())?;
    let settings = settings::check(options)?;
    let log = service_runtime::logs::LogSettings {
        filter: settings.log.clone(),
        ..Default::default()
    };
    service_runtime::logs::init(&log)
        .map_err(|error| SettingsError::new(format!("--log: {error}")))?;

    let running_as = unprivileged::become_server_user(&data)?;
    data.create()?;
    // PostgreSQL's programs want a working folder that their user may enter.
    std::env::set_current_dir(data.root())
        .with_context(|| format!("cannot enter {}", data.root().display()))?;
    let _lock = data.lock()?;
    let listener = listen(&settings)?;
    let made = masters::create_if_absent(&data.keys(), &OsEntropy)?;
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    runtime.block_on(parts::run(settings, data, keys, listener))
}

/// Takes the port before anything slow happens, so that a wrong one is told at once.
fn listen(settings: &settings::UpSettings) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(settings.listen).map_err(|error| {
        SettingsError::new(format!(
            "--listen {}: {error}: stop what uses the address, or give another one, 127.0.0.1:8081 say",
            settings.listen
        ))
    })?;
    listener
        .set_nonblocking(true)
        .context("the listener cannot be used")?;
    Ok(listener)
}

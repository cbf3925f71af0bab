//! `letterbox migrate`: tables and rights.

use domain::Clock;
use service_runtime::SystemClock;
use store::StoreError;

use crate::cli::MigrateOptions;
use crate::failure::SettingsError;
use crate::keys::role_folders;
use crate::operate;
use crate::settings::database;
use crate::up::print_line;

/// Brings the tables up to date and ties the database to the body whose keys these are.
pub(crate) fn run(options: &MigrateOptions) -> anyhow::Result<()> {
    let body_id = role_folders::read_body_id(&options.keys)?;
    let settings = database::check(&options.database, 1)?;
    operate::block_on(async {
        let database = operate::connect(&settings).await?;
        database
            .migrate(body_id, SystemClock.now())
            .await
            .map_err(|error| match error {
                StoreError::OtherBody { .. } => SettingsError::new(format!(
                    "{error}: --keys and --database are of two installations"
                ))
                .into(),
                StoreError::Forbidden(cause) => anyhow::Error::new(SettingsError::new(format!(
                    "--database: this user may not do that: name the one that owns the database and its tables ({cause})"
                ))),
                other => {
                    anyhow::Error::new(other).context("the database was not brought up to date")
                }
            })?;
        print_line(&format!(
            "The database is up to date, for body {body_id}. Its roles: letterbox_intake, letterbox_unsubscribe, letterbox_deliver, letterbox_operator."
        ));
        Ok(())
    })
}

//! Keys of one installation and the database of another: nothing good can come of it, so the role
//! stops.

use std::time::Duration;

use domain::BodyId;
use service_runtime::Shutdown;
use store::{Database, StoreError};

use super::process::Failure;

const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Waits until the database answers. False where the process is to stop, also because the database
/// is of another body, which `failure` then says.
pub(super) async fn confirm(
    database: &Database,
    body_id: BodyId,
    failure: &Failure,
    shutdown: &Shutdown,
) -> bool {
    let mut told = false;
    while !shutdown.is_stopping() {
        match database.belongs_to(body_id).await {
            Ok(()) => return true,
            Err(error @ StoreError::OtherBody { .. }) => {
                failure.stop(
                    format!("{error}: --keys and --database are of two installations"),
                    shutdown,
                );
                return false;
            }
            Err(error) if told => tracing::debug!(%error, "the database is not confirmed"),
            Err(error) => {
                told = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "waiting for the database"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_AGAIN) => {}
            () = shutdown.token().cancelled() => {}
        }
    }
    false
}

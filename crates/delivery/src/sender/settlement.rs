//! What has to reach the database before anything else is done. Results are in the journal already,
//! so they may wait; but nothing new is claimed while they do.

use std::time::Duration;

use domain::{DeliveryState, MailKind};
use service_runtime::Shutdown;
use store::{AttemptResult, StoreError};

use super::AFTER_FAILURE;

/// Pause between two tries to reach the database.
const RETRY: Duration = Duration::from_millis(500);
/// How long a stopping process keeps trying; the journal has the rest.
const LAST_TRIES: u32 = 10;

/// Calls until it succeeds: what has been sent must be written down before anything else is done.
/// False where the process stops first.
pub(super) async fn insist<F, Fut, T>(what: &'static str, shutdown: &Shutdown, mut call: F) -> bool
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let (mut tries, mut tries_stopping) = (0u32, 0);
    loop {
        match call().await {
            Ok(_) => return true,
            Err(error) => {
                if tries == 0 || !error.is_temporary() {
                    tracing::warn!(%error, what, "the database did not take it: trying again");
                }
                tries += 1;
            }
        }
        if shutdown.is_stopping() {
            tries_stopping += 1;
            if tries_stopping >= LAST_TRIES {
                tracing::warn!(what, "left to the journal");
                return false;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Waits after the database failed a lane; what will not mend itself is logged.
pub(super) async fn complain(error: &StoreError, what: &str, shutdown: &Shutdown) {
    if !error.is_temporary() {
        tracing::error!(%error, "{what}");
    }
    crate::pause(AFTER_FAILURE, shutdown).await;
}

/// A final result that no relay was asked for.
pub(super) const fn without_reply(state: DeliveryState) -> AttemptResult {
    AttemptResult {
        state,
        code: None,
        enhanced: None,
        not_before: None,
        counts: true,
    }
}

/// Counts an outcome.
pub(crate) fn count(kind: MailKind, state: DeliveryState, number: u64) {
    metrics::counter!(
        "letterbox_deliveries_total",
        "kind" => kind.label(),
        "outcome" => state.label(),
    )
    .increment(number);
}

/// Says that a row got no mail, without saying whose.
pub(super) fn alarm(kind: MailKind, why: &super::prepare::Unmailable) {
    use super::prepare::Unmailable;
    if matches!(why, Unmailable::Forged | Unmailable::Unreadable) {
        metrics::counter!("letterbox_row_mac_failures_total").increment(1);
    }
    tracing::error!(kind = kind.label(), why = %why, "a recipient's mail was not made");
}

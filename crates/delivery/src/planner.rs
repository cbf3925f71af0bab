//! An approved issue becomes deliveries in chunks, step by step.

use std::time::Duration;

use domain::Clock;
use service_runtime::Shutdown;
use store::{FanOut, FanOutStep};

const EVERY: Duration = Duration::from_millis(500);
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Plans until the process stops.
pub(crate) async fn run(fan_out: &FanOut, clock: &dyn Clock, shutdown: &Shutdown) {
    while !shutdown.is_stopping() {
        let step = fan_out.step(clock.now()).await;
        #[cfg(feature = "failpoints")]
        if matches!(step, Ok(FanOutStep::Added(..) | FanOutStep::Complete(..))) {
            fail::fail_point!("P1", |_| std::process::abort());
        }
        match step {
            Ok(FanOutStep::Added(..)) => {}
            Ok(FanOutStep::Complete(issue, _)) => {
                tracing::info!(issue = issue.0, "the audience is complete: sending");
            }
            Ok(FanOutStep::Idle) => crate::pause(EVERY, shutdown).await,
            Err(error) if error.is_temporary() => crate::pause(AFTER_FAILURE, shutdown).await,
            Err(error) => {
                tracing::error!(%error, "an audience cannot be written down");
                crate::pause(AFTER_FAILURE, shutdown).await;
            }
        }
    }
}

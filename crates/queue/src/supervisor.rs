//! Keeps one connection: dials, prepares it for its duty, lets the duty work until the connection is
//! lost, and begins again, for ever. lapin has a recovery of its own, which gives up after eleven
//! minutes without telling anybody, and does not see a channel that the broker closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Entropy;
use tokio_util::sync::CancellationToken;

use crate::BrokerSettings;
use crate::dial::Wire;
use crate::link::LinkState;
use crate::metrics::Connection;
use crate::topology::TopologyProblem;

/// The wait before the second attempt, at most; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait: a broker that is back is found within it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A connection that lasted this long was a good one.
const HEALTHY: Duration = Duration::from_secs(10);

/// What a connection is for.
pub(crate) trait Duty: Send + 'static {
    /// What `prepare` leaves for `work`.
    type Ready: Send;

    /// Makes the queues and a channel.
    fn prepare(
        &mut self,
        wire: &Wire,
    ) -> impl Future<Output = Result<Self::Ready, TopologyProblem>> + Send;

    /// Works until the connection is lost or the duty is told to stop.
    fn work(
        &mut self,
        wire: &Wire,
        ready: Self::Ready,
        link: &mut LinkState,
    ) -> impl Future<Output = End> + Send;

    /// The connection is gone, and `link` says so.
    fn lost(&mut self);
}

/// How work ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As it was told to.
    Stopped,
    /// The connection is of no more use, for this reason.
    Lost(String),
}

/// Who connects, and to what.
pub(crate) struct Supervisor {
    pub(crate) settings: BrokerSettings,
    pub(crate) role: &'static str,
    pub(crate) connection: Connection,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) stop: CancellationToken,
}

impl Supervisor {
    /// Runs until it is told to stop.
    pub(crate) async fn run(self, mut duty: impl Duty, mut link: LinkState) {
        self.connection.announce();
        let mut failures = 0;
        let mut told = None;
        let mut first_address = 0;
        loop {
            let dialled = self.dial_any(&mut duty, first_address);
            let Some(dialled) = self.stop.run_until_cancelled(dialled).await else {
                return;
            };
            match dialled {
                Ok((address, wire, ready)) => {
                    first_address = address;
                    told = None;
                    let since = Instant::now();
                    link.up();
                    tracing::info!(
                        connection = self.connection.label(),
                        "The broker takes part"
                    );
                    let end = duty.work(&wire, ready, &mut link).await;
                    link.down();
                    duty.lost();
                    wire.close().await;
                    let End::Lost(reason) = end else { return };
                    self.connection.reconnects();
                    tracing::warn!(
                        connection = self.connection.label(),
                        reason,
                        "The connection to the broker was lost"
                    );
                    failures = if since.elapsed() >= HEALTHY {
                        0
                    } else {
                        failures + 1
                    };
                }
                Err(problem) => {
                    failures += 1;
                    self.tell(&problem, &mut told);
                    match problem {
                        TopologyProblem::Misdeclared(queue) => link.misdeclared(queue),
                        _ => link.down(),
                    }
                }
            }
            let pause = tokio::time::sleep(wait(failures, &*self.entropy));
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// The first address, from the one that worked last, that gives a prepared connection; else what
    /// was wrong with the last one.
    async fn dial_any<D: Duty>(
        &self,
        duty: &mut D,
        first: usize,
    ) -> Result<(usize, Wire, D::Ready), TopologyProblem> {
        let addresses = self.settings.addresses();
        let mut step = 0;
        loop {
            let place = (first + step) % addresses.len();
            let name = format!("letterbox {} {}", self.role, self.connection.label());
            let reached = match Wire::dial(&addresses[place], self.settings.tls(), name).await {
                Ok(wire) => duty.prepare(&wire).await.map(|ready| (wire, ready)),
                Err(problem) => Err(problem.into()),
            };
            step += 1;
            match reached {
                Ok((wire, ready)) => return Ok((place, wire, ready)),
                // The nodes of a cluster declare alike: another one would say the same.
                Err(problem @ TopologyProblem::Misdeclared(_)) => return Err(problem),
                Err(problem) if step == addresses.len() => return Err(problem),
                Err(problem) => tracing::debug!(
                    connection = self.connection.label(),
                    address = addresses[place].described(),
                    %problem,
                    "One address of the broker does not answer"
                ),
            }
        }
    }

    /// Says what is wrong once, not with each attempt.
    fn tell(&self, problem: &TopologyProblem, told: &mut Option<String>) {
        let reason = problem.to_string();
        if told.as_ref() == Some(&reason) {
            return;
        }
        let connection = self.connection.label();
        if matches!(problem, TopologyProblem::Dial(_)) {
            let broker = self.settings.described();
            tracing::warn!(
                connection,
                broker,
                reason,
                "The broker cannot be used; trying on"
            );
        } else {
            tracing::error!(connection, reason, "The broker cannot be used; trying on");
        }
        *told = Some(reason);
    }
}

/// Half of a limit that doubles, and a random part of the other half: processes that lost the broker
/// together do not come back together, and one that hangs up at once is not asked a thousand times.
fn wait(failures: u32, entropy: &dyn Entropy) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.min(10));
    let half = doubled.min(LONGEST_WAIT) / 2;
    let mut random = [0; 4];
    entropy.fill(&mut random);
    let share = f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
    half + half.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn waits(entropy: u8) -> Vec<u128> {
        [0, 1, 2, 3, 4, 5, 6, 1_000_000]
            .map(|failures| wait(failures, &Always(entropy)).as_millis())
            .to_vec()
    }

    #[test]
    fn waits_grow_to_five_seconds_and_stay_there() {
        let longest = [200, 400, 800, 1600, 3200, 5000, 5000, 5000];
        assert_eq!(waits(0xff), longest);
    }

    #[test]
    fn the_luckiest_waits_half_as_long() {
        let shortest = [100, 200, 400, 800, 1600, 2500, 2500, 2500];
        assert_eq!(waits(0), shortest);
        let between = wait(20, &Always(0x7f)).as_millis();
        assert!((3_700..3_800).contains(&between), "{between}");
    }
}

//! The end of a process: asked for once by a signal, seen by every task, waited for, and cut short
//! when the time is up (`reliability.md` 7.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The exit code after a second signal: the shell's own for "interrupted".
const INTERRUPTED: i32 = 130;

/// The stop of one process, and the register of its background tasks.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    leaving: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
    tracker: TaskTracker,
    task_panicked: Arc<AtomicBool>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Tasks that had not returned within the grace period and were dropped where they stood.
    pub cut_short: usize,
    /// Whether a background task had panicked, at any time.
    pub task_panicked: bool,
}

impl Shutdown {
    /// A process that nobody has asked to stop.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled as soon as the process is to stop: a task finishes what it has in hand, then
    /// returns.
    #[must_use]
    pub const fn token(&self) -> &CancellationToken {
        &self.soft
    }

    /// Whether the process is to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Whether the process is to stop soon: it serves on, and says to whoever asks that it is not
    /// ready.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Asks the process to stop.
    pub fn begin(&self) {
        self.leaving.cancel();
        self.soft.cancel();
    }

    /// Runs a task that [`finish`](Self::finish) waits for, in a span that carries its name.
    ///
    /// A panic in it is logged as an error and stops the process: a role whose shipper or registrar
    /// died unnoticed would go on answering while nothing behind it moves.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let alarm = PanicAlarm {
            name,
            shutdown: self.clone(),
        };
        let hard = self.hard.clone();
        let span = tracing::info_span!("task", task = name);
        let watched = async move {
            // Moved in, so that it is dropped by whatever ends the task, an unwinding included.
            let _alarm = alarm;
            tokio::select! {
                () = future => {}
                () = hard.cancelled() => tracing::warn!("task cut short"),
            }
        };
        self.tracker.spawn(watched.instrument(span));
    }

    /// Waits until somebody asks the process to stop: SIGTERM, SIGINT, or [`begin`](Self::begin),
    /// which a panicking task calls too. From then on a second signal ends the process at once; what
    /// it had in hand is found again by the next start.
    ///
    /// After SIGTERM, which a supervisor sends, `notice` passes before the stop begins: a load balancer
    /// finds the process not ready and sends its requests elsewhere, while it still answers.
    ///
    /// # Errors
    /// If the signals cannot be listened for.
    pub async fn wait_for_signal(&self, notice: Duration) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut notice_given = Duration::ZERO;
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!("SIGTERM: stopping");
                notice_given = notice;
            }
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            () = self.soft.cancelled() => {}
        }
        self.leaving.cancel();
        // Not on the tracker: it would be a task that `finish` waits for and that never returns.
        let impatient = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("second signal: ending at once");
            std::process::exit(INTERRUPTED);
        };
        TaskTracker::new().spawn(impatient);
        tokio::select! {
            () = tokio::time::sleep(notice_given) => {}
            () = self.soft.cancelled() => {}
        }
        self.begin();
        Ok(())
    }

    /// Stops: asks every task to return, waits for them, and drops those that have not after `grace`.
    pub async fn finish(&self, grace: Duration) -> Finished {
        self.begin();
        self.tracker.close();
        let mut cut_short = 0;
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_err()
        {
            cut_short = self.tracker.len();
            tracing::warn!(tasks = cut_short, "tasks did not return in time");
            self.hard.cancel();
            self.tracker.wait().await;
        }
        Finished {
            cut_short,
            task_panicked: self.task_panicked.load(Ordering::SeqCst),
        }
    }
}

/// Dropped with its task; if that is because of a panic, nobody else would notice.
struct PanicAlarm {
    name: &'static str,
    shutdown: Shutdown,
}

impl Drop for PanicAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                task = self.name,
                "background task panicked: stopping the process"
            );
            metrics::counter!("letterbox_task_panics_total", "task" => self.name).increment(1);
            self.shutdown.task_panicked.store(true, Ordering::SeqCst);
            self.shutdown.begin();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_stop_waits_for_a_task_that_finishes_its_work() {
        let shutdown = Shutdown::new();
        let token = shutdown.token().clone();
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        shutdown.spawn("worker", async move {
            token.cancelled().await;
            tokio::task::yield_now().await;
            seen.store(true, Ordering::SeqCst);
        });
        let finished = shutdown.finish(Duration::from_secs(10)).await;
        assert!(done.load(Ordering::SeqCst));
        assert_eq!(
            finished,
            Finished {
                cut_short: 0,
                task_panicked: false
            }
        );
    }

    #[tokio::test]
    async fn a_task_that_does_not_return_is_cut_short_and_counted() {
        let shutdown = Shutdown::new();
        shutdown.spawn("stuck", std::future::pending());
        assert_eq!(shutdown.finish(SHORT).await.cut_short, 1);
    }

    #[tokio::test]
    async fn a_panic_in_a_background_task_stops_the_process() {
        let shutdown = Shutdown::new();
        shutdown.spawn("broken", async { panic!("planted") });
        // The wait returns without any signal.
        tokio::time::timeout(
            Duration::from_secs(10),
            shutdown.wait_for_signal(Duration::ZERO),
        )
        .await
        .unwrap()
        .unwrap();
        assert!(shutdown.is_stopping());
        assert!(shutdown.finish(SHORT).await.task_panicked);
    }

    #[tokio::test]
    async fn a_panic_after_an_await_is_noticed_too() {
        let shutdown = Shutdown::new();
        shutdown.spawn("broken later", async {
            tokio::task::yield_now().await;
            panic!("planted");
        });
        let noticed = shutdown.token().cancelled();
        tokio::time::timeout(Duration::from_secs(10), noticed)
            .await
            .unwrap();
        assert!(shutdown.finish(SHORT).await.task_panicked);
    }
}

//! Another history of the database: a standby that had not received all took over, or a backup was played
//! back (`reliability.md` 1.12).
//!
//! Which timeline a worker has made its peace with is kept in its folder. On any other one nothing is sent
//! until the journal is said again; and not for half a minute, in which other workers do the same.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use service_runtime::Shutdown;
use store::{Database, Timeline};

use crate::reassertion::reassert;
use crate::sender::Sender;
use crate::state_dir;

/// Others have heard of it after so long, and have said what they know.
const HOLD: Duration = Duration::from_secs(30);
/// A change is seen with the first connection that leads to it. Behind a proxy that keeps our end of one
/// it is asked for.
const ASK: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);

/// The file with the timeline.
#[derive(Debug)]
pub(crate) struct TimelineFile(PathBuf);

impl TimelineFile {
    /// In a worker's folder.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The timeline of the last peace; 0 where there was none, and one that there never is where that
    /// cannot be read.
    pub(crate) fn read(&self) -> u32 {
        match fs::read_to_string(&self.0) {
            Ok(text) => text.trim().parse().unwrap_or(u32::MAX),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(_) => u32::MAX,
        }
    }

    /// Keeps it, also if the machine loses its power now.
    fn write(&self, timeline: u32) -> io::Result<()> {
        state_dir::replace(&self.0, &format!("{timeline}\n"))
    }
}

/// Makes peace with a new timeline.
pub(crate) struct TimelineWatch {
    pub(crate) database: Database,
    pub(crate) sender: Arc<Sender>,
    pub(crate) file: TimelineFile,
}

impl TimelineWatch {
    /// Watches until the process stops.
    pub(crate) async fn run(self, shutdown: &Shutdown) {
        let timeline = self.database.timeline();
        while !shutdown.is_stopping() {
            let settled = self.sender.fence.settled_timeline();
            if timeline.seen() != settled {
                self.settle(&timeline, shutdown).await;
                continue;
            }
            tokio::select! {
                () = timeline.until_not(settled) => {}
                () = crate::pause(ASK, shutdown) => {
                    // without an answer nothing is sent for other reasons
                    let _ = self.database.read_timeline().await;
                }
            }
        }
    }

    async fn settle(&self, timeline: &Timeline, shutdown: &Shutdown) {
        let (sender, seen) = (&self.sender, timeline.seen());
        let fence = &sender.fence;
        // a worker that never saw the database has sent nothing that it could have forgotten
        if fence.settled_timeline() != 0 {
            metrics::counter!("letterbox_timelines_changed_total").increment(1);
            tracing::warn!(
                timeline = seen,
                "the database goes by another history: nothing is sent until it knows again what this \
                 worker sent"
            );
            let begin = fence.now();
            // before the wait, for whoever looks at an issue meanwhile, and after it, for what came to its
            // end or was written down in between
            loop {
                let is_last = fence.now().since(begin) >= HOLD;
                if self.say().await == Some(0) && is_last {
                    break;
                }
                loop {
                    crate::pause(AGAIN, shutdown).await;
                    if shutdown.is_stopping() || timeline.seen() != seen {
                        return;
                    }
                    if fence.now().since(begin) >= HOLD {
                        break;
                    }
                }
            }
            tracing::info!("the journal was said again: sending goes on");
        }
        if let Err(error) = self.file.write(seen) {
            // the next start says it once more
            tracing::error!(%error, "the timeline cannot be written to the worker's folder");
        }
        fence.settle_timeline(seen);
    }

    /// Says the journal, and how many recipients cannot be told yet; none where it failed.
    async fn say(&self) -> Option<u64> {
        let sender = &self.sender;
        match reassert(sender, sender.clock.now()).await {
            Ok(said) => {
                tracing::info!(
                    settled = said.settled,
                    in_doubt = said.in_doubt,
                    awaited = said.awaited,
                    "the journal was said again"
                );
                Some(said.awaited)
            }
            Err(error) => {
                tracing::warn!(%error, "the journal could not be said again");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_is_kept_and_a_spoilt_file_makes_no_peace() {
        let folder = tempfile::tempdir().unwrap();
        let file = TimelineFile::new(folder.path().join("timeline"));
        assert_eq!(file.read(), 0);
        file.write(7).unwrap();
        file.write(8).unwrap();
        assert_eq!(file.read(), 8);
        fs::write(folder.path().join("timeline"), "x").unwrap();
        assert_eq!(file.read(), u32::MAX);
    }
}

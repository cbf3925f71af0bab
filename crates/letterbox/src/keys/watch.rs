//! A running role takes the link keys that appear in its folder, and the marks on them, without a restart.
//!
//! A folder that is bad, or half written, is refused with a message, and the role goes on with the keys it
//! has. Sealing keys, keys of addresses and signatures are read at the start only.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use domain::{BodyId, KeyId, KeyState};
use link_token::LinkKeys;
use link_token::return_path::ReturnPathKeys;
use service_runtime::Shutdown;
use tokio::time::Instant;

/// What operators are promised; [`EVERY`] and [`Settling`] keep well within it.
pub(crate) const AT_THE_LATEST: Duration = Duration::from_secs(10);
/// How often a role looks into its folder.
const EVERY: Duration = Duration::from_secs(1);
/// How often a folder that is refused is spoken of.
const REMIND: Duration = Duration::from_mins(1);

/// How long a folder has to look the same before it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settling {
    /// One more look: whoever writes into it may not be done.
    Short,
    /// For a role that makes links: those that verify them take a new key first.
    Long,
}

impl Settling {
    const fn time(self) -> Duration {
        match self {
            Self::Short => Duration::from_millis(500),
            Self::Long => Duration::from_millis(4_500),
        }
    }
}

/// The keys of a role that can change while it runs.
#[derive(Debug)]
pub(crate) struct ChangingKeys {
    pub(crate) body_id: BodyId,
    pub(crate) links: Vec<LinkKeys>,
    pub(crate) return_paths: Option<ReturnPathKeys>,
}

impl ChangingKeys {
    /// Takes over what was read anew; nothing of it, where links would stop working.
    fn renew(&self, newer: &Self) -> anyhow::Result<()> {
        ensure!(
            self.body_id == newer.body_id,
            "they are of another body than before"
        );
        let paths = || self.return_paths.iter().zip(&newer.return_paths);
        for (held, newer) in self.links.iter().zip(&newer.links) {
            held.can_renew(newer)?;
        }
        for (held, newer) in paths() {
            held.can_renew(newer)?;
        }
        for (held, newer) in self.links.iter().zip(&newer.links) {
            held.renew(newer)?;
        }
        for (held, newer) in paths() {
            held.renew(newer)?;
        }
        Ok(())
    }

    fn states(&self) -> Vec<(KeyId, KeyState)> {
        self.links.first().map(LinkKeys::states).unwrap_or_default()
    }
}

/// The folder of a running role.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) folder: PathBuf,
    /// Reads it as at the start.
    pub(crate) read: fn(&Path) -> anyhow::Result<ChangingKeys>,
    /// What the role uses.
    pub(crate) held: ChangingKeys,
    pub(crate) settling: Settling,
}

/// What a look saw: names with all that a change of a file changes, or why there was nothing to see.
type Look = Result<BTreeMap<String, (u64, u64, [i64; 4])>, String>;

/// What is known of the folder.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The look whose keys are in use, or were refused.
    settled: Option<Look>,
    /// A look that differs, and since when it is the same.
    changing: Option<(Look, Instant)>,
    /// Why the keys were refused, and when that was last said.
    refused: Option<(String, Option<Instant>)>,
}

impl Seen {
    /// Why the folder is refused, if it is.
    #[cfg(test)]
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refused.as_ref().map(|(why, _)| why.as_str())
    }

    /// Whether what is there now is to be read.
    fn is_due(&mut self, look: Look, now: Instant, settling: Settling) -> bool {
        if self.settled.as_ref() == Some(&look) {
            self.changing = None;
            return false;
        }
        match &self.changing {
            Some((same, since)) if *same == look => {
                let due = now.duration_since(*since) >= settling.time();
                if due {
                    self.settled = Some(look);
                    self.changing = None;
                }
                due
            }
            _ => {
                self.changing = Some((look, now));
                false
            }
        }
    }
}

impl Watch {
    /// Follows the folder until the process stops.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        metrics::describe_gauge!(
            "letterbox_link_keys",
            "Generations of link keys that this process uses, by state"
        );
        metrics::describe_gauge!(
            "letterbox_key_folder_refused",
            "1 while the key folder holds something that this process cannot use: it goes on with the keys it has"
        );
        let mut seen = Seen::default();
        self.show(&seen);
        while !shutdown.is_stopping() {
            self.step(&mut seen, Instant::now()).await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.token().cancelled() => {}
            }
        }
    }

    /// One look, and what follows from it.
    pub(super) async fn step(&self, seen: &mut Seen, now: Instant) {
        let folder = self.folder.clone();
        if let Ok(look) = tokio::task::spawn_blocking(move || look(&folder)).await
            && seen.is_due(look, now, self.settling)
        {
            let (read, folder) = (self.read, self.folder.clone());
            let newer = tokio::task::spawn_blocking(move || read(&folder)).await;
            let outcome = newer
                .context("the folder could not be read")
                .and_then(|keys| self.take_over(&keys?));
            seen.refused = outcome.err().map(|error| (format!("{error:#}"), None));
            self.show(seen);
        }
        if let Some((why, said)) = &mut seen.refused
            && said.is_none_or(|last| now.duration_since(last) >= REMIND)
        {
            *said = Some(now);
            tracing::error!(
                folder = %self.folder.display(),
                why,
                "the keys in the folder cannot be used: this process goes on with those it has, and its next start would fail"
            );
        }
    }

    fn take_over(&self, newer: &ChangingKeys) -> anyhow::Result<()> {
        let before = self.held.states();
        self.held.renew(newer)?;
        let states = self.held.states();
        if states != before {
            tracing::info!(keys = shown(&states), "the link keys have changed");
        }
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and this number is small"
    )]
    fn show(&self, seen: &Seen) {
        let states = self.held.states();
        for state in [KeyState::Current, KeyState::Retired, KeyState::Compromised] {
            let number = states.iter().filter(|(_, its)| *its == state).count();
            metrics::gauge!("letterbox_link_keys", "state" => state.label()).set(number as f64);
        }
        metrics::gauge!("letterbox_key_folder_refused")
            .set(f64::from(u8::from(seen.refused.is_some())));
    }
}

fn shown(states: &[(KeyId, KeyState)]) -> String {
    let each: Vec<_> = states
        .iter()
        .map(|(kid, state)| format!("{} {}", kid.0, state.label()))
        .collect();
    each.join(", ")
}

fn look(folder: &Path) -> Look {
    let changing = |file: &fs::Metadata| {
        let times = [
            file.mtime(),
            file.mtime_nsec(),
            file.ctime(),
            file.ctime_nsec(),
        ];
        (file.ino(), file.len(), times)
    };
    let list = || -> io::Result<_> {
        // The folder itself too: who may enter it matters as much.
        let mut found = BTreeMap::from([(".".to_owned(), changing(&fs::metadata(folder)?))]);
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            found.insert(name, changing(&entry.metadata()?));
        }
        Ok(found)
    };
    list().map_err(|error| error.to_string())
}

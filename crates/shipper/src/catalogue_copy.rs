//! The role's own copy of the catalogue, which survives the database.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::Catalogue;
use service_runtime::Shutdown;
use store::{CatalogueReader, StoreError};
use tracing::{info, warn};

/// How often the database is asked (`DESIGN.md` 2).
const REFRESH_EVERY: Duration = Duration::from_secs(5);

/// The catalogue as this role knows it; clones share it.
#[derive(Debug, Clone)]
pub struct CatalogueCopy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// JSON; `None` for a fixed catalogue.
    path: Option<PathBuf>,
    current: RwLock<Option<Arc<Catalogue>>>,
    /// Whether the file holds the current one.
    saved: AtomicBool,
}

impl CatalogueCopy {
    /// Starts with what the file holds; with nothing where there is none or it cannot be read.
    #[must_use]
    pub fn load(path: PathBuf) -> Self {
        let current = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .inspect_err(|error| warn!(%error, "the copy of the catalogue is damaged"))
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(%error, "the copy of the catalogue cannot be read");
                None
            }
        };
        Self::new(Some(path), current)
    }

    /// A catalogue that never changes and has no file: for tests and previews.
    #[must_use]
    pub fn fixed(catalogue: Catalogue) -> Self {
        Self::new(None, Some(catalogue))
    }

    fn new(path: Option<PathBuf>, current: Option<Catalogue>) -> Self {
        Self {
            inner: Arc::new(Inner {
                path,
                saved: AtomicBool::new(current.is_some()),
                current: RwLock::new(current.map(Arc::new)),
            }),
        }
    }

    /// The catalogue now; an empty one while neither file nor database gave any.
    #[must_use]
    pub fn current(&self) -> Arc<Catalogue> {
        self.known().unwrap_or_default()
    }

    /// Whether file or database ever gave one: without, intake answers 503 and is not ready.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.known().is_some()
    }

    fn known(&self) -> Option<Arc<Catalogue>> {
        let current = self.inner.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the database once, and writes the file if anything changed. Gives whether it did. A file
    /// that cannot be written is logged and tried again next time: the role works without.
    ///
    /// # Errors
    /// Those of [`CatalogueReader::read`]; the copy stays as it was.
    pub async fn refresh(&self, reader: &CatalogueReader) -> Result<bool, StoreError> {
        let fresh = reader.read().await?;
        let changed = self.known().as_deref() != Some(&fresh);
        let fresh = Arc::new(fresh);
        if changed {
            self.inner.saved.store(false, Ordering::Relaxed);
            *self
                .inner
                .current
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fresh));
        }
        if !self.inner.saved.load(Ordering::Relaxed)
            && let Some(path) = self.inner.path.clone()
        {
            let saved = tokio::task::spawn_blocking(move || save(&path, &fresh)).await;
            match saved.map_err(io::Error::other).flatten() {
                Ok(()) => self.inner.saved.store(true, Ordering::Relaxed),
                Err(error) => warn!(%error, "the copy of the catalogue cannot be written"),
            }
        }
        Ok(changed)
    }

    /// Refreshes every 5 s until the process stops. Spawn it on the process's [`Shutdown`].
    pub async fn keep_fresh(self, reader: CatalogueReader, shutdown: Shutdown) {
        let mut reached = true;
        loop {
            let refreshed = tokio::select! {
                () = shutdown.token().cancelled() => return,
                refreshed = self.refresh(&reader) => refreshed,
            };
            match refreshed {
                Ok(changed) => {
                    if changed {
                        info!("the catalogue changed");
                    }
                    reached = true;
                }
                // Once for each time that the database goes away.
                Err(error) => {
                    if reached {
                        warn!(%error, "the catalogue cannot be refreshed; its copy serves on");
                    }
                    reached = false;
                }
            }
            tokio::select! {
                () = shutdown.token().cancelled() => return,
                () = tokio::time::sleep(REFRESH_EVERY) => {}
            }
        }
    }
}

/// The old file or the new one is there whatever happens, never half of one.
fn save(path: &Path, catalogue: &Catalogue) -> io::Result<()> {
    let bytes = serde_json::to_vec(catalogue)?;
    let unfinished = path.with_extension("json.new");
    let mut file = File::create(&unfinished)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

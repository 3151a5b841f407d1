//! Values that were measured, in the user's cache folder, by the contents that they are of: a session that was killed, a
//! run that was moved and a second isoloss beside the first find them again.
//!
//! ```text
//! <cache>/isoloss/planes/          planes that were made, for whoever measures on them next
//! <cache>/isoloss/measured.sqlite
//!   file   the content of a checkpoint, by its file as it was
//!   scene  a loss on a plane: everything that a value depends on beside its place
//!   point  values at places of a scene, on all samples or on few
//!   spot   values elsewhere: of checkpoints, averages, updates, curvature, answers of a path, dot products
//! ```
//!
//! It is SQLite, because that alone among the embedded databases keeps a value through a `kill -9` without a wait for the
//! disk, lets several processes write, and is read by other programs. A value is there before it is shown.

mod contents;
mod database;
mod digest;
mod file_contents;
mod kept_products;
mod trim;

pub use self::contents::Contents;
pub use self::database::{KeptPoint, PointPlace, SceneId, Store};
pub use self::digest::{Digest, digest};
pub(crate) use self::file_contents::FileContents;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::weights::{KeptProducts, PlaneFiles};

use self::kept_products::StoredProducts;

/// A database, and the bytes that it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlace {
    /// Its file.
    pub path: PathBuf,
    /// Bytes at most when it is opened.
    pub room: u64,
}

/// The databases that this process has open.
static OPEN: Mutex<Vec<(PathBuf, Weak<Store>)>> = Mutex::new(Vec::new());

impl StorePlace {
    /// Opens the database, or returns the one that this process has open already: on a network file system a second one
    /// would wait for the first.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(&self) -> Result<Arc<Store>, StoreError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, store)| store.strong_count() > 0);
        let known = open.iter().find(|(path, _)| *path == self.path);
        if let Some(store) = known.and_then(|(_, store)| store.upgrade()) {
            return Ok(store);
        }
        let store = Arc::new(Store::open(&self.path, self.room)?);
        open.push((self.path.clone(), Arc::downgrade(&store)));
        Ok(store)
    }

    /// Returns the dot products that the database has.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn products(&self) -> Result<Arc<dyn KeptProducts>, StoreError> {
        Ok(Arc::new(StoredProducts::new(self.open()?)))
    }

    /// Returns the place of planes that were made, beside the database.
    #[must_use]
    pub fn planes(&self) -> PlaneFiles {
        PlaneFiles {
            folder: self.path.with_file_name("planes"),
            room: self.room,
        }
    }
}

/// Reason why a value cannot be kept or found.
#[derive(Debug, thiserror::Error)]
#[error("{}: what is measured cannot be kept there: {source}", path.display())]
pub struct StoreError {
    /// The database.
    path: PathBuf,
    /// The reason.
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Returns the reason of the database without its number, which says the same again.
fn in_short(
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Box<dyn std::error::Error + Send + Sync> {
    match source.downcast_ref::<rusqlite::Error>() {
        Some(rusqlite::Error::SqliteFailure(_, Some(reason))) => reason.as_str().into(),
        _ => source,
    }
}

impl StoreError {
    fn of<E: Into<Box<dyn std::error::Error + Send + Sync>>>(path: &Path) -> impl Fn(E) -> Self {
        let path = path.to_path_buf();
        move |source| Self {
            path: path.clone(),
            source: in_short(source.into()),
        }
    }
}

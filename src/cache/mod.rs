//! The user's cache folder: copies of checkpoints that were read, so that a path outlives the files that a
//! trainer rotates, overwrites or deletes.
//!
//! ```text
//! <cache>/isoloss/runs/<name>-<hash of the run's path>/
//!   run.json              where the run is
//!   <content>.safetensors the model's tensors of one checkpoint
//!   <path>-<content>.json which checkpoint that was: name, step, counters, order of arrival
//!   path.json             how the path was drawn last: signs of its axes, branches that were left;
//!   path-<choice>.json    the same where --only or --key chose another
//! ```
//!
//! Each checkpoint has a record of its own and every file is written under a temporary name and renamed, so
//! that several watchers of one run do not disturb each other.

mod checkpoint_record;
mod copy;
mod list;
mod room;
mod run_cache;
mod thin;

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

pub use checkpoint_record::{KeptRecord, KeptStanding};
pub use list::{CachedRun, clear, list};
pub use room::{KeepLimit, bytes};
pub use run_cache::{KeepOutcome, RunCache};
pub use thin::evenly_thinned;

/// Reasons why a copy could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The checkpoint itself cannot be read.
    #[error(transparent)]
    Format(#[from] crate::run::format::FormatError),
    /// The system refuses.
    #[error("{}: checkpoints cannot be kept there: {source}", path.display())]
    Io {
        /// The file or folder in the cache.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl CacheError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// Returns the folder that holds a folder for each run; `None` if the user has no home.
#[must_use]
pub fn root() -> Option<PathBuf> {
    let folders = ProjectDirs::from("", "", "isoloss")?;
    Some(folders.cache_dir().join("runs"))
}

/// Returns the folder of a run: its name for people, a hash of its path for the program. `None` if the user has no
/// home, or if that lies in the run, where nothing is written.
#[must_use]
pub fn folder_of(run: &Path) -> Option<PathBuf> {
    let run = real(run);
    let name: String = run.file_name().map_or_else(String::new, |name| {
        let name = name.to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        name.chars().filter(|c| plain(*c)).take(40).collect()
    });
    let hash = blake3::hash(run.as_os_str().as_encoded_bytes()).to_hex();
    let root = root().filter(|root| !root.starts_with(&run))?;
    Some(root.join(format!("{name}-{}", hash.get(..16)?)))
}

/// Returns the absolute path without links, so that a run is found under every name it has.
#[must_use]
pub fn real(run: &Path) -> PathBuf {
    std::fs::canonicalize(run)
        .or_else(|_| std::path::absolute(run))
        .unwrap_or_else(|_| run.to_path_buf())
}

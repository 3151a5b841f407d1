//! Contents of the cache, for `isoloss cache`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::{regular, unicode};

use super::{CacheError, root};

/// Name of the file that says where a run is.
pub(super) const RUN: &str = "run.json";
/// Far more than a path takes.
const LARGEST: u64 = 1 << 20;

/// A run of which checkpoints are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CachedRun {
    /// Folder where the run is or was.
    #[serde(serialize_with = "unicode::path")]
    pub run: PathBuf,
    /// Its folder in the cache.
    #[serde(serialize_with = "unicode::path")]
    pub folder: PathBuf,
    /// Number of copies.
    pub checkpoints: usize,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// The contents of `run.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct RunFile {
    pub(super) run: PathBuf,
}

/// Returns every run of which something is kept, by path.
#[must_use]
pub fn list() -> Vec<CachedRun> {
    let folders = root().and_then(|root| fs::read_dir(root).ok());
    let mut runs: Vec<CachedRun> = folders
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| cached(&entry.path()))
        .collect();
    runs.sort_by(|a, b| a.run.cmp(&b.run));
    runs
}

/// Returns the run of a cache folder; `None` for a folder that is none.
fn cached(folder: &Path) -> Option<CachedRun> {
    let text = regular::read_text(&folder.join(RUN), LARGEST).ok()?;
    let RunFile { run } = serde_json::from_str(&text).ok()?;
    let (mut checkpoints, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let copy = entry.path().extension().is_some_and(|e| e == "safetensors");
        checkpoints += usize::from(copy);
        bytes += entry.metadata().map_or(0, |metadata| metadata.len());
    }
    Some(CachedRun {
        run,
        folder: folder.to_path_buf(),
        checkpoints,
        bytes,
    })
}

/// Removes what is kept of a run, or of all.
///
/// # Errors
/// A file cannot be removed.
pub fn clear(run: Option<&Path>) -> Result<Vec<CachedRun>, CacheError> {
    let wanted = run.map(super::real);
    let chosen = list()
        .into_iter()
        .filter(|cached| wanted.as_ref().is_none_or(|run| *run == cached.run));
    let chosen: Vec<CachedRun> = chosen.collect();
    for cached in &chosen {
        fs::remove_dir_all(&cached.folder).map_err(CacheError::io(&cached.folder))?;
    }
    Ok(chosen)
}

//! The files on disk: a run is a folder, a checkpoint is a file or an HF-style folder in it.
//!
//! Everything here only reads, with ordinary reads; nothing is mapped and nothing is written.

pub mod catalog;
pub mod contains;
pub mod filesystem;
pub mod fingerprint;
pub mod format;
pub mod history;
pub mod hyper;
pub mod log;
pub mod model_settings;
pub mod names;
mod natural_order;
mod open;
pub mod regular;
pub mod save_times;
pub mod scan;
pub mod scanner;
pub mod settle;
mod stability_edge;
pub mod unicode;
mod weights_hash;

pub use catalog::CheckpointFacts;
pub use filesystem::Filesystem;
pub use fingerprint::Fingerprint;
pub use format::named::{MemoryView, NamedTensors};
pub(crate) use format::pickle::{Node, Pickle, Value};
pub(crate) use format::source::Source;
pub use format::{Buffers, Content, Dtype, FormatError, InnerCounters, StateDict, TensorInfo};
pub use history::{History, Seen};
pub use hyper::Hyper;
pub use log::{LogClock, LogUpdate, Logged, Series, TrainingLog};
pub use model_settings::ModelSettings;
pub use save_times::SaveTimes;
pub use scan::FolderScanner;
pub use scanner::Watcher;
pub use settle::{RunEvent, Settled};
pub use stability_edge::Optimizer;
pub use weights_hash::content;

pub use open::{Opened, RunChoice, arranged, header, open, worth_opening};

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One saved state of training.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// Training step, from the file name, the folder name or the checkpoint's own record.
    pub step: u64,
    /// The file, or the HF-style folder that holds the weights. It may be gone, or hold a later content,
    /// where a copy was kept.
    #[serde(serialize_with = "unicode::path")]
    pub path: PathBuf,
    /// The copy in the user's cache that is read instead; `None` if the run's own file is.
    #[serde(default, serialize_with = "unicode::optional")]
    pub kept: Option<PathBuf>,
    /// Number that tells contents apart which were saved under one path, in order of arrival.
    #[serde(default)]
    pub arrival: u64,
    /// Time of the last change of its file; `None` if the step alone orders it.
    #[serde(default)]
    pub modified: Option<SystemTime>,
}

/// Returns the folder that a link such as `latest-run` leads to now, else the path itself: a session stays with one run
/// when the link is moved to the next.
#[must_use]
pub fn followed(run: PathBuf) -> PathBuf {
    let is_link = std::fs::symlink_metadata(&run).is_ok_and(|run| run.is_symlink());
    if is_link {
        std::fs::canonicalize(&run).unwrap_or(run)
    } else {
        run
    }
}

/// Returns the index of the first of the last checkpoints of a path that are all older than the one before them:
/// perhaps an earlier run left them. `None` if there are none.
pub fn older_tail<'a>(path: impl Iterator<Item = &'a Checkpoint>) -> Option<usize> {
    let times: Vec<Option<SystemTime>> = path.map(|checkpoint| checkpoint.modified).collect();
    (1..times.len()).find(|&at| {
        let (head, tail) = times.split_at(at);
        tail.iter().max() < head.last()
    })
}

impl Checkpoint {
    /// Returns a checkpoint that is read where the run has it.
    #[must_use]
    pub fn new(step: u64, path: impl Into<PathBuf>) -> Self {
        Self {
            step,
            path: path.into(),
            kept: None,
            arrival: 0,
            modified: None,
        }
    }

    /// Returns the file that is read for it, and the state dict inside that: a copy holds the one of `key` alone.
    #[must_use]
    pub fn source<'a>(&'a self, key: Option<&'a str>) -> (&'a Path, Option<&'a str>) {
        match &self.kept {
            Some(copy) => (copy, None),
            None => (&self.path, key),
        }
    }

    /// Returns true if the run's own file is still the one that was read, as its time of change tells.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        let fingerprint = scan::fingerprint_of(&self.path);
        fingerprint.is_some_and(|fingerprint| {
            self.modified
                .is_none_or(|time| time == fingerprint.modified)
        })
    }

    /// Returns true if both are the same content, wherever it is read from.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (self.arrival, &self.path) == (other.arrival, &other.path)
    }
}

/// Reasons why a run could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing is there.
    #[error("{}: expected a run folder or a checkpoint, found nothing there", .0.display())]
    Missing(PathBuf),
    /// A pipe or a device is there.
    #[error("{}: expected a run folder or a checkpoint, found a pipe or a device: not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// The folder cannot be listed.
    #[error("{}: cannot be listed: {source}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No file in the folder looks like a checkpoint.
    #[error(
        "{}: holds no checkpoint: expected files of torch.save or safetensors, of any ending, or checkpoint-N folders, found {}",
        path.display(),
        if others.is_empty() { "none" } else { others.as_str() }
    )]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
        /// Files that are none, in words; empty if there are none.
        others: String,
    },
    /// The files of the folder are others than those that were asked for.
    #[error("{}: holds no checkpoint that --only {only} names, found {others}", path.display())]
    NoneChosen {
        /// The folder.
        path: PathBuf,
        /// The globs.
        only: String,
        /// Files that are there, in words.
        others: String,
    },
    /// The one checkpoint that was named cannot be read.
    #[error(transparent)]
    Format(#[from] format::FormatError),
}

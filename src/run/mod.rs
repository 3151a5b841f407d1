//! What is on disk: a run is a folder, a checkpoint is a file or an HF-style folder in it.
//!
//! Everything here only reads, with ordinary reads; nothing is mapped and nothing is written.

pub mod catalog;
pub mod filesystem;
pub mod format;
pub mod hyper;
pub mod inside;
pub mod log;
pub mod names;
pub mod regular;
pub mod scan;
pub mod settle;
pub mod stamp;
pub mod step;
pub mod watch;

use std::path::PathBuf;

/// One saved state of training.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// Training step, from the file name, the folder name or the checkpoint's own record.
    pub step: u64,
    /// The file, or the HF-style folder that holds the weights.
    pub path: PathBuf,
}

/// Why a run could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing is there.
    #[error("{}: expected a run folder or a checkpoint, found nothing there", .0.display())]
    Missing(PathBuf),
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
        "{}: holds no checkpoint: expected .pt, .pth, .bin, .ckpt or .safetensors files or checkpoint-N folders, found {others} other files",
        path.display()
    )]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
        /// Files that are none.
        others: usize,
    },
    /// The one checkpoint that was named cannot be read.
    #[error(transparent)]
    Format(#[from] format::FormatError),
}

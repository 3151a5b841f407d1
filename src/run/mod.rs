//! What is on disk: a run is a folder, a checkpoint is a file or an HF-style folder in it.
//!
//! Everything here only reads, with ordinary reads; nothing is mapped and nothing is written.

pub mod format;

use std::path::PathBuf;

/// One saved state of training.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// Training step, from the file name, the folder name or the checkpoint's own record.
    pub step: u64,
    /// The file, or the HF-style folder that holds the weights.
    pub path: PathBuf,
}

//! Checkpoints on disk: written under another name and renamed, so that none is ever half there.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::DemoError;
use super::network::Named;

/// Saves `tensors` as `out/step_NNNNN.safetensors`, with the step in its metadata.
pub(super) fn checkpoint(out: &Path, step: usize, tensors: &[Named]) -> Result<(), DemoError> {
    let metadata = HashMap::from([
        ("format".into(), "pt".into()),
        ("step".into(), step.to_string()),
    ]);
    let views = tensors.iter().map(|(name, tensor)| (name, tensor));
    let path = out.join(format!("step_{step:05}.safetensors"));
    safetensors::serialize(views, Some(metadata))
        .map_err(io::Error::other)
        .and_then(|bytes| replace(&path, &bytes))
        .map_err(|source| DemoError::Write { path, source })
}

/// Writes a file beside `path` that looks like no checkpoint, then gives it its name.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial: PathBuf = path.with_extension("partial");
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, path)
}

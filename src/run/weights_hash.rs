//! The identity of a checkpoint by its weights.

use std::path::Path;

use super::format::StateDict;

/// Returns the hash of a checkpoint's weights; `None` if they cannot be read.
#[must_use]
pub fn content(path: &Path, key: Option<&str>) -> Option<[u8; 32]> {
    Some(StateDict::open(path, key).ok()?.content().ok()?.0)
}

//! Paths in what other programs read: in Unicode, with replacement characters for bytes that are none.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Writes a path as text.
///
/// # Errors
/// As the serializer.
pub fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Writes a path that may be missing, likewise.
///
/// # Errors
/// As the serializer.
#[allow(clippy::ref_option, reason = "serde passes the field so")]
pub fn optional<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = path.as_ref().map(|path| path.to_string_lossy());
    text.serialize(serializer)
}

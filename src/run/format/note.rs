//! Contents of a torch file beside its tensors, as far as they are plain values.

use std::path::Path;

pub(in crate::run) use super::tree::Item as Note;

/// Reads the outermost value of a torch file; `None` if it cannot be read.
pub(in crate::run) fn read(path: &Path) -> Option<Note> {
    let file = super::OpenFile::open(path).ok()?;
    file.root
}

//! What a torch file holds beside its tensors, as far as it is plain values.

use std::path::Path;

pub(in crate::run) use super::tree::Item as Note;

/// The outermost value of a torch file; none when it cannot be read.
pub(in crate::run) fn note(path: &Path) -> Option<Note> {
    let file = super::OpenFile::open(path).ok()?;
    file.root
}

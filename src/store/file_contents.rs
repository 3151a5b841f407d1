//! The contents of files, by which values are found.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::run::scan::fingerprint_of;
use crate::run::{self, Checkpoint, Fingerprint, regular};

use super::{Digest, Store, StoreError};

/// The contents of files, by their fingerprints where they were read before.
pub(crate) struct FileContents<'a> {
    pub(crate) store: &'a Store,
    /// Says if a file of so many bytes that was never read may be read now.
    pub(crate) may_read: &'a dyn Fn(u64) -> bool,
    /// The files that were asked for, as they were then.
    pub(crate) files: HashMap<PathBuf, Fingerprint>,
}

impl FileContents<'_> {
    /// Returns the content of a checkpoint's weights; `None` if it cannot be read, or is not to be read now.
    pub(crate) fn of(
        &mut self,
        checkpoint: &Checkpoint,
        key: Option<&str>,
    ) -> Result<Option<Digest>, StoreError> {
        let (file, key) = checkpoint.source(key);
        self.known(file, key.unwrap_or_default(), || {
            run::content(file, key).map(Digest)
        })
    }

    /// Returns the content of a whole file.
    pub(crate) fn of_file(&mut self, file: &Path) -> Result<Option<Digest>, StoreError> {
        // No key of a state dict is a slash.
        self.known(file, "/", || {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(regular::open(file).ok()?).ok()?;
            Some(Digest(*hasher.finalize().as_bytes()))
        })
    }

    fn known(
        &mut self,
        file: &Path,
        key: &str,
        read: impl FnOnce() -> Option<Digest>,
    ) -> Result<Option<Digest>, StoreError> {
        let Some(now) = fingerprint_of(file) else {
            return Ok(None);
        };
        let known = self.store.content(file, key, now)?;
        let content = match known {
            Some(content) => content,
            None if !(self.may_read)(now.size) => return Ok(None),
            None => {
                let Some(content) = read() else {
                    return Ok(None);
                };
                // What is written to while it is read has no content.
                if fingerprint_of(file) != Some(now) {
                    return Ok(None);
                }
                self.store.keep_content(file, key, now, content)?;
                content
            }
        };
        self.files.insert(file.to_path_buf(), now);
        Ok(Some(content))
    }

    /// Returns the contents of checkpoints, in their order; `None` if one of them is not known.
    pub(crate) fn of_all(
        &mut self,
        checkpoints: &[&Checkpoint],
        key: Option<&str>,
    ) -> Result<Option<Vec<Digest>>, StoreError> {
        let contents = checkpoints
            .iter()
            .map(|checkpoint| self.of(checkpoint, key));
        contents.collect()
    }
}

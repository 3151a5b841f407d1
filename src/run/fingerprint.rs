//! Fingerprint that tells if a file has changed: its size, its time of change and its identity.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// The state of a file, or of the weight files of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Time of the last change of contents, the latest of several files.
    pub modified: SystemTime,
    /// Inode, where the system has them: it stays when a file is renamed.
    pub inode: u64,
}

impl Fingerprint {
    /// Returns the fingerprint of a file as it is now.
    ///
    /// # Errors
    /// The file is not there or may not be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&fs::metadata(path)?))
    }

    /// Returns one fingerprint for several files.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            size: self.size.saturating_add(other.size),
            modified: self.modified.max(other.modified),
            inode: self.inode.wrapping_mul(31).wrapping_add(other.inode),
        }
    }
}

impl From<&Metadata> for Fingerprint {
    fn from(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            // Records count from there; a file that says it is older was unpacked or copied.
            modified: metadata
                .modified()
                .unwrap_or(SystemTime::UNIX_EPOCH)
                .max(SystemTime::UNIX_EPOCH),
            inode: inode(metadata),
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_from_before_1970_is_of_1970() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
        file.as_file().set_modified(before).unwrap();
        let found = Fingerprint::of(file.path()).unwrap();
        assert_eq!(found.modified, SystemTime::UNIX_EPOCH);
    }
}

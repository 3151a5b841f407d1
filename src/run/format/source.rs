//! Bytes of a checkpoint: a part of a file, or what was unpacked from one.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// A part of a file, or bytes in memory, that threads can read at any place.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A range of a file.
    File {
        /// The file.
        file: Arc<File>,
        /// First byte.
        start: u64,
        /// Number of bytes.
        len: u64,
    },
    /// Bytes that were unpacked.
    Memory(Arc<[u8]>),
}

impl Source {
    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Returns a part of it; `None` if it does not reach.
    pub(crate) fn part(&self, at: u64, part: u64) -> Option<Self> {
        if at.checked_add(part)? > self.len() {
            return None;
        }
        match self {
            Self::File { file, start, .. } => Some(Self::File {
                file: Arc::clone(file),
                start: start.checked_add(at)?,
                len: part,
            }),
            Self::Memory(bytes) => {
                let range = usize::try_from(at).ok()?..usize::try_from(at + part).ok()?;
                Some(Self::Memory(bytes.get(range)?.into()))
            }
        }
    }

    /// Fills `bytes` from the place `at` on.
    ///
    /// # Errors
    /// The system refuses, or there are fewer bytes.
    pub(crate) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self {
            Self::File { file, start, .. } => read_at(file, bytes, start + at),
            Self::Memory(all) => {
                let from = usize::try_from(at).map_err(io::Error::other)?;
                let part = all.get(from..from + bytes.len());
                bytes.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    /// Reads `len` bytes from `at` on. No more is asked for than there is.
    ///
    /// # Errors
    /// As [`Source::read_at`].
    pub(crate) fn bytes(&self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        if at.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.read_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// A source that is read from its front on.
#[derive(Debug)]
pub(crate) struct SourceReader {
    source: Source,
    at: u64,
}

impl SourceReader {
    pub(crate) fn new(source: &Source) -> Self {
        Self {
            source: source.clone(),
            at: 0,
        }
    }
}

impl Read for SourceReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.source.len() - self.at).unwrap_or(usize::MAX);
        let count = left.min(bytes.len());
        self.source.read_at(&mut bytes[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Reads at a place of its own, so that threads can share the file.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, from)
}

/// Reads likewise.
#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut from: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, from)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                from += read as u64;
            }
        }
    }
    Ok(())
}

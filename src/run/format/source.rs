//! Bytes of a checkpoint: a part of a file, or what was inflated from one.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::DeflateDecoder;

/// Bytes that are inflated and passed on at once.
const STEP: usize = 64 << 10;

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
    /// Bytes that were inflated.
    Memory(Arc<[u8]>),
}

impl Source {
    /// Number of bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// A part of it; none where it does not reach.
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

/// The bytes of a storage, as they lie in the file.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// As they are.
    Plain(Source),
    /// Deflated; the number is that of the inflated bytes.
    Deflated(Source, u64),
}

impl Storage {
    /// Number of bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Plain(source) => source.len(),
            Self::Deflated(_, len) => *len,
        }
    }

    /// True where a piece costs as much as all before it.
    pub(crate) fn is_deflated(&self) -> bool {
        matches!(self, Self::Deflated(..))
    }

    /// Fills `bytes` from the place `at` on.
    ///
    /// # Errors
    /// The system refuses, or there are fewer bytes.
    pub(crate) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::Plain(source) => source.read_at(bytes, at),
            Self::Deflated(source, _) => {
                let mut window = Window {
                    skip: at,
                    bytes,
                    filled: 0,
                };
                inflate(source, &mut window)?;
                if window.filled < window.bytes.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
        }
    }

    /// All bytes; those that must be inflated are at most `limit`.
    ///
    /// # Errors
    /// As [`Storage::read_at`], or there are more.
    pub(crate) fn whole(&self, limit: u64) -> io::Result<Source> {
        match self {
            Self::Plain(source) => Ok(source.clone()),
            Self::Deflated(_, len) if *len > limit => {
                let reason = format!("expected at most {limit} bytes, found {len}");
                Err(io::Error::new(io::ErrorKind::FileTooLarge, reason))
            }
            Self::Deflated(source, len) => {
                let mut all = Bounded {
                    bytes: Vec::new(),
                    limit: usize::try_from(*len).map_err(io::Error::other)?,
                };
                inflate(source, &mut all)?;
                Ok(Source::Memory(all.bytes.into()))
            }
        }
    }
}

/// A place for inflated bytes that says when it wants no more.
trait Sink: Write {
    fn is_full(&self) -> bool;
}

/// Passes inflated bytes on until the sink is full; memory is that of one step.
fn inflate(source: &Source, sink: &mut impl Sink) -> io::Result<()> {
    let mut decoder = DeflateDecoder::new(sink);
    let (mut at, mut bytes) = (0, vec![0; STEP]);
    while at < source.len() && !decoder.get_ref().is_full() {
        let count = STEP.min(usize::try_from(source.len() - at).unwrap_or(STEP));
        source.read_at(&mut bytes[..count], at)?;
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            match decoder.write(rest)? {
                0 => return Ok(()),
                written => rest = &rest[written..],
            }
        }
        at += count as u64;
    }
    decoder.flush()
}

/// Keeps a window of what passes by.
struct Window<'a> {
    skip: u64,
    bytes: &'a mut [u8],
    filled: usize,
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
        self.skip -= skipped as u64;
        let rest = &bytes[skipped..];
        let count = rest.len().min(self.bytes.len() - self.filled);
        self.bytes[self.filled..self.filled + count].copy_from_slice(&rest[..count]);
        self.filled += count;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Window<'_> {
    fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }
}

/// Keeps all, up to what was claimed.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            let reason = "inflates to more bytes than it claims";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Bounded {
    fn is_full(&self) -> bool {
        false
    }
}

/// Reads at a place of its own, so that threads can share the file.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, from)
}

/// Likewise.
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

//! The bytes of a pickle one after another, with long ones left where they are.

use std::io;

use super::super::source::Source;

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// A place in a source, with a buffer before it.
#[derive(Debug)]
pub(super) struct Input {
    source: Source,
    /// Place of the buffer's first byte.
    start: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Input {
    pub(super) fn new(source: &Source, at: u64) -> Self {
        Self {
            source: source.clone(),
            start: at,
            buffer: Vec::new(),
            at: 0,
        }
    }

    /// Returns the place of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Returns true where parts are copies.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self.source, Source::Memory(_))
    }

    /// Returns the bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.source.len().saturating_sub(self.position())
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns `len` bytes; memory is taken only for what is there.
    pub(super) fn bytes(&mut self, len: u64) -> io::Result<Vec<u8>> {
        if len > self.left() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the next `len` bytes as a part of the source, which are passed over.
    pub(super) fn leave(&mut self, len: u64) -> io::Result<Source> {
        let part = self.source.part(self.position(), len);
        let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.start = self.position() + len;
        self.buffer.clear();
        self.at = 0;
        Ok(part)
    }

    /// Returns the bytes up to the end of the line, without it.
    pub(super) fn line(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                _ if line.len() >= limit => return Err(io::ErrorKind::InvalidData.into()),
                byte => line.push(byte),
            }
        }
    }

    fn fill(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.at == self.buffer.len() {
                self.start += self.at as u64;
                self.at = 0;
                self.buffer.clear();
                let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
                if left == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.buffer.resize(left.min(BUFFER), 0);
                self.source.read_at(&mut self.buffer, self.start)?;
            }
            let ready = &self.buffer[self.at..];
            let count = ready.len().min(bytes.len());
            bytes[..count].copy_from_slice(&ready[..count]);
            bytes = &mut bytes[count..];
            self.at += count;
        }
        Ok(())
    }
}

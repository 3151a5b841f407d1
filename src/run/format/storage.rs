//! The bytes of a storage: as they lie in the file, or unpacked from its front on.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Mutex, PoisonError};

use flate2::bufread::DeflateDecoder;

use super::source::{Source, SourceReader};

/// Packed bytes that are read at once.
const STEP: usize = 64 << 10;

/// The bytes of a storage.
#[derive(Debug)]
pub(crate) enum Storage {
    /// As they are.
    Plain(Source),
    /// In another form.
    Packed(Box<Packed>),
}

/// Bytes that cannot be had without those before them.
///
/// The place where the reader stopped is remembered, so that pieces that follow each other unpack everything once.
/// That costs a tenth of a megabyte for each storage that is read in part; all that was unpacked would be
/// as much as the tensor, for each of a hundred open checkpoints.
#[derive(Debug)]
pub(crate) struct Packed {
    source: Source,
    packing: Packing,
    len: u64,
    stopped: Mutex<Option<Cursor>>,
}

/// A form of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As zip archives deflate them.
    Deflated,
    /// The characters of a text in UTF-8, as pickles of protocol 2 have the bytes of Python 3.
    Latin,
}

impl Storage {
    /// Takes packed bytes that are `len` when they are unpacked.
    pub(crate) fn packed(source: Source, packing: Packing, len: u64) -> Self {
        Self::Packed(Box::new(Packed {
            source,
            packing,
            len,
            stopped: Mutex::new(None),
        }))
    }

    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Plain(source) => source.len(),
            Self::Packed(packed) => packed.len,
        }
    }

    /// Returns true where a piece costs as much as all before it.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }

    /// Fills `bytes` from the place `at` on.
    ///
    /// # Errors
    /// The system refuses, or there are fewer bytes.
    pub(crate) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::Plain(source) => source.read_at(bytes, at),
            Self::Packed(packed) => packed.read_at(bytes, at),
        }
    }

    /// Returns all bytes. Those that must be unpacked first, into memory, may be at most `limit`.
    ///
    /// # Errors
    /// As [`Storage::read_at`], or there are more.
    pub(crate) fn whole(&self, limit: u64) -> io::Result<Source> {
        match self {
            Self::Plain(source) => Ok(source.clone()),
            Self::Packed(packed) => packed.whole(limit),
        }
    }
}

impl Packed {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64);
        let end = end.filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = stopped.take().filter(|cursor| cursor.at <= at);
        let mut cursor = earlier.unwrap_or_else(|| Cursor {
            at: 0,
            bytes: self.unpacker(),
        });
        cursor.pass(at)?;
        cursor.bytes.read_exact(bytes)?;
        cursor.at = end;
        *stopped = Some(cursor).filter(|_| end < self.len);
        Ok(())
    }

    fn whole(&self, limit: u64) -> io::Result<Source> {
        if self.len > limit {
            let reason = format!("expected at most {limit} bytes, found {}", self.len);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let mut all = Vec::new();
        self.unpacker().take(self.len + 1).read_to_end(&mut all)?;
        if all.len() as u64 > self.len {
            let reason = "inflates to more bytes than it claims";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Source::Memory(all.into()))
    }

    fn unpacker(&self) -> Unpacker {
        let packed = BufReader::with_capacity(STEP, SourceReader::new(&self.source));
        match self.packing {
            Packing::Deflated => Unpacker::Inflate(DeflateDecoder::new(packed)),
            Packing::Latin => Unpacker::Latin {
                text: packed,
                lead: None,
            },
        }
    }
}

/// A place in unpacked bytes.
#[derive(Debug)]
struct Cursor {
    at: u64,
    bytes: Unpacker,
}

impl Cursor {
    /// Passes over the bytes before `at`.
    fn pass(&mut self, at: u64) -> io::Result<()> {
        let between = at - self.at;
        let passed = io::copy(&mut (&mut self.bytes).take(between), &mut io::sink())?;
        if passed < between {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// The bytes of one form.
#[derive(Debug)]
enum Unpacker {
    Inflate(DeflateDecoder<BufReader<SourceReader>>),
    Latin {
        text: BufReader<SourceReader>,
        /// The first byte of a character of two.
        lead: Option<u8>,
    },
}

impl Read for Unpacker {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Inflate(decoder) => decoder.read(bytes),
            Self::Latin { text, lead } => latin(text, lead, bytes),
        }
    }
}

/// Reads characters up to U+00FF as bytes.
fn latin(text: &mut impl BufRead, lead: &mut Option<u8>, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled == 0 && !bytes.is_empty() {
        let ready = text.fill_buf()?;
        if ready.is_empty() {
            return Ok(0);
        }
        let mut used = 0;
        for &byte in ready {
            let Some(to) = bytes.get_mut(filled) else {
                break;
            };
            used += 1;
            match (lead.take(), byte) {
                (None, 0..=0x7f) => *to = byte,
                (None, 0xc2 | 0xc3) => {
                    *lead = Some(byte);
                    continue;
                }
                (Some(first), 0x80..=0xbf) => *to = (first << 6) | (byte & 0x3f),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            filled += 1;
        }
        text.consume(used);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn memory(bytes: &[u8]) -> Source {
        Source::Memory(bytes.into())
    }

    fn deflated(bytes: &[u8]) -> Source {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        memory(&encoder.finish().unwrap())
    }

    #[test]
    fn packed_bytes_are_read_at_any_place_in_any_order() {
        let bytes: Vec<u8> = (0..70_000u32)
            .map(|at| (at.wrapping_mul(at) / 7) as u8)
            .collect();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let len = bytes.len() as u64;
        let inflated = Storage::packed(deflated(&bytes), Packing::Deflated, len);
        let latin = Storage::packed(memory(text.as_bytes()), Packing::Latin, len);
        for storage in [inflated, latin] {
            for (at, count) in [
                (0, 9),
                (9, 40_000),
                (60_000, 10_000),
                (5, 1),
                (69_999, 1),
                (7, 0),
            ] {
                let mut found = vec![0; count];
                storage.read_at(&mut found, at as u64).unwrap();
                assert_eq!(found, bytes[at..at + count], "{at}");
            }
            assert!(storage.read_at(&mut [0; 2], len - 1).is_err());
            assert!(storage.whole(len - 1).is_err());
            let whole = storage.whole(len).unwrap();
            assert_eq!(whole.bytes(0, len).unwrap(), bytes);
        }
    }

    #[test]
    fn other_bytes_than_were_claimed_are_an_error() {
        let source = deflated(&[1; 100]);
        let short = Storage::packed(source.clone(), Packing::Deflated, 99);
        assert!(short.whole(1000).is_err());
        let long = Storage::packed(source, Packing::Deflated, 101);
        assert!(long.read_at(&mut [0; 101], 0).is_err());
        let beyond = Storage::packed(memory("a\u{100}".as_bytes()), Packing::Latin, 2);
        assert!(beyond.read_at(&mut [0; 2], 0).is_err());
    }

    /// 64 MiB in pieces of 16 KiB: from the front each time, that is 128 GiB.
    #[test]
    fn pieces_that_follow_each_other_unpack_everything_once() {
        let len = 64 << 20;
        let storage = Storage::packed(deflated(&vec![7; len]), Packing::Deflated, len as u64);
        let begun = Instant::now();
        let mut piece = vec![0; 16 << 10];
        for at in (0..len).step_by(piece.len()) {
            storage.read_at(&mut piece, at as u64).unwrap();
        }
        assert!(piece == vec![7; 16 << 10]);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

//! The directory of a zip archive, as far as checkpoints need it.
//!
//! torch pads records with fields that are no fields (an empty one, for names of 21 letters), which
//! general readers of zip refuse; only the central directory counts here, as for torch itself.

use std::collections::HashMap;
use std::io;

use super::source::Source;
use super::storage::{Packing, Storage};

/// Bytes of the record at the end, and the longest comment behind it.
const END: u64 = 22;
const COMMENT: u64 = 0xffff;
/// Bytes of a directory: half a million records.
const LARGEST: u64 = 64 << 20;
/// Inflated bytes per deflated one, at most, by the format.
const RATIO: u64 = 1032;

/// One file of an archive.
#[derive(Clone, Debug)]
struct Record {
    deflated: bool,
    packed: u64,
    size: u64,
    header: u64,
}

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive {
    source: Source,
    records: HashMap<String, Record>,
    /// In the directory's order.
    names: Vec<String>,
}

impl Archive {
    /// Reads the directory.
    pub(super) fn open(source: &Source) -> io::Result<Self> {
        let (start, len) = directory(source)?;
        if len > LARGEST {
            return Err(damaged("its directory is too large"));
        }
        let bytes = source.bytes(start, len)?;
        let (mut records, mut names) = (HashMap::new(), Vec::new());
        let mut rest = bytes.as_slice();
        while let Some((name, record, behind)) = record(rest) {
            if records.insert(name.clone(), record).is_some() {
                return Err(damaged("two records have one name"));
            }
            names.push(name);
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(damaged("its directory is damaged"));
        }
        Ok(Self {
            source: source.clone(),
            records,
            names,
        })
    }

    /// Returns the names of all records.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns the first record whose name ends so, on a folder's boundary.
    pub(super) fn ending(&self, end: &str) -> Option<&str> {
        self.names().find(|name| {
            name.strip_suffix(end)
                .is_some_and(|front| front.is_empty() || front.ends_with('/'))
        })
    }

    /// Returns the bytes of a record.
    pub(super) fn record(&self, name: &str) -> io::Result<Storage> {
        let record = self.records.get(name);
        let record = record.ok_or_else(|| damaged(&format!("it has no record {name}")))?;
        let header = self.source.bytes(record.header, 30)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(damaged("a record is not where its directory says"));
        }
        let lengths = u64::from(short(&header, 26)) + u64::from(short(&header, 28));
        let start = record.header.checked_add(30 + lengths);
        let part = start.and_then(|start| self.source.part(start, record.packed));
        let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
        if !record.deflated {
            return if record.packed == record.size {
                Ok(Storage::Plain(part))
            } else {
                Err(damaged("a record has two sizes"))
            };
        }
        if record.size / RATIO > record.packed {
            return Err(damaged("a record claims more than it can inflate to"));
        }
        Ok(Storage::packed(part, Packing::Deflated, record.size))
    }
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

fn short(bytes: &[u8], at: usize) -> u16 {
    let two = bytes.get(at..at + 2).and_then(|two| two.try_into().ok());
    u16::from_le_bytes(two.unwrap_or_default())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    u64::from(u32::from_le_bytes(four.unwrap_or_default()))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes
        .get(at..at + 8)
        .and_then(|eight| eight.try_into().ok());
    u64::from_le_bytes(eight.unwrap_or_default())
}

/// Returns the place and length of the directory.
fn directory(source: &Source) -> io::Result<(u64, u64)> {
    let tail = source.len().min(END + COMMENT);
    let from = source.len() - tail;
    // Nearly always there is no comment.
    let near = source.bytes(source.len() - tail.min(END), tail.min(END))?;
    let bytes = if near.starts_with(b"PK\x05\x06") {
        near
    } else {
        source.bytes(from, tail)?
    };
    let from = source.len() - bytes.len() as u64;
    let at = (0..bytes.len().saturating_sub(END as usize - 1))
        .rev()
        .find(|at| bytes[*at..].starts_with(b"PK\x05\x06"));
    let at = at.ok_or_else(|| {
        damaged("the directory at its end is missing: it is cut or still being written")
    })?;
    let (len, start) = (word(&bytes, at + 12), word(&bytes, at + 16));
    let end = from + at as u64;
    // Larger files have a second record, whose place stands right before this one.
    if let Some(locator) = end.checked_sub(20) {
        let locator = source.bytes(locator, 20)?;
        if locator.starts_with(b"PK\x06\x07") {
            let record = source.bytes(long(&locator, 8), 56)?;
            if record.starts_with(b"PK\x06\x06") {
                return Ok((long(&record, 48), long(&record, 40)));
            }
        }
    }
    Ok((start, len))
}

/// Returns the first record of a directory, and what is behind it.
fn record(bytes: &[u8]) -> Option<(String, Record, &[u8])> {
    if !bytes.starts_with(b"PK\x01\x02") || bytes.len() < 46 {
        return None;
    }
    let name_len = usize::from(short(bytes, 28));
    let extra_len = usize::from(short(bytes, 30));
    let comment_len = usize::from(short(bytes, 32));
    let name = bytes.get(46..46 + name_len)?;
    let extra = bytes.get(46 + name_len..46 + name_len + extra_len)?;
    let behind = bytes.get(46 + name_len + extra_len + comment_len..)?;
    let (flags, method) = (short(bytes, 8), short(bytes, 10));
    // Bit 0: encrypted.
    if flags & 1 != 0 || !matches!(method, 0 | 8) {
        return None;
    }
    let mut sizes = [word(bytes, 24), word(bytes, 20), word(bytes, 42)];
    let mut rest = extra;
    while rest.len() >= 4 {
        let len = usize::from(short(rest, 2));
        let field = rest.get(4..4 + len).unwrap_or_default();
        if short(rest, 0) == 1 {
            let mut at = 0;
            for size in sizes.iter_mut().filter(|size| **size == 0xffff_ffff) {
                *size = long(field, at);
                at += 8;
            }
        }
        rest = rest.get(4 + len..).unwrap_or_default();
    }
    let record = Record {
        deflated: method == 8,
        packed: sizes[1],
        size: sizes[0],
        header: sizes[2],
    };
    Some((String::from_utf8_lossy(name).into_owned(), record, behind))
}

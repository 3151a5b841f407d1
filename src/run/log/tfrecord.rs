//! The frame of TensorBoard's files (TFRecord): a length, its checksum, as many bytes, their checksum.

use std::io::{self, Read};

/// A checksum is rotated and shifted, so that one of data that hold checksums differs from theirs.
const MASK: u32 = 0xa282_ead8;
/// Bytes of the length and its checksum.
const HEAD: u64 = 12;
/// Bytes of a record beside its data.
pub(super) const FRAME: u64 = HEAD + 4;
/// Longer records hold pictures or graphs: they are passed over unread.
const LONGEST: u64 = 1 << 20;

/// The next thing in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The data of a record.
    Data(Vec<u8>),
    /// A record that is too long to be a number: that many bytes of it are still to be passed over.
    Long(u64),
    /// The end, or a record that is still being written.
    End,
    /// Bytes that were not written as a record: its length or its data do not have their checksum.
    Broken(&'static str),
}

/// Reads the next record of a file in which `left` bytes follow.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read(file: &mut impl Read, left: u64) -> io::Result<Record> {
    if left < HEAD {
        return Ok(Record::End);
    }
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    if checksum(file)? != masked(&length) {
        return Ok(Record::Broken("a length"));
    }
    let length = u64::from_le_bytes(length);
    if length > left.saturating_sub(FRAME) {
        return Ok(Record::End);
    }
    if length > LONGEST {
        return Ok(Record::Long(length + FRAME - HEAD));
    }
    let mut data = vec![0; length as usize];
    file.read_exact(&mut data)?;
    if checksum(file)? != masked(&data) {
        return Ok(Record::Broken("data"));
    }
    Ok(Record::Data(data))
}

fn checksum(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

#[cfg(test)]
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [
        &length[..],
        &masked(&length).to_le_bytes(),
        data,
        &masked(data).to_le_bytes(),
    ]
    .concat()
}

//! A file's kind by its first bytes, and by its directory where it is an archive.

mod foreign;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use foreign::Thing;

use super::archive::Archive;
use super::safetensors::LARGEST_HEADER;
use super::source::Source;
use crate::run::regular;

/// The first pickle of a legacy file of torch in protocol 0 or 1, whose long numbers are digits.
const MAGIC_IN_DIGITS: &[u8] = b"L119547037146038801333356L";

/// Kind of a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// safetensors.
    Safetensors,
    /// `torch.save` since 1.6.
    TorchZip,
    /// `torch.save` before, and with `_use_new_zipfile_serialization=False`.
    TorchLegacy,
    /// stable-baselines3's archive.
    StableBaselines,
    /// A pickle of Python.
    Pickle,
    /// Perhaps a pickle of Python 2, which begins as a text may.
    OldPickle,
    /// Something else that has a name.
    Foreign(Thing),
    /// None of these.
    Unknown,
}

impl Content {
    /// Returns true for what can hold weights that are read.
    #[must_use]
    pub fn is_readable(self) -> bool {
        use Content::{Pickle, Safetensors, StableBaselines, TorchLegacy, TorchZip};
        matches!(
            self,
            Safetensors | TorchZip | TorchLegacy | StableBaselines | Pickle
        )
    }

    /// Returns the thing's name and its remedy, for kinds that are never read.
    pub(super) fn refusal(self) -> Option<Thing> {
        match self {
            Self::Foreign(thing) => Some(thing),
            Self::Unknown => Some(foreign::UNKNOWN),
            _ => None,
        }
    }
}

/// Looks at a few hundred bytes of a regular file; the directory of an archive as well.
///
/// # Errors
/// The file cannot be read, or is no regular one.
pub fn sniff(path: &Path) -> io::Result<Content> {
    let file = regular::open(path)?;
    let len = file.metadata()?.len();
    let source = Source::File {
        file: Arc::new(file),
        start: 0,
        len,
    };
    content(&source)
}

/// Returns the same, of an open file.
pub(super) fn content(source: &Source) -> io::Result<Content> {
    let len = source.len();
    let front = source.bytes(0, len.min(512))?;
    let foreign = || foreign::by_bytes(&front).or_else(|| foreign::by_end(source));
    Ok(match front.as_slice() {
        [] => Content::Foreign(foreign::EMPTY),
        // First of all: the low bytes of a header's length may be those of any other format.
        _ if is_safetensors(&front) => Content::Safetensors,
        [b'P', b'K', 3, 4, ..] => archive(source),
        [0x80, 1..=5, 0x8a, 10, 0x6c, 0xfc, ..] => Content::TorchLegacy,
        _ if front.starts_with(MAGIC_IN_DIGITS) => Content::TorchLegacy,
        [0x80] | [0x80, 0..=5, ..] => {
            foreign::of_pickle(&front).map_or(Content::Pickle, Content::Foreign)
        }
        _ => match foreign() {
            Some(thing) => Content::Foreign(thing),
            None if is_binary_of_python_2(&front) => Content::Pickle,
            None if foreign::is_text(&front) => {
                if may_be_pickle(&front) {
                    Content::OldPickle
                } else {
                    Content::Foreign(foreign::TEXT)
                }
            }
            None if may_be_pickle(&front) => Content::OldPickle,
            None => Content::Unknown,
        },
    })
}

/// Returns true for what Python 2 writes for the containers and classes that checkpoints are.
fn is_binary_of_python_2(front: &[u8]) -> bool {
    matches!(
        front,
        [b'(', b'd' | b'l' | b'i', ..]
            | [b'c', b'c', b'o', b'l', ..]
            | [b'}' | b']', b'q' | b'(', ..]
    )
}

/// Returns true for the first instructions of other pickles without a header: a container, a mark and a value, or a
/// class, whose module and name are lines.
fn may_be_pickle(front: &[u8]) -> bool {
    let is_name = |line: &[u8]| {
        let known = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
        !line.is_empty() && line.iter().all(known)
    };
    let is_class = |lines: &[u8]| {
        let mut lines = lines.split(|b| *b == b'\n');
        lines.by_ref().take(2).filter(|line| is_name(line)).count() == 2
    };
    match front {
        [b'}' | b']', ..] | [b'(', b'S', b'\'' | b'"', ..] => true,
        [b'c', class @ ..] | [b'(', b'c', class @ ..] => is_class(class),
        [b'(', b'I' | b'F' | b'V' | b'L', line @ ..] => line
            .iter()
            .position(|b| *b == b'\n')
            .is_some_and(|end| !line[..end].contains(&b' ')),
        [
            b'(',
            b'K' | b'J' | b'M' | b'U' | b'X' | b'(' | b'}' | b']',
            ..,
        ] => !foreign::is_text(front),
        _ => false,
    }
}

/// Returns true for the length of a header and its first letter, also where the rest is still to be written.
fn is_safetensors(front: &[u8]) -> bool {
    let length = front
        .first_chunk::<8>()
        .map(|length| u64::from_le_bytes(*length));
    front.get(8) == Some(&b'{') && length.is_some_and(|length| length <= LARGEST_HEADER)
}

fn archive(source: &Source) -> Content {
    let Ok(archive) = Archive::open(source) else {
        // Cut, or still being written.
        return Content::TorchZip;
    };
    let names = || archive.names();
    let is_torch = archive.ending("data.pkl").is_some();
    match foreign::of_archive(names, is_torch) {
        Some(thing) => Content::Foreign(thing),
        None if is_torch => Content::TorchZip,
        None => Content::StableBaselines,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::fs;

    use super::*;

    fn of(bytes: &[u8]) -> Content {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.pt");
        fs::write(&path, bytes).unwrap();
        sniff(&path).unwrap()
    }

    #[test]
    fn what_is_no_pickle_is_called_by_its_name() {
        let known: [(&[u8], &str); 26] = [
            (b"BZh91AY&SY....", "bzip2"),
            (b"\xfd7zXZ\0...", "xz"),
            (b"\x28\xb5\x2f\xfd...", "Zstandard"),
            (b"7z\xbc\xaf\x27\x1c..", "7z"),
            (b"Rar!\x1a\x07\0..", "RAR"),
            (b"\x1f\x8b\x08..", "gzip"),
            (b"x\x9c\xed\xbd\x07\x60..", "zlib"),
            (b"\x80\x04\x95..\x8c\x13joblib.numpy_pickle", "joblib"),
            (b"\x81\xa6params\x82\xa7Dense_0\xc0", "MessagePack"),
            (b"\x0c\xdb\x3a\x2a\0\0", "Orbax"),
            (b"\x1c\0\0\0TFL3\0\0", "TensorFlow Lite"),
            (b"lmgg\x01\0", "GGML"),
            (b"tjgg\x01\0", "GGML"),
            (b"GGUF\x03\0", "GGUF"),
            (b"\x08\x01\x12\xb0\x0a\x0a", "SavedModel"),
            (b"\x08\x07\x12\x07pytorch", "ONNX"),
            (b"<?xml version='1.0'?><Error>", "XML"),
            (b"\xef\xbb\xbf<!DOCTYPE html>", "web page"),
            (b"<!-- no --><html>", "web page"),
            (b"{\"error\": \"Not Found\"}", "JSON"),
            (b"Entry not found", "plain text"),
            (b"(see the log) no file", "plain text"),
            (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
            (b"\x89PNG\r\n\x1a\n", "picture"),
            (&[0; 600], "zeros"),
            (b"", "empty, 0 bytes"),
        ];
        for (bytes, name) in known {
            let thing = of(bytes).refusal();
            assert!(
                thing.is_some_and(|thing| thing.name.contains(name)),
                "{name}: {thing:?}"
            );
        }
    }

    #[test]
    fn pickles_of_every_protocol_are_tried() {
        assert_eq!(of(b"(dp0\nS'a'\np1\nF1.5\ns."), Content::Pickle);
        assert_eq!(of(b"\x80\x02}q\0."), Content::Pickle);
        assert_eq!(of(b"}q\0."), Content::Pickle);
        assert_eq!(
            of(b"cnumpy.core.multiarray\n_reconstruct\np0\n"),
            Content::OldPickle
        );
        assert_eq!(of(b"(S'a b'\nI1\ntp0\n."), Content::OldPickle);
        assert_eq!(of(b"}U\x01aK\x01s."), Content::OldPickle);
        assert_eq!(
            of(b"L119547037146038801333356L\n.L1001L\n."),
            Content::TorchLegacy
        );
        assert_eq!(of(b"\x80"), Content::Pickle);
        assert_eq!(of(b"\xff\xfe\xfd\xfc random"), Content::Unknown);
    }
}
